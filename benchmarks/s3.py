"""The job's measures on S3: listing, the driver's memory for a long list, and the feature phase against the disk.

Against the real server of the tests, on the same cores. Each `--what` measures one part and keeps its figures in
benchmarks/s3.json; benchmarks/s3.md is made of all of them.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from benchmarks.programs import printed
from benchmarks.spread import spread
from benchmarks.tasks import stored_tasks
from pipeline.job.extract import FeatureJob
from pipeline.job.session import default_master, spark_context
from pipeline.job.spark_jobs import extract_features
from pipeline.network.keras_model import prepare_network
from pipeline.network.weights import find_weights
from pipeline.parallel import run_ahead
from pipeline.pictures.opening import open_pictures
from pipeline.pictures.pack_writer import pack
from pipeline.progress import Narrator
from pipeline.settings import RunSettings
from pipeline.storage.local import LocalStorage
from pipeline.storage.opening import open_storage
from pipeline.storage.s3 import S3Storage
from pipeline.storage.transfer import upload
from tests.doubles.s3.listing import key_of, listing_s3
from tests.doubles.s3.server import S3Server

HERE = Path(__file__).parent
ROUNDS = 3
KEYS = 100_000
MANY = 1_000_000
PREFIX = "pictures"


def listing(_: argparse.Namespace) -> dict[str, Any]:
    """Seconds for the list of KEYS objects of the real server."""
    with S3Server() as server:
        # No clean-up: the server takes its data with it, faster than anyone could delete it.
        server.client().create_bucket(Bucket="many")
        os.environ.update(server.environment())
        bucket = S3Storage.at("s3://many")
        for _put in run_ahead(lambda number: bucket.write(key_of(number), b""), range(KEYS), 16, 64):
            pass
        rounds = [printed("benchmarks.long_list", f"s3://many/{PREFIX}") for _ in range(ROUNDS)]
    assert all(one["pictures"] == KEYS for one in rounds)
    return {"keys": KEYS, "seconds": [one["list_seconds"] for one in rounds]}


def memory(_: argparse.Namespace) -> dict[str, Any]:
    """The driver's peak and seconds for a list of MANY pictures, given by a server that makes up its keys."""
    with listing_s3(MANY) as endpoint:
        access = {"AWS_ENDPOINT_URL_S3": endpoint, "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
        return printed("benchmarks.long_list", f"s3://many/{PREFIX}", "--plan", **access)


def features(options: argparse.Namespace) -> dict[str, Any]:
    """The feature phase from the disk, from S3 and from packed pictures, in turns, in one Spark session."""
    network = prepare_network(find_weights(options.weights), "openvino", "f32", RunSettings.image_size)
    with tempfile.TemporaryDirectory() as folder, S3Server() as server, server.bucket() as bucket:
        os.environ.update(server.environment())
        loose, packed, runs = (f"s3://{bucket}/{name}" for name in (PREFIX, "packed", "runs"))
        upload(LocalStorage.at(options.images), S3Storage.at(loose), Narrator())
        pack(open_pictures(loose), open_storage(packed), Narrator())
        # Each way writes to where it reads from, as a user's job does.
        ways = {"disk": (options.images, folder), "S3": (loose, runs), "packed S3": (packed, runs)}
        turns: list[dict[str, Any]] = []
        with spark_context(default_master(), "benchmark") as context:
            for turn in range(1 + ROUNDS):
                figures = {}
                for name, (images, output) in ways.items():
                    job = FeatureJob(open_pictures(images), open_storage(f"{output}/{turn}"), network, resume=False)
                    before = server.cpu_seconds()
                    figures[name] = feature_phase(context, job)
                    figures[name]["server_cpu_seconds"] = server.cpu_seconds() - before
                    print(turn, name, figures[name], file=sys.stderr)
                turns.append(figures)
        # The first turn starts the workers.
        return {"turns": turns[1:]}


def feature_phase(context: Any, job: FeatureJob) -> dict[str, float]:
    """Pictures, images/s from the first picture on, and a worker's peak memory in bytes."""
    tasks = stored_tasks(job.images, job.run, context.defaultParallelism)
    results = extract_features(context, job, tasks, lambda done, bad=0: None)  # noqa: ARG005  a Report's names
    seconds = max(result.ended_at for result in results) - min(result.first_picture_at for result in results)
    count = sum(result.features for result in results)
    assert count == sum(task.rows for task in tasks)
    return {
        "pictures": count,
        "images_per_second": count / seconds,
        "peak_bytes": max(result.peak_bytes for result in results),
        "retries": sum(result.retries for result in results),
    }


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "listing": listing,
    "memory": memory,
    "features": features,
}


