"""Orchard's job beside what people run today: the same pictures, the same cores, in turns.

With `--s3` the ways also read from a bucket and write to it, (a) and (b) by s3a with what notebooks have of it on a
cluster. Each repeat begins with another way, so that no way has a place of its own.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import s3a_jars
from benchmarks import s3a
from benchmarks.machine import has, machine
from benchmarks.notebook_way import COMPONENTS
from benchmarks.programs import ROOT, call, printed
from benchmarks.spread import spread

PHASES = ("start", "list", "read and decode", "features", "PCA fit", "write")


@dataclass(frozen=True)
class Way:
    """One way to do the job; `program` for a baseline, `options` for Orchard's own."""

    name: str
    title: str
    program: str = ""
    options: tuple[str, ...] = ()
    on_s3: bool = False


NOTEBOOK = Way("a", "notebook: binaryFile, pandas UDF, Keras", program="benchmarks.notebook_way")
DISK = (
    NOTEBOOK,
    Way("b", "predict_batch_udf, Keras", program="benchmarks.predict_batch"),
    Way("c", "Orchard, TensorFlow", options=("--engine", "tensorflow")),
    Way("d", "Orchard, OpenVINO f32"),
    Way("e", "Orchard, OpenVINO bf16", options=("--precision", "bf16")),
)
S3 = tuple(replace(way, on_s3=True) for way in DISK)


class Ways:
    """Runs ways over one set of pictures: `images` on disk, `s3` the same in a bucket (empty: none).

    `configuration` is the SPARK_CONF_DIR that brings the baselines s3a.
    """

    def __init__(self, images: Path, weights: Path, folder: Path, s3: str = "", configuration: str = "") -> None:
        self.images, self.weights, self.folder = images, weights, folder
        self.s3, self.configuration = s3, configuration

    def run(self, way: Way) -> dict[str, Any]:
        """Seconds of one run by phase and, from outside, in all."""
        if not way.on_s3:
            shutil.rmtree(self.output(way), ignore_errors=True)
        started = time.perf_counter()
        measured = self._baseline(way) if way.program else self._orchard(way)
        return {**measured, "total": time.perf_counter() - started}

    def output(self, way: Way) -> Path:
        """Where a way on disk leaves `features/` and `pca/`."""
        return self.folder / way.name

    def _baseline(self, way: Way) -> dict[str, Any]:
        images, output = (place.replace("s3://", "s3a://") for place in self._places(way))  # Hadoop's name for it
        words = ("--images", images, "--weights", self.weights, "--output", f"{output}/{self._run_id(way)}")
        seconds = printed(way.program, *words, **({"SPARK_CONF_DIR": self.configuration} if way.on_s3 else {}))
        return {"seconds": {"PCA fit" if name == "pca_fit" else name: value for name, value in seconds.items()}}

    def _orchard(self, way: Way) -> dict[str, Any]:
        images, output = self._places(way)
        run_id = self._run_id(way)
        words = ("--images", images, "--output", output, "--weights", self.weights, "--run-id", run_id)
        call("pipeline", "run", *words, "--no-report", "--components", COMPONENTS, *way.options)
        return _phases(_record(f"{output}/{run_id}"))

    def _places(self, way: Way) -> tuple[str, str]:
        return (self.s3, f"{self.s3}-runs") if way.on_s3 else (str(self.images), str(self.folder))

    def _run_id(self, way: Way) -> str:
        return f"{way.name}-{time.time_ns()}" if way.on_s3 else way.name


def _record(run: str) -> dict[str, Any]:
    """run.json of a run on disk or in a bucket."""
    if not run.startswith("s3://"):
        return dict(json.loads((Path(run) / "run.json").read_text()))
    import boto3

    bucket, _, prefix = run.removeprefix("s3://").partition("/")
    return dict(json.loads(boto3.client("s3").get_object(Bucket=bucket, Key=f"{prefix}/run.json")["Body"].read()))


def _phases(record: dict[str, Any]) -> dict[str, Any]:
    """A record's seconds by the table's phases. Reading overlaps the network: what is shown is the wait for it."""
    seconds, spent, cores = record["seconds"], record["worker_seconds"], record["cores"]
    waiting = spent["wait"] / cores
    return {
        "images_per_second": record["images_per_second"],
        "worker_peak_bytes": record["worker_peak_bytes"],
        "feature_phase": seconds["features"],
        "seconds": {
            "start": seconds["network"] + seconds["spark"],
            "list": seconds["list"],
            "read and decode": waiting,
            "features": seconds["features"] - waiting,
            "PCA fit": seconds["pca_fit"],
            "write": seconds["projection"] + seconds["csv"],
        },
    }


