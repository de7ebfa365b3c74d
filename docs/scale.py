"""Writes scale.md beside it: what was measured of long lists, and what it makes of 100 million pictures on 50 workers.

`python -m docs.scale`. Each figure is taken from its owner (benchmarks/*.json, scripts/money/prices.json, the job's
constants), stands in GIVEN with its source, or follows from these by a line of `reckoned`.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.scale import is_busy
from benchmarks.scale import listed as lists_of
from pipeline.network.keras_model import FEATURES
from pipeline.pictures.pack_writer import ROW_GROUP_BYTES
from pipeline.pictures.tasks import MOST_TASKS
from pipeline.settings import RunOptions
from pipeline.storage.s3_connection import ATTEMPTS
from pipeline.storage.s3_errors import LONGEST_PAUSE_SECONDS
from pipeline.storage.s3_ranges import LISTERS

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "scale.md"
MEASURED = ROOT / "benchmarks"
PRICES = ROOT / "scripts" / "money" / "prices.json"

PICTURES, WORKERS = 100_000_000, 50
TASKS = MOST_TASKS
REGION, MASTER, WORKER = "eu-west-1", "m6i.large", "c7a.2xlarge"
CORES, LINE_GBIT = 8, 3.125  # of that worker
GETS, PUTS = 5_500, 3_500  # a second
LIST_MS = (100, 200)
PAGE_KEYS = 1_000
PICTURE_BYTES, FEATURE_BYTES, PCA_BYTES, CSV_BYTES = 4_526, 3_385, 780, 2_861
NEW_ACCOUNT_VCPUS = 5
# The first pause is at most this long, each further one at most twice as long as the one before.
FIRST_PAUSE_SECONDS = 0.2
RESULT_BYTES = 2**30
HOURS_IN_A_MONTH = 730

# What nobody here owns: what it is, and where it was read or measured.
GIVEN = (
    (f"GET and HEAD, a second and partitioned prefix: at least {GETS:,}; PUT, POST, DELETE: at least {PUTS:,}",
     "AWS re:Post, Knowledge Center, *s3-object-key-naming-pattern* (2022-06-27 and later); copy read on 2026-11-26"),
    ("a prefix is partitioned by itself under load, in 30 to 60 minutes; until then S3 answers 503 Slow Down",
     "a comment under that article, which AWS took up; copy read on 2026-11-26"),
    (f"an answer of S3 to a small request: {LIST_MS[0]} to {LIST_MS[1]} ms; a page has {PAGE_KEYS:,} keys at most",
     "AWS's paper on S3's performance as quoted in articles; a page's own time is not published, nor measured here"),
    ("LIST costs what PUT costs; S3 and hosts of one region ask nothing for traffic through a gateway endpoint",
     "AWS's price page as quoted in public articles; AWS, Prescriptive Guidance, WKLD.12; copies read on 2026-11-26"),
    (f"{WORKER}: {CORES} cores, {LINE_GBIT} Gbit/s lasting",
     "AWS's DescribeInstanceTypes, as moto 5.2.5 has a copy of it"),
    ("Spark gives a job up whose tasks' results are more than 1 GiB together",
     "Spark 4, `spark.driver.maxResultSize`, default"),
    (f"a picture: {PICTURE_BYTES:,} bytes", "mean of 21,822 pictures of Fruits-360, 2026-11-26"),
    (f"a picture's features in Parquet: {FEATURE_BYTES:,} bytes",
     "a part of 1,000 of them, ImageNet's weights, 2026-11-26"),
    (f"its 200 components: {PCA_BYTES:,} bytes in Parquet, {CSV_BYTES:,} in CSV",
     "a run over 300 of them, random weights, 2026-11-26"),
    (f"vCPUs that a new account may run: {NEW_ACCOUNT_VCPUS}",
     "quota L-1216C47A in AWS's example of `get-aws-default-service-quota`; copy read on 2026-11-26"),
)  # fmt: skip


def read(name: str) -> Any:
    """What a benchmark has kept; empty where it has not been made."""
    file = MEASURED / name
    return json.loads(file.read_text()) if file.exists() else {}


def core_rates() -> tuple[float, float]:
    """Pictures a second and core at f32, the feature phase over 20,622 of them: the slower and the faster machine."""
    ways = read("ways.json")["measured"][-1]["rounds"]["(d) Orchard, OpenVINO f32, disk"]
    full = [one["full"] for one in read("job.json")["rounds"]]
    rates = [median(one["images_per_second"] for one in runs) / full[0]["cores"] for runs in (ways, full)]
    return min(rates), max(rates)


def span(values: tuple[float, float], form: str = ",.0f") -> str:
    """The least and the most, or one of them where they read the same."""
    low, high = (f"{value:{form}}" for value in sorted(values))
    return low if low == high else f"{low} to {high}"


class Reckoning:
    """The figures that follow; pairs are of the slower and the faster machine."""

    def __init__(self) -> None:
        self.core = core_rates()
        self.cores = WORKERS * CORES
        self.rate = (self.core[0] * self.cores, self.core[1] * self.cores)
        self.minutes = (PICTURES / self.rate[0] / 60, PICTURES / self.rate[1] / 60)
        self.prices = json.loads(PRICES.read_text())
        here = self.prices["regions"][REGION]
        disk = 30 * here["gp3_per_gb_month"] / HOURS_IN_A_MONTH
        hosts = here["instance_per_hour"][MASTER] + WORKERS * here["instance_per_hour"][WORKER]
        self.hour = hosts + (1 + WORKERS) * (here["public_ipv4_per_hour"] + disk)
        self.get, self.put = here["s3_get_per_1000"] / 1000, here["s3_put_per_1000"] / 1000
        self.month, self.nat = here["s3_standard_per_gb_month"], here["nat_per_gb"]
        self.pages = PICTURES // PAGE_KEYS
        self.row_groups = PICTURES * PICTURE_BYTES / ROW_GROUP_BYTES
        self.one_prefix_hours = PICTURES / GETS / 3600
        # treeReduce of depth 2 leaves as many partial sums as the root of their number.
        self.sum_bytes = FEATURES * FEATURES * 8
        self.sums = math.ceil(math.sqrt(self.cores))
        pauses = (min(FIRST_PAUSE_SECONDS * 2**turn, LONGEST_PAUSE_SECONDS) for turn in range(ATTEMPTS - 1))
        self.patience = sum(pauses)

    def gigabytes(self, each: int) -> float:
        """Of all pictures, so many bytes each."""
        return PICTURES * each / 1e9

    def list_minutes(self, at_once: int) -> tuple[float, float]:
        """Of all pages, so many asked for at once."""
        return tuple(self.pages * late / 1000 / at_once / 60 for late in LIST_MS)  # type: ignore[return-value]  # LIST_MS are two

    def fit_seconds(self) -> float:
        """Of the PCA's one pass, by the measured rate of 100,000 rows on two cores."""
        return PICTURES / (100_000 / median(read("job.json")["fits_100k"]["orchard"]) / 2 * self.cores)

    def csv_minutes(self) -> float:
        """Of one file written by the driver, as version 1 does, by the measured rate of 20,622 rows."""
        seconds = median(one["full"]["seconds"]["csv"] for one in read("job.json")["rounds"])
        return seconds / 20_622 * PICTURES / 60


