"""The list of runs: what the bucket keeps of each, and what the master knows of those since it started."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from scripts import console
from scripts.aws.bucket import Bucket, bucket_of, record_key
from scripts.cluster import Cluster
from scripts.hosts import readiness
from scripts.hosts.ssh import Hosts
from scripts.money.amounts import money
from scripts.runs import systemd_unit
from scripts.runs.own_job import JobRecord, OwnJob, job_records, stored_jobs
from scripts.runs.progress import Progress, finite, last_progress, span
from scripts.runs.submission import Submission, stored_submissions
from scripts.runs.systemd_unit import Unit

RUNNING = "running"
COMPLETE = "complete"
DECODE = "exact"  # the job's own default, held by a test
HEADING = ("RUN", "STATE", "SIZE", "PICTURES", "UNREADABLE", "TIME", "COST")


@dataclass(frozen=True)
class Row:
    """A line of `make runs`. `seconds` are the last attempt's; `cost` is None where no price was known.

    `expected_seconds` are those of `make run`'s own estimate, None without one, or where the run was gone on with.
    """

    run_id: str
    state: str
    size: str
    done: int | None
    total: int | None
    bad: int | None
    seconds: float | None
    cost: float | None
    currency: str
    expected_seconds: float | None = None


def show(cluster: Cluster) -> None:
    """Print them."""
    listed = every(cluster)
    for line in table(listed) if listed else ["There are no runs yet: `make run` begins one."]:
        console.say(line)


def every(cluster: Cluster) -> list[Row]:
    """All runs, in the bucket and on the master, sorted by name."""
    bucket = bucket_of(cluster)
    units, progress = _on_master(cluster) if readiness.runs(cluster) else ([], {})
    jobs = bucket.job_names()
    run_ids = {*bucket.run_ids(), *(known.run_id for known in units)} - set(jobs)
    listed = [*rows(bucket, units, sorted(run_ids), progress), *job_rows(bucket, units, jobs)]
    return sorted(listed, key=lambda found: found.run_id)


def _on_master(cluster: Cluster) -> tuple[list[Unit], dict[str, Progress | None]]:
    """The runs that the master knows of, and how far those are that go on."""
    with Hosts(cluster) as hosts:
        units = systemd_unit.known(hosts)
        going = [unit.run_id for unit in units if unit.is_running]
        return units, {run_id: last_progress(systemd_unit.snapshot(hosts, run_id).lines) for run_id in going}


def rows(
    bucket: Bucket,
    units: Sequence[Unit],
    run_ids: list[str],
    progress: Mapping[str, Progress | None] | None = None,
) -> list[Row]:
    """Rows for these runs, from what the bucket keeps, the master's units and the progress of those at work."""
    of_run = {known.run_id: known for known in units}
    records = read_records(bucket, run_ids)
    submissions = stored_submissions(bucket, run_ids)
    return [
        row(run_id, submission, record, of_run.get(run_id), (progress or {}).get(run_id), time.time())
        for run_id, submission, record in zip(run_ids, submissions, records, strict=True)
    ]


def job_rows(bucket: Bucket, units: Sequence[Unit], names: list[str]) -> list[Row]:
    """Rows for people's own jobs."""
    of_run = {known.run_id: known for known in units}
    stored = zip(names, stored_jobs(bucket, names), job_records(bucket, names), strict=True)
    return [job_row(name, job, record, of_run.get(name), time.time()) for name, job, record in stored]


def read_records(bucket: Bucket, run_ids: list[str]) -> list[dict[str, Any] | None]:
    """Each run's run.json, as far as it is one; None where there is none, or something else: others may write, too."""
    return [_record(found) for found in bucket.read_many([record_key(run_id) for run_id in run_ids])]


