"""A person's own program as a run: how it was asked for and how it ended, as the bucket keeps both in `jobs/NAME/`."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scripts.aws.bucket import Bucket, job_key
from scripts.runs.progress import finite

ASKED, RECORD, LOG, CODE, OUTPUT = "job.json", "record.json", "log.txt", "code.zip", "output/"
# The launcher's own word; any other number may be the program's.
OUT_OF_MEMORY = "out of memory"


@dataclass(frozen=True)
class OwnJob:
    """One program as it was asked for. `main` is its name among the files that were sent, `words` are its arguments.

    `requirements` are the packages that it was given beyond the cluster's own, as `name==version` or a wheel's file.
    `price_per_hour` is the whole cluster's when it was begun, in `currency`; None where no price was known.
    """

    name: str
    main: str
    words: tuple[str, ...]
    files: tuple[str, ...]
    requirements: tuple[str, ...]
    submitted_at: str
    price_per_hour: float | None
    currency: str

    def store(self, bucket: Bucket) -> None:
        """Keep it in the bucket."""
        bucket.write_json(job_key(self.name, ASKED), asdict(self))


@dataclass(frozen=True)
class JobRecord:
    """How a program ended: its state, its exit code, how long it took."""

    state: str
    code: int
    seconds: float


def stored_jobs(bucket: Bucket, names: Sequence[str]) -> list[OwnJob | None]:
    """What the bucket keeps for each of these names; None where that is no job."""
    found = bucket.read_many([job_key(name, ASKED) for name in names])
    return [_parse(name, stored) for name, stored in zip(names, found, strict=True)]


def job_records(bucket: Bucket, names: Sequence[str]) -> list[JobRecord | None]:
    """Each job's record; None where it has none yet."""
    return [_parse_record(found) for found in bucket.read_many([job_key(name, RECORD) for name in names])]


def _parse(name: str, stored: Any) -> OwnJob | None:
    """What was stored for the job; None for anything else that lies there: others may write to the bucket, too."""
    try:
        price = stored["price_per_hour"]
        return OwnJob(
            name=name,
            main=str(stored["main"]),
            words=tuple(map(str, stored["words"])),
            files=tuple(map(str, stored["files"])),
            requirements=tuple(map(str, stored["requirements"])),
            submitted_at=str(stored["submitted_at"]),
            price_per_hour=None if price is None else finite(price),
            currency=str(stored["currency"]),
        )
    except (TypeError, KeyError, ValueError, OverflowError):
        return None


def _parse_record(found: Any) -> JobRecord | None:
    try:
        return JobRecord(str(found["state"]), int(found["code"]), finite(found["seconds"]))
    except (TypeError, KeyError, ValueError, OverflowError):
        return None
