"""Puts the jars of s3a that a lock names into a folder: from the bucket, else from the Maven repository.

python s3a_jars.py LOCK FOLDER BUCKET    makes FOLDER/ID, ID being the lock's, whole or not at all

What a host had to fetch from the repository it leaves in the bucket, under jars/ID/, for all others. No jar is taken,
from either, whose SHA-256 is not the lock's. Spark's own resolver knows the repository, and DEFAULT_ARTIFACT_REPOSITORY
names another.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

LINE = re.compile(r"(?P<group>[\w.-]+):(?P<artifact>[\w.-]+):(?P<version>[\w.-]+) sha256:(?P<sha256>[0-9a-f]{64})")
# What no set of jars of ours has: the SDK's bundle of 686 MB, what Spark ships itself, and other clouds' parts.
LEFT_OUT = (
    "software.amazon.awssdk:bundle",
    "io.netty:*",
    "org.slf4j:*",
    "commons-codec:*",
    "commons-logging:*",
    "org.apache.httpcomponents:*",
    "com.fasterxml.jackson.core:*",
    "com.fasterxml.jackson.dataformat:*",
    "org.apache.hadoop:hadoop-a[lz]*",
    "org.apache.hadoop:hadoop-c*",
    "org.apache.hadoop:hadoop-gcp",
    "org.apache.hadoop:hadoop-huaweicloud",
    "com.google.*:*",
    "com.squareup.*:*",
    "joda-time:*",
    "org.eclipse.jetty:*",
)
LARGEST = 64 << 20  # bytes of one jar
LONGEST = 300  # seconds for the repository
LEFT_BEHIND = 3600  # seconds after which nobody is at a folder that is not done
AT_ONCE = 8
PREFIX = "jars"
_NEW = ".new-"
_REASON = re.compile(r"(unresolved dependency: [^\]]*|download failed: [^\]]*|(?:Server access|Unable|unable) [^\n]*)")


class JarsError(Exception):
    """The jars are not to be had; the message is one sentence with the next step."""


@dataclass(frozen=True)
class Jar:
    """One line of the lock."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def coordinates(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"

    @property
    def file(self) -> str:
        """Its name in the folder, as Spark's resolver gives it."""
        return f"{self.group}_{self.artifact}-{self.version}.jar"


class Shelf(Protocol):
    """Where hosts leave jars for one another."""

    def get(self, name: str) -> bytes | None:
        """The content, None where there is none."""

    def put(self, name: str, content: bytes) -> None:
        """Leave it there."""


class InBucket:
    """The folder jars/ID of a bucket. Raises JarsError when the bucket cannot be used."""

    def __init__(self, client: Any, bucket: str, lock_id: str) -> None:
        self._client, self._bucket, self._prefix = client, bucket, f"{PREFIX}/{lock_id}"

    def get(self, name: str) -> bytes | None:
        """The content as far as a jar may be long, None where there is none."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=f"{self._prefix}/{name}")
            content: bytes = answer["Body"].read(LARGEST + 1)
        except (BotoCoreError, ClientError) as error:
            if isinstance(error, ClientError) and error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                return None
            raise self._unusable(error) from error
        return content

    def put(self, name: str, content: bytes) -> None:
        """Leave it there."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._client.put_object(Bucket=self._bucket, Key=f"{self._prefix}/{name}", Body=content)
        except (BotoCoreError, ClientError) as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> JarsError:
        return JarsError(
            f"The jars of s3a cannot be kept in s3://{self._bucket}/{self._prefix} ({_line(str(error))}): see that the "
            "bucket is there and that the hosts' role may use it."
        )