def _record(found: Any) -> dict[str, Any] | None:
    try:
        return {
            "status": str(found["status"]),
            "ended_at": datetime.fromisoformat(found["ended_at"]).astimezone(UTC),
            "counts": {name: int(found["counts"][name]) for name in ("listed", "features", "errors")},
            "seconds": {name: finite(seconds) for name, seconds in found["seconds"].items()},
            **_how(found),
        }
    except (TypeError, KeyError, ValueError, AttributeError, OverflowError):
        return None


def _how(found: dict[str, Any]) -> dict[str, Any]:
    """On how much a run went, and how fast; what an older record does not have is nothing."""
    settings, spent = found.get("settings", {}), found.get("worker_seconds", {})
    return {
        "cores": int(found.get("cores", 0)),
        "images_per_second": finite(found.get("images_per_second", 0)),
        "attempts": int(found.get("attempts", 1)),
        "engine": str(settings.get("engine")),
        "precision": str(settings.get("precision")),
        # Before it could be chosen, every picture was decoded so.
        "decode": str(settings.get("decode", DECODE)),
        "image_size": int(settings.get("image_size", 0)),
        "network_share": _share("network", spent),
        **{name: len(found.get(name, ())) for name in ("hosts", "processors", "losses")},
    }


def _share(name: str, spent: dict[str, Any]) -> float:
    """Of the seconds that workers were at tasks, what they spent so; to have the network ready is not among them."""
    seconds = {what: finite(took) for what, took in spent.items() if what != "engine"}
    return seconds.get(name, 0.0) / sum(seconds.values()) if sum(seconds.values()) > 0 else 0.0


def row(
    run_id: str,
    submission: Submission | None,
    record: dict[str, Any] | None,
    known: Unit | None,
    progress: Progress | None,
    now: float,
) -> Row:
    """One run's row. `record` is its run.json, which the job writes at its end."""
    counts = record["counts"] if record else {}
    seconds = record["seconds"].get("total") if record else None
    if known and (known.is_running or seconds is None):
        seconds = known.seconds(now)
    per_hour = submission.price_per_hour if submission else None
    return Row(
        run_id=run_id,
        state=_state(record, known),
        size=submission.size if submission else "",
        done=progress.done if progress else counts.get("features"),
        total=progress.total if progress else counts.get("listed"),
        bad=counts.get("errors"),
        seconds=seconds,
        cost=None if per_hour is None or seconds is None else per_hour * seconds / 3600,
        currency=submission.currency if submission else "",
        expected_seconds=submission.expected_seconds if submission and (record or {}).get("attempts", 1) == 1 else None,
    )


def job_row(name: str, job: OwnJob | None, record: JobRecord | None, known: Unit | None, now: float) -> Row:
    """A row for a person's own job, which counts no pictures: its program stands in the place of a size."""
    seconds = known.seconds(now) if known else record.seconds if record else None
    per_hour = job.price_per_hour if job else None
    is_over = record is not None and not (known and known.is_running)
    return Row(
        run_id=name,
        state=record.state if record and is_over else _state(None, known),
        size=job.main if job else "",
        done=None,
        total=None,
        bad=None,
        seconds=seconds,
        cost=None if per_hour is None or seconds is None else per_hour * seconds / 3600,
        currency=job.currency if job else "",
    )


def _state(record: dict[str, Any] | None, known: Unit | None) -> str:
    if known and known.is_running:
        return RUNNING
    if record:
        return str(record["status"])
    if known is None:
        return "cut off"
    if known.code == 0:
        return "deleted"
    return "stopped" if known.code == systemd_unit.ENDED_BY_REQUEST else f"failed ({known.code})"


def table(listed: Sequence[Row]) -> list[str]:
    """The rows as lines with a heading, as wide as they are."""
    return console.columns([HEADING, *map(_cells, listed)])


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.run_id,
        row.state,
        row.size or "-",
        "-" if row.done is None else f"{row.done:,} of {row.total:,}",
        "-" if row.bad is None else f"{row.bad:,}",
        "-" if row.seconds is None else span(row.seconds),
        "-" if row.cost is None else money(row.cost, row.currency),
    )
