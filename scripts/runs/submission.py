"""What is asked of the job: size and words, as `make run` takes them and as the bucket keeps them beside the run."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from scripts.aws.bucket import PICTURES, RUN_ID, RUNS, Bucket
from scripts.errors import InputError
from scripts.runs.progress import finite

# The course's four sizes; the table of docs/pictures-and-runs.md is held to this one by a test.
SIZES: dict[str, tuple[str, ...]] = {
    "mini": ("--limit", "300"),
    "class": ("--classes", "Apple Braeburn", "--components", "50"),
    "apples": ("--classes", "Apple*"),
    "full": (),
}
DEFAULT_SIZE = "mini"
# What `make run` says itself, so that the run is where `make runs` and `make results` look for it.
OWN = ("--images", "--output", "--run-id", "--master")
# What may become of the components as CSV, in the job's own words.
CSV_KINDS = ("one", "parts", "none")
IMAGENET = "imagenet"
RANDOM = "random"


@dataclass(frozen=True)
class Submission:
    """One run as it was asked for: enough to go on with it in the same words, and to tell what it cost.

    `price_per_hour` is the whole cluster's when the run was begun, in `currency`; None where no price was known.
    `expected_seconds` is what was said before it began; None where that was not known.
    """

    run_id: str
    size: str
    words: tuple[str, ...]
    weights: str
    submitted_at: str
    price_per_hour: float | None
    currency: str
    expected_seconds: float | None = None

    def words_for_job(self, bucket: str, more: Sequence[str] = ()) -> list[str]:
        """The job's own words; `more` comes last, and the last word of an option counts."""
        where = ["--images", f"s3://{bucket}/{PICTURES}", "--output", f"s3://{bucket}/{RUNS}"]
        return [*where, "--run-id", self.run_id, "--weights", self.weights, *self.words, *more]

    def store(self, bucket: Bucket) -> None:
        """Keep it in the bucket, outside of the run's own folder, which the job makes."""
        bucket.write_json(_key(self.run_id), asdict(self))


def check_run_id(given: str) -> str:
    """The name as it was given. Raises InputError for what is no run's name."""
    if not RUN_ID.fullmatch(given):
        raise InputError(f"The run's name {given!r} may hold letters, digits, '.', '_' and '-' only.")
    return given


def new_run_id() -> str:
    """A name that sorts by time, as the job's own."""
    return datetime.now(UTC).strftime("%Y%m%d-%H%M%S")


def words_of(size: str, arguments: str) -> tuple[str, ...]:
    """The job's options for a size and the person's own ARGS. Raises InputError for what is no size or no words."""
    if size not in SIZES:
        raise InputError(f"{size} is no size: give SIZE={', '.join(list(SIZES)[:-1])} or {list(SIZES)[-1]}.")
    return (*SIZES[size], *split_arguments(arguments))


def with_csv(arguments: str, csv: str) -> str:
    """ARGS with the kind of CSV that was asked for; as they are where none was. Raises InputError for no such kind."""
    if csv and csv not in CSV_KINDS:
        raise InputError(f"CSV={csv} is none that there is: give CSV={', '.join(CSV_KINDS[:-1])} or {CSV_KINDS[-1]}.")
    return f"{arguments} --csv {csv}".strip() if csv else arguments


def split_arguments(arguments: str) -> tuple[str, ...]:
    """ARGS as a shell splits it. Raises InputError for an open quotation mark, or an option of `make run`'s own."""
    try:
        words = tuple(shlex.split(arguments))
    except ValueError as error:
        raise InputError(f"ARGS cannot be split into words ({error}): close the quotation mark.") from None
    _check_own(words)
    return words


def _check_own(words: Sequence[str]) -> None:
    for word in words:
        if word.partition("=")[0] in OWN:
            raise InputError(f"{word.partition('=')[0]} is `make run`'s own: leave it out of ARGS.")


def stored_submissions(bucket: Bucket, run_ids: list[str]) -> list[Submission | None]:
    """What the bucket keeps for each of these runs; None for one that was begun without `make run`."""
    found = bucket.read_many([_key(run_id) for run_id in run_ids])
    return [_parse(run_id, stored) for run_id, stored in zip(run_ids, found, strict=True)]


def _parse(run_id: str, stored: Any) -> Submission | None:
    """What was stored for the run; None for anything else that lies there: others may write to the bucket, too."""
    try:
        words = tuple(map(str, stored["words"]))
        _check_own(words)
        price = None if stored["price_per_hour"] is None else finite(stored["price_per_hour"])
        expected = None if stored.get("expected_seconds") is None else finite(stored["expected_seconds"])
        if stored["size"] not in SIZES:
            return None
        return Submission(
            run_id=run_id,
            size=str(stored["size"]),
            words=words,
            weights=str(stored["weights"]),
            submitted_at=str(stored["submitted_at"]),
            price_per_hour=price,
            currency=str(stored["currency"]),
            expected_seconds=expected,
        )
    except (TypeError, KeyError, ValueError, OverflowError, InputError):
        return None


def _key(run_id: str) -> str:
    return f"submissions/{run_id}.json"
