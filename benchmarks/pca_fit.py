"""The PCA fit against `pyspark.ml.feature.PCA`: same features, same session, taking turns.

Both read the Parquet parts and find the k leading components. Prints one JSON object with the seconds of each fit (the
first of a way is the cold one) and the largest angle between the two subspaces.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.job.session import default_master, spark_context
from pipeline.job.spark_jobs import sum_moments
from pipeline.pca.fit import fit
from pipeline.run_folder.layout import feature_key
from pipeline.run_folder.parts import FeaturePart, encode_features, read_features, vector_table, vectors_of
from pipeline.settings import RunSettings
from pipeline.storage.base import Storage
from pipeline.storage.opening import open_storage


def grown(run: Storage, parts: int, rows: int, folder: str) -> Storage:
    """A copy of the features with at least that many rows: the same ones again with a little noise."""
    rng, target = np.random.default_rng(0), open_storage(folder)
    written = number = 0
    while written < rows:
        table = read_features(run, number % parts).table
        vectors = vectors_of(table, "features")
        noisy = np.maximum(vectors + rng.normal(0, 0.01, vectors.shape), 0).astype(np.float32)
        grown_table = vector_table(table["path"].to_pylist(), table["label"].to_pylist(), "features", noisy)
        target.write(feature_key(number), encode_features(FeaturePart(grown_table, [], table.num_rows)))
        written, number = written + table.num_rows, number + 1
    return target


def count_parts(run: Storage) -> int:
    """Feature parts of a run."""
    return sum(batch.num_rows for batch in run.list("features"))


def compare(context: Any, run: Storage, k: int, repeats: int) -> dict[str, Any]:
    """Seconds of each fit by each way, in turns."""
    from pyspark.ml.feature import PCA
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import SparkSession

    session, parts = SparkSession(context), count_parts(run)
    seconds: dict[str, list[float]] = {"orchard": [], "spark": []}
    for _ in range(repeats):
        started = time.perf_counter()
        ours = fit(sum_moments(context, run, parts), k, None)
        seconds["orchard"].append(time.perf_counter() - started)
        started = time.perf_counter()
        rows = session.read.parquet(f"{run.uri}/features").select(array_to_vector("features").alias("features"))
        theirs = PCA(k=k, inputCol="features", outputCol="pca").fit(rows).pc.toArray()
        seconds["spark"].append(time.perf_counter() - started)
    cosines = np.linalg.svd(ours.components.T @ theirs, compute_uv=False)
    return {**seconds, "subspace_angle": float(np.arccos(np.clip(cosines.min(), -1, 1)))}


def main() -> None:
    """Compare the two on a run's features, grown to `--rows` where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", required=True, help="a run folder with features/")
    parser.add_argument("--rows", type=int, help="grow the features to this many rows")
    parser.add_argument("--components", type=int, default=RunSettings.components)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    run = open_storage(str(Path(options.run).absolute()))
    with tempfile.TemporaryDirectory() as folder:
        if options.rows:
            run = grown(run, count_parts(run), options.rows, folder)
        with spark_context(default_master(), "benchmark") as context:
            print(json.dumps(compare(context, run, options.components, options.repeats)))


if __name__ == "__main__":
    main()
