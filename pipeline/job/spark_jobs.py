"""The Spark phases of a run: features, moments for the fit, projection."""

import pickle
from collections.abc import Callable, Iterable
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.job.extract import FeatureJob, FeatureTask, TaskResult, check_processor, decode_task, encode_task, extract
from pipeline.job.outage import as_outage, broadcast
from pipeline.job.session import run_job
from pipeline.network.keras_model import FEATURES
from pipeline.pca.fit import Moments, PcaModel
from pipeline.pictures.listing import task_bounds
from pipeline.process.hanging import watched
from pipeline.progress import Report
from pipeline.run_folder.layout import pca_key
from pipeline.run_folder.parts import read_features, sha256, vector_table, vectors_of
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
    context: Any, job: FeatureJob, inputs: pa.Table, on_progress: Report, look: Look = nothing
) -> list[TaskResult]:
    """Run every task of the list; `on_progress` hears how many pictures are accounted for so far, and how many bad.

    `look` is called now and then meanwhile, as in the other phases.
    """
    tasks = encoded_tasks(inputs)
    shared, done, bad = broadcast(context, job), context.accumulator(0), context.accumulator(0)

    def run_tasks(encoded: Iterable[bytes]) -> Iterable[TaskResult]:
        for data in encoded:
            check_processor(shared.value)
            with watched() as alive, as_outage():
                result = extract(shared.value, decode_task(data), alive)
            done.add(result.listed)
            bad.add(len(result.errors))
            yield result

    rdd = context.parallelize(tasks, len(tasks)).mapPartitions(run_tasks)

    def collect() -> list[TaskResult]:
        # Of the thread that it is called in.
        context.setJobGroup(FEATURES_GROUP, "Features")
        results: list[TaskResult] = rdd.collect()
        return results

    def poll() -> None:
        on_progress(min(done.value, inputs.num_rows), bad.value)
        look()

    return run_job(context, collect, poll)


def encoded_tasks(inputs: pa.Table) -> list[bytes]:
    """Each task's rows of the list, as `decode_task` takes them."""
    columns = [inputs[name] for name in ("path", "label", "bytes")]
    return [
        encode_task(FeatureTask(number, *(column.slice(*bound).to_pylist() for column in columns)))
        for number, bound in enumerate(task_bounds(inputs))
    ]


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


def project_features(context: Any, run: Storage, model: PcaModel, tasks: int, look: Look = nothing) -> list[str]:
    """Write the projection part of every task; returns the parts' SHA-256 in the tasks' order."""
    # As bytes: with encryption on, PySpark 4.3 cannot broadcast an array, whose pickle it measures by len().
    shared = broadcast(context, pickle.dumps(model))
    rdd = context.parallelize(range(tasks), tasks).map(
        lambda task: _project_part(run, pickle.loads(shared.value), task)  # noqa: S301  our own driver's
    )
    checksums: list[str] = run_job(context, rdd.collect, look)
    return checksums


def _project_part(run: Storage, model: PcaModel, task: int) -> str:
    with watched():
        with as_outage():
            table = read_features(run, task).table
        rows = vectors_of(table, "features").reshape(-1, FEATURES)
        projected = vector_table(table["path"].to_pylist(), table["label"].to_pylist(), "pca", model.project(rows))
        data = parquet_bytes(projected, dictionary=["label"])
        with as_outage():
            run.write(pca_key(task), data)
        return sha256(data)
