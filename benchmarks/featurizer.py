"""MobileNetV2Featurizer against the job's feature phase: same pictures, same cores, same session, taking turns.

Both read the pictures from the disk and write their features as Parquet; neither's list of pictures counts. Keeps its
figures in benchmarks/featurizer.json, and benchmarks/featurizer.md is made of them.
"""

import argparse
import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.machine import machine
from benchmarks.spread import spread
from benchmarks.tasks import stored_tasks
from pipeline.job.extract import FeatureJob
from pipeline.job.session import default_master, spark_context
from pipeline.job.spark_jobs import extract_features
from pipeline.network.keras_model import prepare_network
from pipeline.network.weights import find_weights
from pipeline.pictures.listing import list_pictures
from pipeline.run_folder.parts import vectors_of
from pipeline.settings import RunSettings
from pipeline.spark_ml import MobileNetV2Featurizer
from pipeline.storage.local import LocalStorage

HERE = Path(__file__).parent
ROUNDS = 3
PICTURES = 2_000


def sample(source: LocalStorage, target: LocalStorage, count: int) -> None:
    """Copy so many pictures, drawn evenly from the classes."""
    chosen = list_pictures(source, RunSettings(source.uri, "", limit=count))
    for path in chosen["path"].to_pylist():
        target.write(path, source.read(path))


def by_job(context: Any, images: LocalStorage, weights: str, output: Path) -> float:
    """Seconds of the job's feature phase."""
    network = prepare_network(find_weights(weights), "openvino", "f32", RunSettings.image_size)
    job = FeatureJob(images, LocalStorage.at(str(output)), network, resume=False)
    tasks = stored_tasks(images, job.run, context.defaultParallelism)
    started = time.perf_counter()
    extract_features(context, job, tasks, lambda done, bad=0: None)  # noqa: ARG005  a Report's names
    return time.perf_counter() - started


def by_featurizer(context: Any, images: LocalStorage, featurizer: MobileNetV2Featurizer, output: Path) -> float:
    """Seconds from Spark's `binaryFile` to Parquet."""
    from pyspark.sql import SparkSession

    session = SparkSession(context)
    # As docs/own-work.md has it.
    session.conf.set("spark.sql.files.openCostInBytes", "512k")
    reader = session.read.format("binaryFile").option("recursiveFileLookup", "true")
    pictures = reader.load(images.uri).select("path", "content")
    started = time.perf_counter()
    featurizer.transform(pictures).drop("content").write.parquet(f"{output}/features")
    return time.perf_counter() - started


def largest_difference(images: LocalStorage, job: Path, featurizer: Path) -> float:
    """Between the features of the two, which are to be the same to the bit."""
    ours, theirs = pq.read_table(job / "features"), pq.read_table(featurizer / "features")
    wanted = dict(zip(ours["path"].to_pylist(), vectors_of(ours, "features"), strict=True))
    values = [vector["values"] for vector in theirs["features"].to_pylist()]
    names = [str(Path(path.removeprefix("file:")).relative_to(images.uri)) for path in theirs["path"].to_pylist()]
    assert sorted(names) == sorted(wanted)
    return max(float(np.abs(value - wanted[name]).max()) for name, value in zip(names, values, strict=True))


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The seconds of each, round by round; the first round, which starts the workers, does not count."""
    images = LocalStorage.at(str(folder / "pictures"))
    sample(LocalStorage.at(options.images), images, options.pictures)
    featurizer = MobileNetV2Featurizer(weights=options.weights)
    rounds: list[dict[str, float]] = []
    with spark_context(default_master(), "benchmark") as context:
        for turn in range(1 + options.rounds):
            job, other = folder / f"job-{turn}", folder / f"featurizer-{turn}"
            ways = {
                "job": partial(by_job, context, images, options.weights, job),
                "featurizer": partial(by_featurizer, context, images, featurizer, other),
            }
            # Whoever begins in one round comes last in the next.
            order = sorted(ways, reverse=turn % 2 == 0)
            rounds.append({name: ways[name]() for name in order})
            print(turn, rounds[-1], file=sys.stderr)
        difference = largest_difference(images, job, other)
    return {"pictures": options.pictures, "rounds": rounds[1:], "largest_difference": difference}


def page(figures: dict[str, Any]) -> str:
    """The table."""
    rounds, pictures = figures["rounds"], figures["pictures"]
    rates = {name: [pictures / one[name] for one in rounds] for name in ("job", "featurizer")}
    share = [one["job"] / one["featurizer"] for one in rounds]
    rows = [
        ("the job's feature phase, images/s", spread(rates["job"], ",.0f"), ""),
        ("`binaryFile` -> MobileNetV2Featurizer -> Parquet, images/s", spread(rates["featurizer"], ",.0f"), ""),
        ("the featurizer's over the job's", spread(share, ".0%"), ">= 85 %"),
        ("largest difference of a feature", f"{figures['largest_difference']:g}", "0"),
    ]
    lines = [
        "# MobileNetV2Featurizer beside the job",
        "",
        f"{pictures:,} pictures from the disk to Parquet, on the same cores in one session; median of {len(rounds)}",
        f"rounds in turns (least to most). {figures['machine']}.",
        *([f"Meanwhile: {figures['note']}."] if figures["note"] else []),
        "Made by `python -m benchmarks.featurizer`.",
        "",
        "| what | measured | target |",
        "| --- | --- | --- |",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--pictures", type=int, default=PICTURES, help="how many of them")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--note", default="", help="what else is to be said of the machine's state")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = {"machine": machine(), "note": options.note, **measure(options, Path(folder))}
    (HERE / "featurizer.json").write_text(json.dumps(figures, indent=1) + "\n")
    (HERE / "featurizer.md").write_text(page(figures))
    print(page(figures))


if __name__ == "__main__":
    main()
