"""What a run will take, said before it begins: how many pictures, at what pace, for how much. Never in a run's way."""

import re
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from threading import Thread
from typing import Any, NoReturn

from scripts import console
from scripts.aws.bucket import PICTURES, Bucket
from scripts.hosts import spark_master
from scripts.hosts.ssh import Remote
from scripts.money.amounts import money
from scripts.runs.progress import span
from scripts.runs.submission import Submission
from scripts.runs.table import COMPLETE, DECODE, read_records

# The job's own rule for what is a picture by its name; a test holds the two together.
PICTURE = re.compile(r"(?i)(^|/)[^./][^/]*\.(jpg|jpeg|jpe|jfif|png|bmp|gif|webp|tif|tiff|avif|heic|heif)$")
ENGINE, PRECISION = "openvino", "f32"  # the job's own defaults, held by the same test
TENSORFLOW = "tensorflow"  # its word for the engine that not every worker has
MOST_PAGES = 200  # of 1,000 keys each
COUNT_SECONDS = 3.0
SECONDS = 6.0  # until the run begins without an estimate
LAST_RUNS = 8
SMALLER = 10  # a run of a tenth of the pictures was mostly its beginning, and tells no pace

MEASURED = "measured on other machines (benchmarks/ways.md, 2026-11-24)"
# Pictures a second and core, from S3 to S3, by engine and precision: of benchmarks/ways.md, 2026-11-24, AMD EPYC with
# AVX-512, 2 cores that the S3 server shared. 20,622 pictures' features took 113.7 s at f32 and 74.9 s at bf16; 2,000
# took TensorFlow 31.9 s.
PER_CORE = {("openvino", "f32"): 91.0, ("openvino", "bf16"): 138.0, ("tensorflow", "f32"): 31.0}
FIXED_SECONDS = 17.0  # of the 131 s that the first of these took in all: start, list, PCA, writing


@dataclass(frozen=True)
class Asked:
    """What of a run's words decides how long it takes; without `classes` all, without a `limit` (None) every one."""

    limit: int | None
    classes: tuple[str, ...]
    engine: str
    precision: str
    decode: str = DECODE


@dataclass(frozen=True)
class Count:
    """How many pictures, or, where `is_more`, how many were counted before there was no more time."""

    pictures: int
    is_more: bool


@dataclass(frozen=True)
class Pace:
    """Pictures a second on all cores, seconds that any run takes beside them, and where both are from."""

    rate: float
    fixed_seconds: float
    source: str


class UnknownError(Exception):
    """What a run takes cannot be known, for the reason in it."""


def say(hosts: Remote, bucket: Bucket, submission: Submission) -> float | None:
    """Say what the run will take; gives the seconds, None where that is not known or only at least.

    Raises nothing: the run begins whatever becomes of this, SECONDS after the master has told its cores at the latest.
    """
    try:
        asked = asked_of(submission.words)
        cores = _cores(hosts)
        count, pace = _within(SECONDS, lambda: _look(bucket, asked, cores))
        seconds = pace.fixed_seconds + count.pictures / pace.rate
        console.say(_in_words(count, pace, seconds, submission))
    except Exception as error:  # whatever it is, it is no reason for the run not to begin
        console.say(f"What this run will take is not known: {console.one_line(str(error)).rstrip('.')}.")
        return None
    return None if count.is_more else seconds