def table(heads: tuple[str, ...], rows: Iterator[tuple[str, ...]] | tuple[tuple[str, ...], ...]) -> list[str]:
    """Lines of Markdown."""
    return [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads), *(f"| {' | '.join(row)} |" for row in rows)]


def reckoned(of: Reckoning) -> Iterator[tuple[str, str, str]]:
    """What, by which formula, how much: time and requests."""
    yield (
        "pictures a second, all cores",
        f"{WORKERS} workers x {CORES} cores x {span(of.core)} (measured on 2 cores)",
        span(of.rate),
    )
    yield "minutes of the feature phase, were S3 no bound", f"{PICTURES:,} / rate", span(of.minutes)
    yield (
        "GETs a second, loose pictures, over the limit of one partition",
        f"rate / {GETS:,}",
        f"{span((of.rate[0] / GETS, of.rate[1] / GETS), '.1f')} times",
    )
    yield "hours, were all pictures in one partition", f"{PICTURES:,} / {GETS:,} a second", f"{of.one_prefix_hours:.1f}"
    packed = (of.rate[0] * PICTURE_BYTES / ROW_GROUP_BYTES, of.rate[1] * PICTURE_BYTES / ROW_GROUP_BYTES)
    yield "GETs a second from packs", f"rate x {PICTURE_BYTES:,} / {ROW_GROUP_BYTES:,}", span(packed)
    yield (
        "PUTs a second",
        f"{TASKS:,} tasks' parts / minutes",
        span((TASKS / of.minutes[0] / 60, TASKS / of.minutes[1] / 60), ".0f"),
    )
    yield (
        "hours of the upload, were all in one partition",
        f"{PICTURES:,} / {PUTS:,} a second",
        f"{PICTURES / PUTS / 3600:.1f}",
    )
    worth = PICTURES // TASKS
    yield (
        "keys that are read at one time, neighbours in the list",
        f"{of.cores} tasks x {PICTURES:,} / {TASKS:,}",
        f"{of.cores * worth:,}, {of.cores * worth / PICTURES:.0%} of all",
    )
    for at_once in (1, LISTERS, 4 * LISTERS):
        yield (
            f"minutes of the list, {at_once} at once",
            f"{of.pages:,} pages x {LIST_MS[0]} to {LIST_MS[1]} ms / {at_once}",
            span(of.list_minutes(at_once), ",.1f"),
        )
    line = WORKERS * LINE_GBIT / 8
    yield (
        "GB/s of pictures, of all workers' lines",
        f"rate x {PICTURE_BYTES:,}; {WORKERS} x {LINE_GBIT} / 8",
        f"{span((of.rate[0] * PICTURE_BYTES / 1e9, of.rate[1] * PICTURE_BYTES / 1e9), '.2f')} of {line:.1f}",
    )
    yield (
        "seconds to read all features once, lines full",
        f"{of.gigabytes(FEATURE_BYTES):,.0f} GB / {line:.1f} GB/s; the fit and the projection each do",
        f"{of.gigabytes(FEATURE_BYTES) / line:.0f}",
    )
    yield "seconds of the PCA's sums", "100,000 rows measured on 2 cores, by cores", f"{of.fit_seconds():.0f}"
    yield (
        "MB of partial sums that reach the driver at once",
        f"root of {of.cores} x {FEATURES} x {FEATURES} x 8; at most {RESULT_BYTES / 1e6:,.0f}",
        f"{of.sums * of.sum_bytes / 1e6:,.0f}",
    )
    yield (
        "cores at which that would be too many",
        "(1 GiB / one sum) squared",
        f"{(RESULT_BYTES // of.sum_bytes) ** 2:,}",
    )
    yield (
        "minutes and GB of one `pca.csv` by the driver, as version 1 writes it",
        "20,622 rows measured, by rows",
        f"{of.csv_minutes():.0f}, {of.gigabytes(CSV_BYTES):,.0f} GB",
    )


