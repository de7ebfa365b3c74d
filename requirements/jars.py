"""Writes requirements/jars.txt: the jars by which people's own programs read and write s3a://, each with its SHA-256.

Nothing of it is typed: the installed pyspark's hadoop-client says which hadoop-aws, whose POM says which SDK.
`spark-hadoop-cloud` binds the committer to Parquet; the nearest to Spark's version that is served is taken.
"""

import hashlib
import re
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "ansible" / "roles" / "s3a" / "files"))

import s3a_jars  # noqa: E402  it lies where the hosts' role has it
from s3a_jars import JarsError  # noqa: E402

LOCK = Path(__file__).with_name("jars.txt")
SDK = "software.amazon.awssdk"
# Of the SDK, what hadoop-aws loads with our settings. docs/own-work.md names what these lack.
MODULES = ("s3", "s3-transfer-manager", "sts", "imds", "apache-client", "netty-nio-client")
HEAD = """\
# Jars of s3a, by `make lock` (requirements/jars.py): hadoop-aws {hadoop} as Spark's own hadoop-client, and what
# its POM asks for, less what Spark ships.
# {cloud}
"""


def main() -> None:
    """Write the lock; where something is not to be had, the old one stays. Raises JarsError."""
    hadoop, spark, scala = versions()
    with tempfile.TemporaryDirectory(prefix="orchard-jars-") as folder:
        scratch = Path(folder)
        s3a_jars.resolve([f"org.apache.hadoop:hadoop-aws:{hadoop}"], scratch)
        sdk = sdk_version(scratch / "cache" / "org.apache.hadoop" / "hadoop-aws" / f"ivy-{hadoop}.xml")
        cloud, why = nearest_cloud(spark, scala)
        wanted = [f"org.apache.hadoop:hadoop-aws:{hadoop}", cloud, *(f"{SDK}:{module}:{sdk}" for module in MODULES)]
    with tempfile.TemporaryDirectory(prefix="orchard-jars-") as folder:
        files = s3a_jars.resolve(wanted, Path(folder))
        lines = [f"{coordinates(file)} sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}" for file in files]
    LOCK.write_text(HEAD.format(hadoop=hadoop, cloud=why) + "\n".join(sorted(lines)) + "\n")


def versions() -> tuple[str, str, str]:
    """Hadoop's, Spark's and Scala's, as the installed pyspark's jars are named."""
    spark = find_spec("pyspark")
    assert spark is not None
    assert spark.origin is not None
    names = "\n".join(file.name for file in Path(spark.origin).with_name("jars").glob("*.jar"))
    hadoop = re.search(r"^hadoop-client-api-(.+)\.jar$", names, re.MULTILINE)
    core = re.search(r"^spark-core_([\d.]+)-(.+)\.jar$", names, re.MULTILINE)
    assert hadoop
    assert core
    return hadoop[1], core[2], core[1]


def sdk_version(description: Path) -> str:
    """The SDK's version that hadoop-aws asks for, by the description that the resolver keeps of its POM."""
    found = re.search(r'org="software\.amazon\.awssdk" name="bundle" rev="([^"]+)"', description.read_text())
    assert found, "hadoop-aws no longer asks for the SDK's bundle: see what its POM says"
    return found[1]


def nearest_cloud(spark: str, scala: str) -> tuple[str, str]:
    """The coordinates of the spark-hadoop-cloud to take, and why this one: never one that is newer than Spark.

    Raises JarsError.
    """
    name = f"spark-hadoop-cloud_{scala}"
    if _served(name, spark):
        return f"org.apache.spark:{name}:{spark}", f"spark-hadoop-cloud is of Spark's own version, {spark}."
    major, minor, *_ = as_numbers(spark)
    for older in range(minor, -1, -1):
        nearest = _served(name, f"{major}.{older}.+")
        if nearest and "-" not in nearest and as_numbers(nearest) <= as_numbers(spark):
            return f"org.apache.spark:{name}:{nearest}", (
                f"spark-hadoop-cloud {nearest} is the nearest to Spark's {spark} that is served; tests/job/test_s3a.py "
                "holds the two together."
            )
    raise JarsError(
        f"The Maven repository serves no {name} of Spark {spark} or an older {major}.: name another one in "
        "DEFAULT_ARTIFACT_REPOSITORY."
    )


def _served(name: str, version: str) -> str | None:
    """The version of it that is served for this one, which may end in `+`."""
    with tempfile.TemporaryDirectory(prefix="orchard-jars-") as folder:
        wanted = [f"org.apache.spark:{name}:{version}"]
        try:
            files = s3a_jars.resolve(wanted, Path(folder), [*s3a_jars.LEFT_OUT, "org.apache.hadoop:*"])
        except JarsError as error:
            if "not found" not in str(error):
                raise
            return None
    [taken] = [coordinates(file) for file in files if name in file.name]
    return taken.rpartition(":")[2]


def as_numbers(version: str) -> list[int]:
    """`4.3.0` as what sorts; of a preview (`4.3.0-preview1`) the version that it leads to."""
    return [int(part) for part in version.partition("-")[0].split(".")]


def coordinates(file: Path) -> str:
    """`group:artifact:version` of a file that the resolver has named."""
    named = re.fullmatch(r"([^_]+)_(.+?)-(\d[^-]*(?:-.+)?)\.jar", file.name)
    assert named, file.name
    return ":".join(named.groups())


if __name__ == "__main__":
    try:
        main()
    except JarsError as error:
        sys.exit(str(error))
