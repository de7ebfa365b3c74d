"""What the job's tests share: a network of the real one's width and a whole run, both made without Spark and Keras."""

from contextlib import nullcontext
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.job.run import run
from pipeline.network.keras_model import FEATURES, Network
from pipeline.progress import Narrator
from tests.unit.pipeline.without_spark import folder_of, made_network, request_of, without_spark


@pytest.fixture(autouse=True)
def no_jvm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that are refused here have started none."""
    monkeypatch.setattr("pipeline.job.phases.jvm_ahead", lambda *_: nullcontext())


@pytest.fixture(scope="session")
def tiny_network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    """A network as wide as the real one, for tests whose point is not its numbers."""
    return made_network(FEATURES, tmp_path_factory.mktemp("network"))


@pytest.fixture(scope="session")
def narrator() -> Narrator:
    """One whom nobody hears."""
    return Narrator(Console(file=StringIO(), highlight=False))


@pytest.fixture(scope="session")
def whole_run(narrator: Narrator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run over PICTURES pictures, two of which cannot be read; copy it to change it."""
    folder = tmp_path_factory.mktemp("whole")
    request = request_of(folder, max_bad=0.1)
    for number in (0, 1):
        (folder / "pictures" / ("Apple" if number else "Pear") / f"{number}.jpg").write_bytes(b"words")
    with without_spark(tmp_path_factory.mktemp("network")):
        run(request, narrator)
    return folder_of(request)