def costs(of: Reckoning) -> Iterator[tuple[str, str, str]]:
    """What, by which formula, USD."""
    run = tuple(of.hour * minutes / 60 for minutes in of.minutes)
    yield (
        "hosts, the feature phase",
        f"{of.hour:.2f} an hour (1 {MASTER}, {WORKERS} {WORKER}, addresses, disks)",
        span((run[0], run[1]), ",.2f"),
    )
    idle = tuple(of.hour * minutes / 60 for minutes in of.list_minutes(LISTERS))
    yield f"the same while the list is made, {LISTERS} pages at once", "likewise", span((idle[0], idle[1]), ",.2f")
    yield "GETs of loose pictures", f"{PICTURES:,} x {of.get:.7f}", f"{PICTURES * of.get:,.2f}"
    yield "GETs from packs in their place", f"{of.row_groups:,.0f} row groups", f"{of.row_groups * of.get:,.2f}"
    yield "LISTs", f"{of.pages:,} x {of.put:.6f}", f"{of.pages * of.put:,.2f}"
    yield "PUTs", f"{TASKS:,} x 3 parts: features, projection, CSV", f"{TASKS * 3 * of.put:,.2f}"
    for name, each in (
        ("pictures", PICTURE_BYTES),
        ("features", FEATURE_BYTES),
        ("projection", PCA_BYTES),
        ("CSV, not compressed", CSV_BYTES),
    ):
        gigabytes = of.gigabytes(each)
        yield f"{name}, a month", f"{gigabytes:,.0f} GB x {of.month}", f"{gigabytes * of.month:,.2f}"
    yield "upload of the pictures, once", f"{PICTURES:,} PUTs", f"{PICTURES * of.put:,.2f}"
    yield (
        "a NAT gateway in a subnet of yours without S3's endpoint",
        f"{of.gigabytes(PICTURE_BYTES):,.0f} GB x {of.nat}",
        f"{of.gigabytes(PICTURE_BYTES) * of.nat:,.2f}",
    )