def rows(figures: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """What, measured, target, when and where."""
    if one := figures.get("listing"):
        yield f"list of {one['keys']:,} keys, seconds", spread(one["seconds"], ".1f"), "<= 20", one["machine"]
    if one := figures.get("memory"):
        where, name = one["machine"], f"{one['pictures']:,} keys"
        yield f"{name}: driver's peak memory, MiB", f"{one['peak_bytes'] / 2**20:,.0f}", "<= 1,024", where
        yield f"{name}: sort, label, plan and pack into tasks, seconds", f"{one['plan_seconds']:.1f}", "<= 30", where
        yield f"{name}: list (keys made up as they are asked for), seconds", f"{one['list_seconds']:.1f}", "", where
    if one := figures.get("features"):
        yield from feature_rows(one)


def feature_rows(one: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """The rows of the feature phase."""
    turns, where = one["turns"], one["machine"]
    for name, figures in turns[0].items():
        rates = [turn[name]["images_per_second"] for turn in turns]
        yield f"images/s from {name}, {figures['pictures']:,} pictures", spread(rates, ",.0f"), "", where
    for name in list(turns[0])[1:]:
        server = [1_000 * turn[name]["server_cpu_seconds"] / turn[name]["pictures"] for turn in turns]
        yield f"{name}: the server's own processor time on these cores, ms a picture", spread(server, ".2f"), "", where
        shares = [turn[name]["images_per_second"] / turn["disk"]["images_per_second"] for turn in turns]
        yield f"images/s from {name} over from disk", spread(shares, ".0%"), ">= 90 %", where
        alone = [_without_server(turn[name]) / turn["disk"]["images_per_second"] for turn in turns]
        yield "the same, computed without the server's time", spread(alone, ".0%"), "", where
    peak = max(figures["peak_bytes"] for turn in turns for figures in turn.values())
    yield "worker's peak memory, MiB", f"{peak / 2**20:,.0f}", "<= 1,024", where


def _without_server(turn: dict[str, float]) -> float:
    """Images/s had the server run elsewhere: every core is busy all the time, so what it took can be taken off."""
    wall = turn["pictures"] / turn["images_per_second"]
    return turn["pictures"] / (wall - turn["server_cpu_seconds"] / (os.cpu_count() or 1))


def page(figures: dict[str, Any]) -> str:
    """The table."""
    lines = [
        "# The job on S3",
        "",
        f"Against SeaweedFS on the same cores; median of {ROUNDS} rounds in turns (least to most).",
        "Made by `python -m benchmarks.s3 --what listing memory features`.",
        "",
        "| what | measured | target | machine and day |",
        "| --- | --- | --- | --- |",
        *(f"| {' | '.join(row)} |" for row in rows(figures)),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--what", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--images", help="for features: a folder of about 2,000 pictures")
    parser.add_argument("--weights", help="for features")
    options = parser.parse_args()
    kept = HERE / "s3.json"
    figures = json.loads(kept.read_text()) if kept.exists() else {}
    for name in options.what:
        figures[name] = {"machine": machine(), **PARTS[name](options)}
        kept.write_text(json.dumps(figures, indent=1) + "\n")
    (HERE / "s3.md").write_text(page(figures))
    print(page(figures))


if __name__ == "__main__":
    main()
