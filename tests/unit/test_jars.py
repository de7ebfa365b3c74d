"""The lock of jars fits the Spark that is installed: whoever moves pyspark makes it again."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

import s3a_jars

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements"


@pytest.fixture(scope="module")
def jars() -> Any:
    specification = importlib.util.spec_from_file_location("jars", REQUIREMENTS / "jars.py")
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def locked() -> dict[str, s3a_jars.Jar]:
    return {jar.artifact: jar for jar in s3a_jars.read((REQUIREMENTS / "jars.txt").read_text())}


def test_hadoop_aws_is_of_the_version_of_spark_s_hadoop_client(jars: Any, locked: dict[str, s3a_jars.Jar]) -> None:
    hadoop, _, _ = jars.versions()
    assert locked["hadoop-aws"].version == hadoop


def test_spark_hadoop_cloud_is_of_spark_s_scala_and_no_newer_than_spark(
    jars: Any, locked: dict[str, s3a_jars.Jar]
) -> None:
    _, spark, scala = jars.versions()
    cloud = locked[f"spark-hadoop-cloud_{scala}"]
    assert jars.as_numbers(cloud.version) <= jars.as_numbers(spark)
    # The reason stands in the lock, for this very Spark.
    reason = f"spark-hadoop-cloud {cloud.version} is the nearest to Spark's {spark} "
    assert cloud.version == spark or reason in (REQUIREMENTS / "jars.txt").read_text()


def test_the_sdk_is_of_one_version_and_has_the_modules_that_hadoop_aws_loads(
    jars: Any, locked: dict[str, s3a_jars.Jar]
) -> None:
    sdk = {name: jar.version for name, jar in locked.items() if jar.group == jars.SDK}
    assert len(set(sdk.values())) == 1
    assert set(jars.MODULES) <= set(sdk)


def test_nothing_is_locked_that_spark_ships_itself(jars: Any, locked: dict[str, s3a_jars.Jar]) -> None:
    spark = importlib.util.find_spec("pyspark")
    assert spark
    assert spark.origin
    shipped = [file.name for file in Path(spark.origin).with_name("jars").glob("*.jar")]
    # Named alike but for the version: whichever stands first on the path would win.
    names = {match[1] for file in shipped if (match := re.fullmatch(r"(.+?)-\d.*\.jar", file))}
    assert names & set(locked) == set()


def test_a_resolver_s_file_names_its_coordinates(jars: Any, locked: dict[str, s3a_jars.Jar]) -> None:
    for jar in locked.values():
        assert jars.coordinates(Path(jar.file)) == jar.coordinates


def test_the_sdk_s_version_is_what_hadoop_aws_asks_for(jars: Any, tmp_path: Path) -> None:
    description = tmp_path / "ivy-3.5.0.xml"
    description.write_text(
        '<dependency org="software.amazon.awssdk" name="bundle" rev="2.35.4" force="true"/>\n'
        '<dependency org="org.assertj" name="assertj-core" rev="3.12.2"/>\n'
    )
    assert jars.sdk_version(description) == "2.35.4"


class Served:
    """Stands in for the resolver: serves the versions of spark-hadoop-cloud that it is told of."""

    def __init__(self, *versions: str, refusal: str = "not found") -> None:
        self.versions, self.refusal = versions, refusal

    def __call__(self, wanted: list[str], scratch: Path, _: Any = None) -> list[Path]:
        *name, version = wanted[0].split(":")
        pattern = re.escape(version).replace(r"\+", ".+")
        found = [served for served in self.versions if re.fullmatch(pattern, served)]
        if not found:
            raise s3a_jars.JarsError(f"{wanted[0]}: {self.refusal}")
        return [scratch / "jars" / f"{'_'.join(name)}-{max(found)}.jar"]


def test_spark_s_own_version_is_taken_where_it_is_served(jars: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3a_jars, "resolve", Served("4.1.2", "4.3.0"))
    taken, why = jars.nearest_cloud("4.3.0", "2.13")
    assert taken == "org.apache.spark:spark-hadoop-cloud_2.13:4.3.0"
    assert "Spark's own version" in why


@pytest.mark.parametrize(
    "newer", [[], ["4.4.0"], ["4.3.1"], ["4.2.0-preview1"], ["5.0.0"]], ids=lambda newer: " ".join(newer) or "none"
)
def test_the_nearest_that_is_not_newer_is_taken_else_with_the_reason(
    newer: list[str], jars: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3a_jars, "resolve", Served("4.0.0", "4.1.2", *newer))
    taken, why = jars.nearest_cloud("4.3.0", "2.13")
    assert taken == "org.apache.spark:spark-hadoop-cloud_2.13:4.1.2"
    assert "nearest to Spark's 4.3.0 that is served" in why


def test_where_only_newer_ones_are_served_none_is_taken(jars: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3a_jars, "resolve", Served("4.4.0", "4.2.0-preview1"))
    with pytest.raises(s3a_jars.JarsError, match=r"no spark-hadoop-cloud_2\.13 of Spark 4\.3\.0 or an older 4\."):
        jars.nearest_cloud("4.3.0", "2.13")


def test_a_repository_out_of_reach_is_no_reason_to_take_another(jars: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3a_jars, "resolve", Served(refusal="Connection refused"))
    with pytest.raises(s3a_jars.JarsError, match="Connection refused"):
        jars.nearest_cloud("4.3.0", "2.13")