LISTED = ("version", "keys / prefixes", "keys/s", "plan, s", "processor, us a key", "peak, MiB", "day")


def listed() -> Iterator[tuple[str, ...]]:
    """What was measured of list and plan."""
    for one in sorted(lists_of(read("scale.json")), key=lambda one: (one["keys"], one["prefixes"], one["tree"])):
        load = f"; under load {one['load']:.0f}" if is_busy(one["load"]) else ""
        yield (
            one["tree"],
            f"{one['keys']:,} / {one['prefixes']}",
            f"{one['keys'] / one['list_seconds']:,.0f}",
            f"{one['plan_seconds']:.1f}",
            f"{one['cpu_seconds'] / one['keys'] * 1e6:.0f}",
            f"{one['peak_bytes'] / 2**20:,.0f}",
            f"{one['machine'].rpartition(', ')[2]}{load}",
        )


def runs() -> Iterator[tuple[str, ...]]:
    """What was measured of whole runs."""
    for one in sorted(read("whole_run.json").values(), key=lambda one: (one["pictures"], one["tree"])):
        python = max(one[part]["peak_bytes"].get("python", 0) for part in ("killed", "resumed"))
        load = f"; under load {one['load']:.0f}" if is_busy(one["load"]) else ""
        yield (
            one["tree"],
            f"{one['pictures']:,} / {one['tasks']:,}",
            f"{one['killed']['done'] / one['pictures']:.0%}",
            "whole" if not one["check_exit"] else "not whole",
            f"{python / 2**20:,.0f}",
            f"{one['record_bytes'] / 1000:,.0f}",
            f"{one['machine'].rpartition(', ')[2]}{load}",
        )


