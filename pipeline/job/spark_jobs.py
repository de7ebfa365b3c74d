"""The Spark phases of a run: features, moments for the fit, projection."""

import pickle
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from pipeline.job.extract import FeatureJob, FeatureTask, TaskResult, check_processor, extract
from pipeline.job.outage import as_outage, broadcast
from pipeline.job.session import run_job
from pipeline.network.keras_model import FEATURES
from pipeline.pca.fit import Moments, PcaModel
from pipeline.process.hanging import watched
from pipeline.progress import Report
from pipeline.run_folder.csv_files import csv_part
from pipeline.run_folder.inputs import TaskRows, rows_at
from pipeline.run_folder.layout import csv_key, pca_key
from pipeline.run_folder.parts import read_features, sha256, vector_table, vectors_of
from pipeline.run_folder.thumbnails import metadata_of
from pipeline.storage.base import Storage
from pipeline.storage.parquet import parquet_bytes

# Rows that are multiplied at once: enough for BLAS to run at full speed, 20 MB as float64.
GRAM_ROWS = 2048
# The job group of the tasks that compute features.
FEATURES_GROUP = "features"

Look = Callable[[], None]


def nothing() -> None:
    """What is looked at now and then where nobody wants to."""


def extract_features(
    context: Any, job: FeatureJob, tasks: Sequence[TaskRows], on_progress: Report, look: Look = nothing
) -> list[TaskResult]:
    """Run every task, whose worker reads its rows of the list itself.

    `on_progress` hears how many pictures are accounted for so far, and how many bad.

    `look` is called now and then meanwhile, as in the other phases.
    """
    listed = sum(task.rows for task in tasks)
    shared, done, bad = broadcast(context, job), context.accumulator(0), context.accumulator(0)

    def run_tasks(places: Iterable[TaskRows]) -> Iterable[TaskResult]:
        for place in places:
            check_processor(shared.value)
            with watched() as alive, as_outage():
                rows = rows_at(shared.value.run, place)
                result = extract(shared.value, FeatureTask.of(place.task, rows), alive)
            done.add(result.listed)
            bad.add(result.errors)
            yield result

    rdd = context.parallelize(tasks, len(tasks)).mapPartitions(run_tasks)

    def collect() -> list[TaskResult]:
        # Of the thread that it is called in.
        context.setJobGroup(FEATURES_GROUP, "Features")
        results: list[TaskResult] = rdd.collect()
        return results

    def poll() -> None:
        on_progress(min(done.value, listed), bad.value)
        look()

    return run_job(context, collect, poll)


def sum_moments(context: Any, run: Storage, tasks: int, look: Look = nothing) -> Moments:
    """The moments of all features of the run, one pass, each core over its share of the parts."""
    groups = min(tasks, context.defaultParallelism)
    shares = [list(range(tasks))[start::groups] for start in range(groups)]
    rdd = context.parallelize(shares, groups).map(lambda share: _moments_of_parts(run, share))
    moments: Moments = run_job(context, lambda: rdd.treeReduce(add), look)
    return moments


def _moments_of_parts(run: Storage, tasks: list[int]) -> Moments:
    total = Moments(0, np.zeros(FEATURES), np.zeros((FEATURES, FEATURES)))
    waiting: list[Any] = []

    def flush() -> Moments:
        rows = np.concatenate(waiting)
        waiting.clear()
        return Moments.of(rows)

    with watched() as alive:
        for task in tasks:
            with as_outage():
                table = read_features(run, task).table
            if table.num_rows:
                waiting.append(vectors_of(table, "features"))
            if sum(map(len, waiting)) >= GRAM_ROWS:
                total += flush()
            alive()
    return reduce(add, [flush()] if waiting else [], total)


@dataclass(frozen=True)
class Projected:
    """A projection part's SHA-256 and bytes."""

    sha256: str
    bytes: int


def project_features(
    context: Any, run: Storage, model: PcaModel, tasks: int, look: Look = nothing, *, with_csv: bool = False
) -> list[Projected]:
    """Write the projection part of every task, beside it one as CSV where asked; what is returned is in their order."""
    # As bytes: with encryption on, PySpark 4.3 cannot broadcast an array, whose pickle it measures by len().
    shared = broadcast(context, pickle.dumps(model))
    rdd = context.parallelize(range(tasks), tasks).map(
        lambda task: _project_part(run, pickle.loads(shared.value), task, with_csv)  # noqa: S301  our own driver's
    )
    projected: list[Projected] = run_job(context, rdd.collect, look)
    return projected


def _project_part(run: Storage, model: PcaModel, task: int, with_csv: bool) -> Projected:
    with watched():
        with as_outage():
            part = read_features(run, task)
        table = part.table
        rows = vectors_of(table, "features").reshape(-1, FEATURES)
        projected = vector_table(table["path"].to_pylist(), table["label"].to_pylist(), "pca", model.project(rows))
        projected = projected.replace_schema_metadata(metadata_of(part.thumbnails))
        data = parquet_bytes(projected, dictionary=["label"])
        with as_outage():
            run.write(pca_key(task), data)
        if with_csv:
            lines = csv_part(projected, model.components.shape[1])
            with as_outage():
                run.write(csv_key(task), lines)
        return Projected(sha256(data), len(data))
