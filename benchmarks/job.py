"""Measures the job on this machine and keeps the tables under benchmarks/.

Every figure is a ratio within one run: what is compared takes turns on the same cores with the same pictures. The
programs that are compared are command lines (`python -m pipeline`, `python -m benchmarks.*`), timed from outside or
by what they print.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from benchmarks.programs import ROOT, call, printed
from benchmarks.spread import spread

SMALL = 2_000


class Job:
    """The pictures, weights and folder of one benchmark."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.images, self.weights, self.folder = options.images, options.weights, folder
        self.limit = ("--limit", options.limit) if options.limit else ()

    def run(self, name: str, *more: object, **environment: str) -> dict[str, Any]:
        """run.json of a new run."""
        shutil.rmtree(self.folder / name, ignore_errors=True)
        words = ("run", "--images", self.images, "--output", self.folder, "--weights", self.weights, "--run-id", name)
        call("pipeline", *words, "--no-report", *more, **environment)
        record: dict[str, Any] = json.loads((self.folder / name / "run.json").read_text())
        return record

    def plain(self) -> dict[str, Any]:
        """The plain loop on the same pictures."""
        return printed("benchmarks.plain_loop", "--images", self.images, "--weights", self.weights, *self.limit)

    def fits(self, *more: object) -> dict[str, Any]:
        """Seconds of the PCA fits, by way."""
        return printed("benchmarks.pca_fit", "--run", self.folder / "full", *more)


def measure(job: Job, repeats: int) -> dict[str, Any]:
    """Everything, in turns."""
    cold = job.run("cold", "--limit", 64, "--components", 2, XDG_CACHE_HOME=str(job.folder / "cache"))
    rounds = []
    for _ in range(repeats):
        small, full, plain = job.run("small", "--limit", SMALL), job.run("full", *job.limit), job.plain()
        rounds.append({"small": small, "full": full, "plain": plain})
    fits, grown = job.fits(), job.fits("--rows", 100_000)
    return {"cold": cold, "rounds": rounds, "fits": fits, "fits_100k": grown}


def table(measured: dict[str, Any]) -> str:
    """The result as a Markdown page: medians over the rounds, and ratios round by round."""
    rounds = measured["rounds"]
    full, small = [one["full"] for one in rounds], [one["small"] for one in rounds]
    phase, at_work = [one["images_per_second"] for one in full], [busy_rate(one) for one in full]
    loops = [one["plain"]["images"] / one["plain"]["seconds"] for one in rounds]
    flat = [busy_rate(one) / rate for one, rate in zip(small, at_work, strict=True)]
    over_loop = [a / b for a, b in zip(phase, loops, strict=True)]
    at_work_over_loop = [a / b for a, b in zip(at_work, loops, strict=True)]
    whole_over_loop = [one["plain"]["seconds"] / one["full"]["seconds"]["total"] for one in rounds]
    peaks = [one["worker_peak_bytes"] / 2**20 for one in full]
    starts = [one["seconds"]["before_first_picture"] for one in full]
    rows = [
        ("images/s, feature phase", spread(phase, ",.0f"), ""),
        ("images/s while workers are at it, their start left out", spread(at_work, ",.0f"), ""),
        ("images/s, same engine in a plain loop", spread(loops, ",.0f"), ""),
        ("feature phase over plain loop", spread(over_loop, ".0%"), ">= 90 %"),
        ("the same, workers' start left out", spread(at_work_over_loop, ".0%"), ""),
        ("whole run over plain loop", spread(whole_over_loop, ".0%"), ">= 85 %"),
        (f"images/s at {SMALL:,} pictures over all", spread(flat, ".0%"), "90 to 110 %"),
        *_fit_rows("PCA fit", measured["fits"], ">= 8"),
        *_fit_rows("PCA fit, 100,000 rows", measured["fits_100k"], ">= 10"),
        ("worker's peak memory, MiB", spread(peaks, ",.0f"), "<= 1,024"),
        ("seconds before the first picture", spread(starts, ".1f"), "<= 8"),
        ("the same, model not in the cache", f"{measured['cold']['seconds']['before_first_picture']:.1f}", "<= 20"),
        ("seconds from start to end", spread([one["seconds"]["total"] for one in full], ".0f"), ""),
    ]
    lines = [f"| {what} | {value} | {target} |" for what, value, target in rows]
    head = f"{full[0]['counts']['listed']:,} pictures, {len(rounds)} rounds in turns; median (least to most)."
    return "\n".join([head, "", "| what | measured | target |", "| --- | --- | --- |", *lines, ""])


def busy_rate(record: dict[str, Any]) -> float:
    """Pictures a second of all cores while tasks read, run and write: what a longer run comes to."""
    busy = sum(seconds for name, seconds in record["worker_seconds"].items() if name != "engine")
    rate: float = record["counts"]["listed"] * record["cores"] / busy
    return rate


def _fit_rows(name: str, fits: dict[str, Any], target: str) -> list[tuple[str, str, str]]:
    cold, *warm = [theirs / ours for ours, theirs in zip(fits["orchard"], fits["spark"], strict=True)]
    return [
        (f"{name}: seconds", spread(fits["orchard"][1:], ".2f"), ""),
        (f"{name}: times faster than Spark's", spread(warm, ".1f"), target),
        (f"{name}: the same for each way's first fit", f"{cold:.1f}", ""),
    ]


def main() -> None:
    """Measure and write benchmarks/job.md and job.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(Job(options, Path(folder)), options.repeats)
    for one in [measured["cold"], *(row[name] for row in measured["rounds"] for name in ("small", "full"))]:
        del one["explained_variance_ratio"]
        one["settings"]["images"] = one["weights"] = ""
    page = f"# The job on one machine\n\n{machine()}\n\n{table(measured)}"
    (ROOT / "benchmarks" / "job.md").write_text(page)
    (ROOT / "benchmarks" / "job.json").write_text(json.dumps({"machine": machine(), **measured}, indent=1) + "\n")
    print(page)


if __name__ == "__main__":
    main()