def breaks(of: Reckoning) -> Iterator[str]:
    """What would break, the first first."""
    partitions = math.ceil(of.rate[1] / GETS)
    yield (
        f"**S3's requests.** {of.cores} tasks read neighbours in the list, {of.cores * PICTURES // TASKS:,} keys of "
        f"perhaps one folder, at up to {of.rate[1] / GETS:.0f} times what one partition answers. S3 says 503 until it "
        f"has partitioned the prefix. A request is tried {ATTEMPTS} times within at most {of.patience:.0f} s, a task "
        "four times; what is refused longer ends the run with 22, and `make run RUN=name` goes on. So: pack the "
        f"pictures (`python -m pipeline pack`; {of.row_groups:,.0f} GETs in all), or have them in {partitions} folders "
        "or more and begin with few workers. Tasks that take turns over the folders would spread the load; they do not "
        "yet."
    )
    yield (
        f"**The list's time.** One page at a time takes {span(of.list_minutes(1), ',.0f')} minutes, while {WORKERS} "
        f"workers wait at {of.hour:.2f} USD an hour. Several prefixes at once divide it; the driver's own time a key, "
        "in the table above, bounds what more of them bring. A run that is gone on with does not list again."
    )
    yield (
        f"**The quota.** {of.cores} vCPUs for workers, 2 for the master; a new account has {NEW_ACCOUNT_VCPUS}. "
        "`make init` compares."
    )
    yield (
        "**One CSV.** Beyond 1,000,000 rows no spreadsheet opens it, and one driver writes for "
        f"{of.csv_minutes():.0f} minutes, so beyond that the tasks write parts."
    )
    yield (
        f"**The driver's memory in the PCA.** {of.sums} partial sums of {of.sum_bytes / 1e6:.0f} MB at once, beside "
        "the list's own. It grows with the root of the cores, not with pictures."
    )
    yield (
        "**The network's broadcast** is some MB a host once, and **disks** hold no picture: neither grows with "
        "pictures. The master's disk holds the list while it is made."
    )


def page() -> str:
    """The page's text."""
    of = Reckoning()
    lines = [
        "# A hundred million pictures, on paper",
        "",
        f"Nobody has done this: {PICTURES:,} pictures on {WORKERS} workers. What is measured was measured on two",
        "cores, which the server that is asked shares; all else on this page is reckoned, by the formula that stands",
        "there. `make docs` makes the page from its figures' owners (docs/scale.py), so that none stands here twice.",
        "",
        "## Measured",
        "",
        "List and plan against a server that makes up its keys ([more](../benchmarks/scale.md)):",
        "",
        *table(LISTED, listed()),
        "",
        "Version 1 (`v1`) is commit 13f5d0b. Under load, seconds are too many; processor time and memory are",
        "about right.",
        *whole_runs(),
        "",
        "## What goes in",
        "",
        *table(("figure", "where from"), GIVEN),
        "",
        f"Beside these: a core's rate at f32, {span(of.core)} pictures a second on two machines whose processor is the",
        f"nearest to a {WORKER}'s (AMD EPYC; [job](../benchmarks/job.md), [ways](../benchmarks/ways.md)). Other types",
        f"have other rates, and where a vCPU is a thread it is half a core. Prices are {REGION}'s, instances copied on",
        f"{of.prices['copied_on']}, others as [cluster and cost](cluster-and-cost.md#where-the-prices-are-from) says.",
        "",
        "## Time and requests, reckoned",
        "",
        *table(("what", "formula", "result"), reckoned(of)),
        "",
        f"A task reads {RunOptions.fetches} pictures at once: {of.cores * RunOptions.fetches:,} requests under way.",
        "",
        "## Money, reckoned",
        "",
        *table(("what", "formula", "USD"), costs(of)),
        "",
        "## What breaks next",
        "",
        *(f"{number}. {text}" for number, text in enumerate(breaks(of), 1)),
    ]
    return "\n".join(lines) + "\n"


def whole_runs() -> list[str]:
    """The section of whole runs, where there are any."""
    rows = list(runs())
    if not rows:
        return []
    heads = ("version", "pictures / tasks", "SIGKILL at", "afterwards", "driver's Python, MiB", "run.json, kB", "day")
    about = "Whole runs with a stub for the network, on a real S3 server, killed and gone on with"
    return ["", f"{about} ([more](../benchmarks/whole_run.md)):", "", *table(heads, iter(rows))]


if __name__ == "__main__":
    PAGE.write_text(page())