def main(lock: Path, folder: Path, bucket: str) -> str:
    """Have the folder; gives one line on where the jars came from. Raises JarsError."""
    import boto3
    from botocore.config import Config

    # boto3 gives the metadata service one second, once: too little for a host that is busy.
    os.environ.setdefault("AWS_METADATA_SERVICE_TIMEOUT", "5")
    os.environ.setdefault("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "4")
    text = lock.read_text()
    config = Config(connect_timeout=10, read_timeout=30, max_pool_connections=AT_ONCE)
    shelf = InBucket(boto3.client("s3", config=config), bucket, lock_id(text))
    return provide(read(text), folder / lock_id(text), shelf)


def lock_id(text: str) -> str:
    """What names a lock: 16 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read(text: str) -> list[Jar]:
    """The jars that a lock names. Raises JarsError for a line that is none."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    found = [LINE.fullmatch(line) for line in lines]
    for line, match in zip(lines, found, strict=True):
        if match is None:
            raise JarsError(f"The lock of jars has the line `{_line(line)}`: make it again with `make lock`.")
    return [Jar(**match.groupdict()) for match in found if match]


def provide(jars: Sequence[Jar], folder: Path, shelf: Shelf | None = None) -> str:
    """Make the folder with these jars in it, whole or not at all. One line on whence they came.

    Others beside it go but the one before, which programs under way still read from.

    Raises JarsError when one is not to be had, or only with another hash.
    """
    if folder.is_dir():
        return f"{len(jars)} jars were there"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        kept = {} if shelf is None else dict(zip(jars, pool.map(shelf.get, [jar.file for jar in jars]), strict=True))
        found = {jar: content for jar, content in kept.items() if content is not None and _is(jar, content)}
        if len(found) == len(jars):
            _lay_out(folder, found)
            return f"{len(jars)} jars came from the bucket"
        fetched = from_repository(jars)
        if shelf is not None:
            missing = [jar for jar in jars if jar not in found]
            list(pool.map(shelf.put, [jar.file for jar in missing], [fetched[jar] for jar in missing]))
    _lay_out(folder, fetched)
    return f"{len(jars)} jars came from the Maven repository"


def from_repository(jars: Sequence[Jar]) -> dict[Jar, bytes]:
    """Their content, by Spark's resolver. Raises JarsError, for one with another hash too."""
    with tempfile.TemporaryDirectory(prefix="orchard-jars-") as scratch:
        files = resolve([jar.coordinates for jar in jars], Path(scratch))
        found = {file.name: file.read_bytes() for file in files}
    for jar in jars:
        if not _is(jar, found.get(jar.file, b"")):
            raise JarsError(
                f"The Maven repository serves another {jar.artifact}-{jar.version}.jar than requirements/jars.txt "
                "names: ask another one (DEFAULT_ARTIFACT_REPOSITORY), or see what has changed with `make lock`."
            )
    return {jar: found[jar.file] for jar in jars}


def resolve(coordinates: Iterable[str], scratch: Path, left_out: Iterable[str] = LEFT_OUT) -> list[Path]:
    """What Spark's own resolver finds for `group:artifact:version`, and what these need, as files below `scratch`.

    Raises JarsError when it finds one not, or there is no Java.
    """
    if shutil.which("java") is None and not os.environ.get("JAVA_HOME"):
        raise JarsError(
            "Spark's resolver needs a Java of version 17 or newer and there is none here: install one or set JAVA_HOME."
        )
    script = scratch / "nothing.py"
    script.touch()
    words = [
        f"--conf=spark.jars.ivy={scratch}",
        f"--packages={','.join(coordinates)}",
        f"--exclude-packages={','.join(left_out)}",
        "--driver-java-options=-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    ]
    spark = find_spec("pyspark")
    assert spark is not None
    assert spark.origin is not None
    home = Path(spark.origin).parent
    # Nothing that is set for a cluster or by a person, and no name server for this host's own name.
    others = {name: value for name, value in os.environ.items() if not name.startswith("SPARK_")}
    own = {"SPARK_HOME": str(home), "SPARK_CONF_DIR": str(scratch), "SPARK_LOCAL_IP": "127.0.0.1"}
    own["PYSPARK_PYTHON"] = own["PYSPARK_DRIVER_PYTHON"] = sys.executable
    try:
        done = subprocess.run(
            [home / "bin" / "spark-submit", *words, script],
            env=others | own,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _unreachable(f"nothing came for {LONGEST} s") from None
    if done.returncode:
        reason = _REASON.search(done.stderr)
        raise _unreachable(reason[1] if reason else done.stderr.strip().rpartition("\n")[2])
    return sorted((scratch / "jars").glob("*.jar"))


def _unreachable(reason: str) -> JarsError:
    return JarsError(
        f"The jars of s3a are not to be had from the Maven repository ({_line(reason)}): let this machine reach it, or "
        "name a mirror in DEFAULT_ARTIFACT_REPOSITORY."
    )


def _is(jar: Jar, content: bytes) -> bool:
    return hashlib.sha256(content).hexdigest() == jar.sha256


def _lay_out(folder: Path, contents: dict[Jar, bytes]) -> None:
    scratch = Path(tempfile.mkdtemp(prefix=_NEW, dir=folder.parent))
    for jar, content in contents.items():
        (scratch / jar.file).write_bytes(content)
        (scratch / jar.file).chmod(0o644)
    scratch.chmod(0o755)
    try:
        scratch.rename(folder)
    except OSError:
        # Somebody else was faster: theirs are of the same lock.
        if not folder.is_dir():
            raise
        shutil.rmtree(scratch)
    earlier = [other for other in folder.parent.iterdir() if other != folder and not other.name.startswith(".")]
    before = max(earlier, key=lambda other: other.stat().st_mtime, default=folder)
    for other in folder.parent.iterdir():
        if other not in (folder, before) and not _is_being_made(other):
            # Whoever else takes it away at this moment is no error.
            shutil.rmtree(other, ignore_errors=True)


def _is_being_made(folder: Path) -> bool:
    try:
        return folder.name.startswith(_NEW) and time.time() - folder.stat().st_mtime < LEFT_BEHIND
    except FileNotFoundError:  # it has its name by now
        return True


def _line(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)[:200].strip()


if __name__ == "__main__":
    try:
        print(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
    except JarsError as error:
        sys.exit(str(error))