def asked_of(words: Sequence[str]) -> Asked:
    """What the job's words say of it. Raises UnknownError for words that the job will refuse."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--classes", nargs="+", default=())
    parser.add_argument("--engine", default=ENGINE)
    parser.add_argument("--precision", default=PRECISION)
    parser.add_argument("--decode", default=DECODE)
    found, _ = parser.parse_known_args(list(words))
    return Asked(found.limit, tuple(found.classes), found.engine, found.precision, found.decode)


def engine_of(words: Sequence[str]) -> str:
    """The engine that the job's words ask for; the default one's where the job will refuse them."""
    try:
        return asked_of(words).engine
    except UnknownError:
        return ENGINE


def count_pictures(bucket: Bucket, asked: Asked) -> Count:
    """Count the pictures that the run would take, for COUNT_SECONDS and over MOST_PAGES at most.

    Raises AwsError or MissingError.
    """
    until = time.monotonic() + COUNT_SECONDS
    counted = 0
    for number, page in enumerate(_pages(bucket, asked)):
        if number >= MOST_PAGES or time.monotonic() > until:
            return Count(counted, is_more=True)
        counted += sum(_is_wanted(key, asked) for key in page)
        if asked.limit is not None and counted >= asked.limit:
            return Count(asked.limit, is_more=False)
    return Count(counted, is_more=False)


def pace_of(bucket: Bucket, asked: Asked, cores: int, pictures: int) -> Pace:
    """The pace of the last run that was like this one, or else the measured one of a core, times the cores.

    Raises UnknownError where there is neither, AwsError or MissingError.
    """
    run_ids = bucket.run_ids()[-LAST_RUNS:]
    records = zip(run_ids, read_records(bucket, run_ids), strict=True)
    like = [(record, run_id) for run_id, record in records if record and _is_like(record, asked, cores)]
    for record, run_id in sorted(like, key=lambda found: found[0]["ended_at"], reverse=True):
        if record["counts"]["features"] * SMALLER >= pictures:
            fixed = max(record["seconds"]["total"] - record["seconds"]["features"], 0.0)
            return Pace(record["images_per_second"], fixed, f"as in run {run_id}")
    per_core = PER_CORE.get((asked.engine, asked.precision))
    if per_core is None:
        raise UnknownError(f"nobody has measured {asked.engine} at {asked.precision}")
    return Pace(per_core * cores, FIXED_SECONDS, MEASURED)


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UnknownError(message)


def _cores(hosts: Remote) -> int:
    state = spark_master.master_state(hosts, hosts.cluster)
    if state is None or state.cores < 1:
        raise UnknownError("Spark's master does not say how many cores it has")
    return state.cores


def _look(bucket: Bucket, asked: Asked, cores: int) -> tuple[Count, Pace]:
    count = count_pictures(bucket, asked)
    if not count.pictures:
        raise UnknownError(f"no loose picture of these was found in {bucket.uri(PICTURES)}")
    return count, pace_of(bucket, asked, cores, count.pictures)


def _within(seconds: float, work: Callable[[], tuple[Count, Pace]]) -> tuple[Count, Pace]:
    """What the work gives or raises, if it does so in time: a network that hangs does not hang the run."""
    ended: list[Any] = []

    def do() -> None:
        try:
            ended.append(work())
        except Exception as error:  # raised again below, where it is waited for
            ended.append(error)

    thread = Thread(target=do, daemon=True)
    thread.start()
    thread.join(seconds)
    if not ended:
        raise UnknownError(f"the bucket did not answer within {span(seconds)}")
    if isinstance(ended[0], Exception):
        raise ended[0]
    found: tuple[Count, Pace] = ended[0]
    return found


def _pages(bucket: Bucket, asked: Asked) -> Iterator[list[str]]:
    """Keys of the chosen class folders; of all where no folder right below `pictures/` is one that was chosen."""
    chosen = [name for name in bucket.folders(PICTURES) if _is_chosen(name, asked)] if asked.classes else []
    for prefix in [f"{PICTURES}/{name}/" for name in chosen] or [f"{PICTURES}/"]:
        yield from bucket.key_pages(prefix)


def _is_wanted(key: str, asked: Asked) -> bool:
    label = key.split("/")[-2]
    return PICTURE.search(key) is not None and (not asked.classes or _is_chosen(label, asked))


def _is_chosen(label: str, asked: Asked) -> bool:
    return any(fnmatchcase(label, glob) for glob in asked.classes)


def _is_like(record: dict[str, Any], asked: Asked, cores: int) -> bool:
    """Whether it is of a whole run, in one go, on as many cores, with the same engine and way of decoding."""
    how = tuple(record[name] for name in ("status", "cores", "engine", "precision", "decode", "attempts"))
    is_whole = {"total", "features"} <= record["seconds"].keys() and record["images_per_second"] > 0
    return is_whole and how == (COMPLETE, cores, asked.engine, asked.precision, asked.decode, 1)


def _in_words(count: Count, pace: Pace, seconds: float, submission: Submission) -> str:
    how = f"at {pace.rate:,.0f} pictures a second, {pace.source}"
    amount = "" if submission.price_per_hour is None else _cost(submission.price_per_hour * seconds / 3600, submission)
    if count.is_more:
        return f"This run takes more than {count.pictures:,} pictures: more than {span(seconds)}{amount}, {how}."
    return f"This run takes {count.pictures:,} pictures: about {span(seconds)}{amount}, {how}."


def _cost(amount: float, submission: Submission) -> str:
    return f" and {money(amount, submission.currency)}"