def spread_sample(images: Path, count: int, folder: Path) -> Path:
    """A folder with `count` of the pictures, evenly over the classes."""
    every = sorted(images.rglob("*.jpg"))
    for source in every[:: max(1, len(every) // count)][:count]:
        target = folder / source.parent.name / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    return folder


def measure(ways: Ways, chosen: list[Way], repeats: int) -> dict[str, Any]:
    """Every way `repeats` times in turns, then the vectors compared with the first way's."""
    rounds: dict[str, list[dict[str, Any]]] = {_label(way): [] for way in chosen}
    for number in range(repeats):
        for way in chosen[number:] + chosen[:number]:
            print(f"round {number + 1} of {repeats}: {_label(way)}", file=sys.stderr)
            rounds[_label(way)].append(ways.run(way))
    on_disk = [way for way in chosen if not way.on_s3]
    compared = printed("benchmarks.compare", *(f"{way.name}={ways.output(way)}" for way in on_disk))
    return {"rounds": rounds, "compared": compared}


def _label(way: Way) -> str:
    return f"({way.name}) {way.title}, {'S3' if way.on_s3 else 'disk'}"


def table(measured: dict[str, Any]) -> str:
    """Medians of the seconds, and round by round how many times faster than (a), from S3 if that was measured, too."""
    rounds, compared = measured["rounds"], measured["compared"]
    lines = [
        f"| way | {' | '.join(PHASES)} | in all, s | times (a) | features differ by | accuracy |",
        f"| --- |{' ---: |' * (len(PHASES) + 4)}",
    ]
    for label, runs in rounds.items():
        cells = [_median([one["seconds"].get(phase) for one in runs]) for phase in PHASES]
        totals = [one["total"] for one in runs]
        slow = rounds.get(_label(replace(NOTEBOOK, on_s3=label.endswith("S3"))), rounds[_label(NOTEBOOK)])
        times = spread([a["total"] / b for a, b in zip(slow, totals, strict=True)], ".1f")
        vectors = compared[label[1]]
        differ = f"{vectors['largest_difference']:.1g}" if label.endswith("disk") else ""
        accuracy = f"{vectors['accuracy']:.1%}" if label.endswith("disk") else ""
        row = [label, *cells, f"{statistics.median(totals):.0f}", times, differ, accuracy]
        lines.append(f"| {' | '.join(row)} |")
    count = len(rounds[_label(NOTEBOOK)])
    head = f"{measured['pictures']:,} pictures, {count} {'round' if count == 1 else 'rounds in turns'}."
    return "\n".join([head, "", *lines, ""])


def _median(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{statistics.median(known):.1f}" if known else ""


def chart(measured: dict[str, Any], file: Path) -> None:
    """Bars of the phases' median seconds, one a way."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    rounds = measured["rounds"]
    figure, axes = plt.subplots(figsize=(9, 0.5 * len(rounds) + 1.2))
    left = [0.0] * len(rounds)
    for phase in PHASES:
        widths = [statistics.median([one["seconds"].get(phase, 0.0) for one in runs]) for runs in rounds.values()]
        axes.barh(list(rounds), widths, left=left, label=phase)
        left = [begin + width for begin, width in zip(left, widths, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel("seconds")
    axes.legend(fontsize="small", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, bbox_inches="tight", metadata={"Date": None})


def main() -> None:
    """Measure and write a page, its figures and its chart: benchmarks/ways.md, ways.json and ways.svg."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True, type=Path)
    parser.add_argument("--weights", required=True, type=Path)
    parser.add_argument("--s3", default="", help="a bucket for the S3 half, s3://bucket")
    parser.add_argument("--sample", type=int, default=2_000, help="pictures that every way is given")
    parser.add_argument("--page", default="ways", help="name of the page, where the usual one is to stay")
    parser.add_argument("--ways", default="abcde", help="letters of the ways that take part, (a) among them")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--repeats-of-all", type=int, default=1, help="rounds over all pictures, of (a), (d) and (e)")
    options = parser.parse_args()
    chosen = [way for way in [*DISK, *(S3 if options.s3 else ())] if way.name in options.ways]
    chosen = [way for way in chosen if way.name != "e" or has("avx512_bf16")]
    fast = [way for way in chosen if way.name in "ade"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        configuration = _s3a(folder / "s3a") if options.s3 else ""
        sample = spread_sample(options.images, options.sample, folder / "pictures")
        measured = []
        for title, images, ways, repeats in (
            ("sample", sample, chosen, options.repeats),
            ("all", options.images.absolute(), fast, options.repeats_of_all),
        ):
            if not repeats:
                continue
            s3 = _uploaded(images, options.s3, title)
            among = Ways(images, options.weights.absolute(), folder / title, s3, configuration)
            pictures = sum(1 for _ in images.rglob("*.jpg"))
            measured.append({"pictures": pictures, **measure(among, ways, repeats)})
            _write(options.page, measured, _hadoop_aws() if options.s3 else "")


def _uploaded(images: Path, bucket: str, title: str) -> str:
    if not bucket:
        return ""
    target = f"{bucket}/{title}"
    call("pipeline", "upload", images, target)
    return target


def _s3a(folder: Path) -> str:
    """A SPARK_CONF_DIR for the S3 that the environment leads to."""
    folder.mkdir()
    return str(s3a.configure(folder, os.environ["AWS_REGION"], os.environ["AWS_ENDPOINT_URL_S3"]))


def _hadoop_aws() -> str:
    """Name and version of the baselines' S3 reader, as the lock of jars has it."""
    [jar] = [jar for jar in s3a_jars.read(s3a.LOCK.read_text()) if jar.artifact == "hadoop-aws"]
    return f"{jar.artifact} {jar.version}"


def _write(name: str, measured: list[dict[str, Any]], reader: str) -> None:
    folder = ROOT / "benchmarks"
    head = f"{machine()}. Reading overlaps the network: its column is the wait."
    if reader:
        head += f" (a) and (b) read S3 by {reader}."
    parts = ["# The job beside what people run today", "", head, "", f"![seconds of each way by phase]({name}.svg)", ""]
    page = "\n".join([*parts, *map(table, measured)])
    (folder / f"{name}.md").write_text(page)
    (folder / f"{name}.json").write_text(json.dumps({"machine": machine(), "measured": measured}, indent=1) + "\n")
    chart(measured[-1], folder / f"{name}.svg")
    print(page)


if __name__ == "__main__":
    main()
