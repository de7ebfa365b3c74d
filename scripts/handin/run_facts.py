"""What a run was and came to, of its run.json, and how runs of its kind went on other numbers of workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scripts.aws.bucket import Bucket, record_key
from scripts.runs.progress import finite
from scripts.runs.table import COMPLETE

LAST_RUNS = 60


@dataclass(frozen=True)
class RunFacts:
    """A run's record as far as it is one. Seconds are wall-clock, by phase; `hosts` are those that computed."""

    run_id: str
    status: str
    started_at: str
    ended_at: str
    counts: dict[str, int]
    seconds: dict[str, float]
    images_per_second: float
    components: int
    explained_variance: float
    cores: int
    cpu: str
    hosts: tuple[str, ...]
    attempts: int
    weights: str
    settings: dict[str, Any]

    @property
    def is_whole(self) -> bool:
        """Whether it came to its end."""
        return self.status == COMPLETE

    @property
    def images(self) -> str:
        """The address of the pictures."""
        return str(self.settings.get("images", ""))


@dataclass(frozen=True)
class Speed:
    """A run on so many workers; `efficiency` is its speed per core over that on the fewest, 1.0 there."""

    run_id: str
    workers: int
    cores: int
    images_per_second: float
    seconds: float
    speedup: float
    efficiency: float


def facts_of(run_id: str, found: Any) -> RunFacts | None:
    """A run.json as it came out of the bucket; None for what is none: others may write there, too."""
    try:
        return RunFacts(
            run_id=run_id,
            status=str(found["status"]),
            started_at=str(found.get("started_at", "")),
            ended_at=str(found["ended_at"]),
            counts={name: int(found["counts"][name]) for name in ("listed", "features", "errors")},
            seconds={str(name): finite(seconds) for name, seconds in found["seconds"].items()},
            images_per_second=finite(found.get("images_per_second", 0)),
            components=int(found.get("components", 0)),
            explained_variance=finite(found.get("explained_variance", 0)),
            cores=int(found.get("cores", 0)),
            cpu=str(found.get("cpu", "")),
            hosts=tuple(map(str, found.get("hosts", ()))),
            attempts=int(found.get("attempts", 1)),
            weights=str(found.get("weights", "")),
            settings=dict(found.get("settings", {})),
        )
    except (TypeError, KeyError, ValueError, AttributeError, OverflowError):
        return None


def of_its_kind(bucket: Bucket, run: RunFacts) -> list[RunFacts]:
    """The run and the last others that did the same work in one go. Raises AwsError or MissingError."""
    run_ids = [run_id for run_id in bucket.run_ids()[-LAST_RUNS:] if run_id != run.run_id]
    records = bucket.read_many([record_key(run_id) for run_id in run_ids])
    read = [facts_of(run_id, found) for run_id, found in zip(run_ids, records, strict=True)]
    others = [other for other in read if other and _is_measured(other) and _kind(other) == _kind(run)]
    return [*others, run] if _is_measured(run) else []


def speeds(runs: Sequence[RunFacts]) -> list[Speed]:
    """For each number of workers the last of these runs, the fewest first."""
    latest: dict[tuple[int, int], RunFacts] = {}
    for run in sorted(runs, key=lambda run: run.ended_at):
        latest[len(run.hosts), run.cores] = run
    ordered = [latest[size] for size in sorted(latest)]
    return [_speed(run, ordered[0]) for run in ordered]


def _speed(run: RunFacts, fewest: RunFacts) -> Speed:
    speedup = run.images_per_second / fewest.images_per_second
    return Speed(
        run_id=run.run_id,
        workers=len(run.hosts),
        cores=run.cores,
        images_per_second=run.images_per_second,
        seconds=run.seconds["total"],
        speedup=speedup,
        efficiency=speedup * fewest.cores / run.cores,
    )


def _is_measured(run: RunFacts) -> bool:
    """Whether its seconds are those of the whole work."""
    is_timed = "total" in run.seconds and run.images_per_second > 0 and run.cores > 0
    return run.is_whole and run.attempts == 1 and bool(run.hosts) and is_timed


def _kind(run: RunFacts) -> tuple[Any, ...]:
    return (run.counts["listed"], run.weights, run.cpu, run.settings)
