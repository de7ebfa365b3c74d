"""Runs of the real command line, shared by the tests that look at what they left.

Their pictures are drawn and their weights random, as in any clone: only test_numbers.py needs real ones.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.pictures.demo_pictures import FRUITS
from tests.conftest import DRAWN_PER_CLASS
from tests.doubles.s3.faulty import FaultyS3
from tests.doubles.s3.server import S3Server
from tests.pictures import BROKEN, NOT_LISTED, ODD

ROOT = Path(__file__).resolve().parents[2]
# Of the mixed pictures, those that must have features.
GOOD = len(FRUITS) * DRAWN_PER_CLASS + len(ODD)
COMPONENTS = 20
# What all runs over the mixed pictures have in common: a small network, and two cores, which make the same tasks of the
# list on any machine.
SMALL = (
    "--weights", "random", "--image-size", "64", "--max-bad", "0.1", "--components", str(COMPONENTS),
    "--master", "local[2,4]",
)  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """A command that ended: its exit code and what it printed."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class FinishedRun:
    """A run folder, the pictures it was made of, and what the command printed."""

    images: Path
    folder: Path
    ended: Ended


Orchard = Callable[..., Ended]
# Java's thorough compiler pays in long runs only.
JAVA_OPTIONS = {"JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1"}

begun: list[subprocess.Popen[str]] = []


def command(*arguments: object) -> list[str]:
    """The words of a pipeline command."""
    return [sys.executable, "-m", "pipeline", *map(str, arguments)]


def begin(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    """Start a pipeline command in a process group of its own, so that a signal reaches it as a terminal's would."""
    process = subprocess.Popen(
        command(*arguments),
        cwd=ROOT,
        env={**os.environ, **JAVA_OPTIONS, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    begun.append(process)
    return process


def kill(process: subprocess.Popen[str]) -> None:
    """SIGKILL to the command and all it started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.fixture(autouse=True)
def no_command_outlives_its_test() -> Iterator[None]:
    """A test that fails in the middle leaves no run behind that nobody waits for."""
    yield
    while begun:
        if (process := begun.pop()).poll() is None:
            kill(process)


@pytest.fixture(scope="session")
def orchard() -> Orchard:
    """Run a pipeline command to its end."""

    def run(*arguments: object, **environment: str) -> Ended:
        process = begin(*arguments, **environment)
        out, err = process.communicate()
        return Ended(process.returncode, out, err)

    return run


@pytest.fixture(scope="session")
def mixed_pictures(drawn_pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drawn pictures, every odd one that must work and every broken one that must not."""
    folder = tmp_path_factory.mktemp("mixed")
    shutil.copytree(drawn_pictures, folder, dirs_exist_ok=True)
    (folder / "Odd ones").mkdir()
    broken = {name: data for name, (data, _) in BROKEN.items()}
    for name, data in {**ODD, **broken, **NOT_LISTED}.items():
        (folder / "Odd ones" / name).write_bytes(data)
    return folder


@pytest.fixture(scope="session")
def finished_run(mixed_pictures: Path, orchard: Orchard, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """A whole run over the mixed pictures."""
    output = tmp_path_factory.mktemp("runs")
    ended = orchard("run", "--images", mixed_pictures, "--output", output, "--run-id", "whole", *SMALL)
    assert ended.code == 0, ended.err
    return FinishedRun(mixed_pictures, output / "whole", ended)


@dataclass(frozen=True)
class Bucket:
    """A bucket behind a proxy, with the mixed pictures under `pictures`; `environment` leads a command there."""

    uri: str
    name: str
    proxy: FaultyS3
    environment: dict[str, str]


@pytest.fixture(scope="session")
def bucket(s3_server: S3Server, mixed_pictures: Path, orchard: Orchard) -> Iterator[Bucket]:
    """The pictures uploaded by the command line."""
    with FaultyS3(s3_server) as proxy, s3_server.bucket() as name:
        made = Bucket(f"s3://{name}", name, proxy, proxy.environment())
        ended = orchard("upload", mixed_pictures, f"{made.uri}/pictures", **made.environment)
        assert ended.code == 0, ended.err
        yield made


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """A Spark session of the tests' own, to see what others see of a run."""
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    session = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    yield session
    session.stop()


@pytest.fixture
def no_java_path(tmp_path: Path) -> str:
    """A PATH with everything of the usual one but Java."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for source in ("/usr/bin", "/bin"):
        for program in Path(source).iterdir():
            if not program.name.startswith("java") and not (folder / program.name).exists():
                (folder / program.name).symlink_to(program)
    return str(folder)
