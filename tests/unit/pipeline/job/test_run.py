"""pipeline.job.run: a whole run without Spark, its tasks one after the other in this process."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import reduce
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from pipeline.errors import InputError, TooManyBadPicturesError
from pipeline.job.request import RunRequest
from pipeline.job.run import run
from pipeline.network.keras_model import Network
from pipeline.network.weights import find_weights
from pipeline.progress import Narrator
from pipeline.run_folder.check import check_run
from pipeline.run_folder.record import read_record
from pipeline.settings import RunOptions, RunSettings
from pipeline.storage.opening import open_storage
from tests.pictures import encoded


@dataclass
class Shared:
    """A broadcast value, or an accumulator."""

    value: Any

    def add(self, more: int) -> None:
        self.value += more


@dataclass
class Rows:
    """As much of an RDD as the job uses."""

    partitions: list[list[Any]]

    def mapPartitions(self, function: Callable[[Iterable[Any]], Iterable[Any]]) -> "Rows":  # noqa: N802
        return Rows([list(function(partition)) for partition in self.partitions])

    def map(self, function: Callable[[Any], Any]) -> "Rows":
        return Rows([[function(row) for row in partition] for partition in self.partitions])

    def collect(self) -> list[Any]:
        return [row for partition in self.partitions for row in partition]

    def treeReduce(self, function: Callable[[Any, Any], Any]) -> Any:  # noqa: N802
        return reduce(function, self.collect())


@dataclass
class Context:
    """As much of a SparkContext as the job uses."""

    defaultParallelism: int = 2  # noqa: N815
    version: str = "4.0.0"

    def parallelize(self, rows: Iterable[Any], slices: int) -> Rows:
        rows = list(rows)
        return Rows([rows[slice_::slices] for slice_ in range(slices)])

    def broadcast(self, value: Any) -> Shared:
        return Shared(value)

    def accumulator(self, value: int) -> Shared:
        return Shared(value)

    def cancelAllJobs(self) -> None:  # noqa: N802
        pass


@pytest.fixture(autouse=True)
def no_spark(monkeypatch: pytest.MonkeyPatch, tiny_network: Network) -> None:
    """Neither a JVM nor Keras."""

    @contextmanager
    def spark_context(*_: object) -> Iterator[Context]:
        yield Context()

    monkeypatch.setattr("pipeline.job.phases.spark_context", spark_context)
    monkeypatch.setattr("pipeline.job.spark_jobs.run_job", lambda _, action, *_poll: action())
    monkeypatch.setattr("pipeline.job.phases.prepare_network", lambda *_: tiny_network)
    monkeypatch.setattr("pipeline.pictures.listing.SMALLEST_TASK", 5)


@pytest.fixture
def request_of(tmp_path: Path) -> Callable[..., RunRequest]:
    """Makes requests for the run `mine` over 40 pictures of two classes at 32 x 32."""
    for number in range(40):
        picture = tmp_path / "pictures" / ("Apple" if number % 2 else "Pear") / f"{number}.jpg"
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(encoded(size=(30 + number, 40)))
    weights = find_weights("random")
    settings = RunSettings(str(tmp_path / "pictures"), weights.sha256, image_size=32, components=3)

    def make(**options: Any) -> RunRequest:
        return RunRequest(
            settings=settings,
            options=RunOptions(**options),
            weights=weights,
            output=str(tmp_path / "runs"),
            run_id="mine",
            master="local[2]",
            process_started_at=0.0,
        )

    return make


@pytest.fixture
def narrator() -> Narrator:
    return Narrator(Console(file=StringIO(), highlight=False))


def folder_of(request: RunRequest) -> Path:
    return Path(request.output) / request.run_id


def test_a_run_is_whole_and_its_record_says_what_its_phases_took(
    request_of: Callable[..., RunRequest], narrator: Narrator
) -> None:
    request = request_of()
    record = run(request, narrator)
    assert check_run(open_storage(str(folder_of(request)))) == []
    assert record == read_record(open_storage(str(folder_of(request))))
    assert record.counts == {"listed": 40, "features": 40, "errors": 0, "kept": 0}
    assert record.attempts == 1
    assert len(record.parts) > 2
    phases = ["list", "network", "spark", "features", "before_first_picture", "pca_fit", "projection", "csv", "report"]
    assert list(record.seconds) == [*phases, "total"]
    assert record.images_per_second == pytest.approx(40 / record.seconds["features"])
    assert not (folder_of(request) / "attempts.json").exists()


def test_each_attempt_at_a_run_counts_even_one_that_had_no_time_to_say_so(
    request_of: Callable[..., RunRequest], narrator: Narrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PowerCutError(BaseException):
        """Nothing of the job catches it, as nothing of it outlives SIGKILL."""

    def cut(*_: object) -> None:
        raise PowerCutError

    with monkeypatch.context() as patched:
        patched.setattr("pipeline.job.spark_jobs.extract", cut)
        for options in ({}, {"resume": True}, {"resume": True}):
            with pytest.raises(PowerCutError):
                run(request_of(**options), narrator)
    refused = replace(request_of(resume=True), settings=replace(request_of().settings, components=4))
    with pytest.raises(InputError, match=r"was begun with other settings \(components\)"):
        run(refused, narrator)
    assert run(request_of(resume=True, report=False), narrator).attempts == 4
    assert run(request_of(resume=True), narrator).attempts == 4, "it was complete already"
    assert not (folder_of(refused) / "report.html").exists(), "none was asked for"


def test_too_many_bad_pictures_leave_their_record_and_a_higher_share_goes_on(
    request_of: Callable[..., RunRequest], narrator: Narrator
) -> None:
    (Path(request_of().settings.images) / "Pear" / "0.jpg").write_bytes(b"words")
    with pytest.raises(TooManyBadPicturesError, match=r"1 of 40 pictures could not be read \(1 not an image\)"):
        run(request_of(), narrator)
    content = json.loads((folder_of(request_of()) / "run.json").read_text())
    assert (content["status"], content["exit_status"], content["attempts"]) == ("too many bad pictures", 20, 1)
    assert content["counts"] == {"listed": 40, "features": 39, "errors": 1, "kept": 0}
    assert content["seconds"]["total"] > 0
    assert pq.read_table(folder_of(request_of()) / "errors.parquet")["path"].to_pylist() == ["Pear/0.jpg"]
    resumed = run(request_of(resume=True, max_bad=0.1), narrator)
    assert (resumed.status, resumed.attempts, resumed.counts["kept"]) == ("complete", 2, 40)
    assert resumed.images_per_second == 0
