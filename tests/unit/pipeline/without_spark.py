"""Runs without Spark and Keras: tasks one after the other in this process, on a network made here."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.job.losses import Executor
from pipeline.job.request import RunRequest
from pipeline.network.frameworks import import_openvino
from pipeline.network.keras_model import Network
from pipeline.network.weights import find_weights
from pipeline.settings import RunOptions, RunSettings
from tests.pictures import encoded

# Features of such a run: the PCA of the real network's 1,280 takes a second.
WIDTH = 64
PICTURES = 40


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

    def setJobGroup(self, *_: str) -> None:  # noqa: N802
        pass


@dataclass
class Books:
    """Spark's books on executors, of which these were lost, and what they had broken off."""

    lost: list[Executor] = field(default_factory=list)
    tasks: dict[str, set[int]] = field(default_factory=dict)

    def executors(self) -> list[Executor]:
        return self.lost

    def broken_off(self) -> dict[str, set[int]]:
        return self.tasks


def made_network(width: int, folder: Path) -> Network:
    """32 x 32 pixels to this many features by averages of 8 x 8 blocks and one matrix; run by the real engine."""
    openvino = import_openvino()
    from openvino import opset13 as ops

    pixels = ops.parameter([1, 32, 32, 3], np.float32)
    blocks = ops.avg_pool(ops.transpose(pixels, [0, 3, 1, 2]), [8, 8], [0, 0], [0, 0], [8, 8], exclude_pad=True)
    flat = ops.reshape(blocks, [0, 48], special_zero=True)
    matrix = np.random.default_rng(5).normal(size=(48, width)).astype(np.float32)
    model = openvino.Model([ops.matmul(flat, matrix, False, False)], [pixels])
    openvino.save_model(model, folder / "network.xml", compress_to_fp16=False)
    return Network("openvino", "f32", 32, *((folder / f"network.{suffix}").read_bytes() for suffix in ("xml", "bin")))


@contextmanager
def without_spark(folder: Path) -> Iterator[pytest.MonkeyPatch]:
    """In the block `pipeline.job.run.run` needs neither a JVM nor Keras, and makes a task of a few pictures."""
    network = made_network(WIDTH, folder)

    @contextmanager
    def spark_context(*_: object) -> Iterator[Context]:
        yield Context()

    with pytest.MonkeyPatch.context() as patch:
        for module in ("network.engine", "features.running", "job.spark_jobs"):
            patch.setattr(f"pipeline.{module}.FEATURES", WIDTH)
        patch.setattr("pipeline.job.phases.jvm_ahead", lambda *_: nullcontext())
        patch.setattr("pipeline.job.phases.spark_context", spark_context)
        patch.setattr("pipeline.job.phases.SparkBooks", lambda *_: Books())
        patch.setattr("pipeline.job.spark_jobs.run_job", lambda _, action, *_poll: action())
        patch.setattr("pipeline.job.phases.prepare_network", lambda *_: network)
        patch.setattr("pipeline.pictures.tasks.SMALLEST_TASK", 5)
        yield patch


def request_of(folder: Path, **options: Any) -> RunRequest:
    """A request for the run `mine` over PICTURES pictures of two classes in the folder, which are made if need be."""
    for number in range(PICTURES):
        picture = folder / "pictures" / ("Apple" if number % 2 else "Pear") / f"{number}.jpg"
        if not picture.exists():
            picture.parent.mkdir(parents=True, exist_ok=True)
            picture.write_bytes(encoded(size=(30 + number, 40)))
    weights = find_weights("random")
    return RunRequest(
        settings=RunSettings(str(folder / "pictures"), weights.sha256, image_size=32, components=3),
        options=RunOptions(**options),
        weights=weights,
        output=str(folder / "runs"),
        run_id="mine",
        master="local[2]",
        process_started_at=0.0,
    )


def folder_of(request: RunRequest) -> Path:
    """The run's folder."""
    return Path(request.output) / request.run_id
