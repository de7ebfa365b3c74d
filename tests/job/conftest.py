"""Runs of the real command line on real pictures, shared by the tests that look at what they left."""

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

from tests.pictures import BROKEN, NOT_LISTED, ODD

ROOT = Path(__file__).resolve().parents[2]
CLASSES, PER_CLASS = 12, 25
# Of the mixed pictures, those that must have features.
GOOD = CLASSES * PER_CLASS + len(ODD)


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


def command(*arguments: object) -> list[str]:
    """The words of a pipeline command."""
    return [sys.executable, "-m", "pipeline", *map(str, arguments)]


def begin(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    """Start a pipeline command in a process group of its own, so that a signal reaches it as a terminal's would."""
    return subprocess.Popen(
        command(*arguments),
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def kill(process: subprocess.Popen[str]) -> None:
    """SIGKILL to the command and all it started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.fixture(scope="session")
def orchard() -> Orchard:
    """Run a pipeline command to its end."""

    def run(*arguments: object, **environment: str) -> Ended:
        process = begin(*arguments, **environment)
        out, err = process.communicate()
        return Ended(process.returncode, out, err)

    return run


@pytest.fixture(scope="session")
def mixed_pictures(fruits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 real pictures of 12 classes, every odd one that must work and every broken one that must not."""
    folder = tmp_path_factory.mktemp("mixed")
    for label in sorted((fruits / "Test").iterdir())[:CLASSES]:
        (folder / label.name).mkdir()
        for picture in sorted(label.iterdir())[:PER_CLASS]:
            shutil.copyfile(picture, folder / label.name / picture.name)
    (folder / "Odd ones").mkdir()
    broken = {name: data for name, (data, _) in BROKEN.items()}
    for name, data in {**ODD, **broken, **NOT_LISTED}.items():
        (folder / "Odd ones" / name).write_bytes(data)
    return folder


@pytest.fixture(scope="session")
def finished_run(
    mixed_pictures: Path, imagenet_weights: Path, orchard: Orchard, tmp_path_factory: pytest.TempPathFactory
) -> FinishedRun:
    """A whole run over the mixed pictures with real weights."""
    output = tmp_path_factory.mktemp("runs")
    ended = orchard(
        "run", "--images", mixed_pictures, "--output", output, "--weights", imagenet_weights,
        "--run-id", "whole", "--max-bad", "0.05", "--components", "50",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    return FinishedRun(mixed_pictures, output / "whole", ended)


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """A Spark session of the tests' own, to see what others see of a run."""
    from pyspark.sql import SparkSession

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
