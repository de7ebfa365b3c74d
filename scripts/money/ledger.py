"""A cluster's ledger in its bucket: one object for each stretch of its life, which its keeper on the master writes.

Times are UTC, amounts USD before tax, hours those of the cluster as a whole.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from scripts.aws.bucket import LEDGER, Bucket

VERSION = 1
# Before that there was no ledger; a later end than the clocks' difference from now is made up.
EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
CLOCKS_DIFFER = timedelta(minutes=5)
MOST = 1e9  # hours, USD or pictures of one stretch: whatever is more is none
DOWN = "make down"
# With a time in it where an API call stopped the instance: see `stopped_at`.
_STOPPED = re.compile(r"\((\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}) (?:GMT|UTC)\)")


@dataclass(frozen=True)
class HostHours:
    """A host of the stretch and its hours in it."""

    name: str
    id: str
    type: str
    spot: bool
    hours: float


@dataclass(frozen=True)
class Usd:
    """What a stretch cost: machines at work and idle, their disks and public addresses, requests to S3."""

    work: float
    idle: float
    disks: float
    addresses: float
    requests: float


@dataclass(frozen=True)
class LedgerRun:
    """A run in the stretch; `ended_at` and `code` are None while it went on, `pictures` where nobody knows."""

    run_id: str
    began_at: datetime
    ended_at: datetime | None
    code: int | None
    pictures: int | None


@dataclass(frozen=True)
class Stretch:
    """A cluster from a start to its stop. `ended_at` and `why` are None while it is open, `usd` without a price.

    `disks_per_hour` is what the hosts' disks go on to cost while they are stopped; `gone_at` is when `make down` took
    them away, None while it has not.
    """

    cluster: str
    region: str
    started_at: datetime
    seen_at: datetime
    ended_at: datetime | None
    why: str | None
    hosts: tuple[HostHours, ...]
    work_hours: float
    idle_hours: float
    usd: Usd | None
    spot_saved_usd: float | None
    disks_per_hour: float | None
    runs: tuple[LedgerRun, ...] = ()
    gone_at: datetime | None = None

    @property
    def hours(self) -> float:
        """At work and idle."""
        return self.work_hours + self.idle_hours

    @property
    def end(self) -> datetime:
        """When it ended, or else when its keeper wrote last."""
        return self.ended_at or self.seen_at

    @property
    def master_id(self) -> str | None:
        """The master's instance."""
        return next((host.id for host in self.hosts if host.name == "master"), None)


def key_of(stretch: Stretch) -> str:
    """Where it lies in the bucket."""
    return f"{LEDGER}/{stretch.cluster}/{stretch.started_at:%Y%m%dT%H%M%SZ}.json"


def entries(bucket: Bucket, cluster_name: str) -> list[Stretch]:
    """The cluster's stretches, the oldest first. What else lies there is left out: others may write, too.

    Raises AwsError or MissingError.
    """
    keys = bucket.keys(f"{LEDGER}/{cluster_name}/")
    return _parsed(zip(keys, bucket.read_many(keys), strict=True), cluster_name)


def latest(bucket: Bucket, cluster_name: str) -> Stretch | None:
    """The cluster's newest stretch. Raises AwsError or MissingError."""
    found = entries(bucket, cluster_name)
    return found[-1] if found else None


def close(bucket: Bucket, stretch: Stretch, ended_at: datetime, why: str) -> Stretch:
    """Write the end of a stretch that is open; gives it as it lies there now, which may be its keeper's own end.

    The time from the keeper's last word to the end counts as idle, at the stretch's own average of an hour for
    machines, disks, addresses and what spot saved; requests and the hosts' own hours stay, for nobody saw them.
    Raises AwsError or MissingError.
    """
    found = bucket.read_json(key_of(stretch))
    now = _parse(found)
    if now is None or now.ended_at:
        return now or stretch
    closed = replace(_idle_until(now, ended_at), ended_at=max(ended_at, now.started_at), why=why)
    bucket.write_json(key_of(stretch), found | _changed(closed))
    return _parse(found | _changed(closed)) or closed


def mark_gone(bucket: Bucket, stretch: Stretch, gone_at: datetime) -> Stretch:
    """Note in the newest stretch, which has ended, since when the disks are gone. Raises AwsError or MissingError."""
    found = bucket.read_json(key_of(stretch))
    gone = replace(stretch, gone_at=max(gone_at, stretch.end))
    if _parse(found):
        bucket.write_json(key_of(stretch), found | {"gone_at": _iso(gone.gone_at)})
    return gone


def stopped_at(instance: dict[str, Any]) -> datetime | None:
    """When EC2 says that an instance stopped, by its description; None where it runs, or EC2 does not say.

    StateTransitionReason is `User initiated (2021-10-04 14:13:33 GMT)` where an API call stopped it (moto writes UTC
    for GMT), `User initiated` alone where AWS itself did (cloud-custodian's issue 6924), and it may be empty (EC2's
    API reference, Instance). On a terminated instance it is the termination's.
    """
    if instance.get("State", {}).get("Name") not in ("stopping", "stopped"):
        return None
    found = _STOPPED.search(instance.get("StateTransitionReason") or "")
    try:
        return datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC) if found else None
    except ValueError:
        return None


def _idle_until(stretch: Stretch, ended_at: datetime) -> Stretch:
    more = max((ended_at - stretch.seen_at).total_seconds() / 3600, 0)
    longer = 1 + more / stretch.hours if stretch.hours else 1.0
    usd, saved = stretch.usd, stretch.spot_saved_usd
    return replace(
        stretch,
        seen_at=max(ended_at, stretch.seen_at),
        idle_hours=stretch.idle_hours + more,
        usd=usd
        and replace(
            usd,
            idle=usd.idle + (usd.work + usd.idle) * (longer - 1),
            disks=usd.disks * longer,
            addresses=usd.addresses * longer,
        ),
        spot_saved_usd=None if saved is None else saved * longer,
    )


def _changed(stretch: Stretch) -> dict[str, Any]:
    """What `close` changes of an entry."""
    return {
        "seen_at": _iso(stretch.seen_at),
        "ended_at": _iso(stretch.ended_at),
        "why": stretch.why,
        "hours": {"work": stretch.work_hours, "idle": stretch.idle_hours},
        "usd": stretch.usd and vars(stretch.usd),
        "spot_saved_usd": stretch.spot_saved_usd,
    }


def _parsed(found: Iterable[tuple[str, Any]], cluster_name: str) -> list[Stretch]:
    parsed = [(key, stretch) for key, content in found if (stretch := _parse(content))]
    # Its own name for itself must be its key's: nothing counts twice, or for another cluster.
    ours = [stretch for key, stretch in parsed if key_of(stretch) == key and stretch.cluster == cluster_name]
    return sorted(ours, key=lambda stretch: stretch.started_at)


def _parse(found: Any) -> Stretch | None:
    """An entry of the form that keepers write; None for anything else."""
    try:
        stretch = _read(found) if found["version"] == VERSION else None
    except (TypeError, KeyError, ValueError, AttributeError, OverflowError):
        return None
    return stretch if stretch and _is_in_time(stretch) else None


def _read(found: dict[str, Any]) -> Stretch:
    usd, hours = found["usd"], found["hours"]
    ended_at, why = _time_or_none(found["ended_at"]), None if found["why"] is None else _text(found["why"])
    if usd is not None and found["currency"] != "USD":
        raise ValueError(found["currency"])
    return Stretch(
        cluster=_text(found["cluster"]),
        region=_text(found["region"]),
        started_at=_time(found["started_at"]),
        seen_at=_time(found["seen_at"]),
        ended_at=ended_at,
        why=why,
        hosts=tuple(map(_host, found["hosts"])),
        work_hours=_amount(hours["work"]),
        idle_hours=_amount(hours["idle"]),
        usd=None if usd is None else Usd(**{name: _amount(usd[name]) for name in Usd.__annotations__}),
        spot_saved_usd=None if found["spot_saved_usd"] is None else _saved(found["spot_saved_usd"]),
        disks_per_hour=_amount_or_none(found["disks_per_hour"]),
        runs=tuple(map(_run, found["runs"])),
        gone_at=_time_or_none(found.get("gone_at")) or (ended_at if why == DOWN else None),
    )


def _is_in_time(stretch: Stretch) -> bool:
    """Whether its times follow one another, and none is to come."""
    times = [stretch.started_at, stretch.end, stretch.gone_at or stretch.end]
    newest = max(stretch.seen_at, *times)
    return (
        times == sorted(times)
        and EARLIEST <= stretch.started_at <= stretch.seen_at
        and newest <= datetime.now(UTC) + CLOCKS_DIFFER
    )


def _host(found: dict[str, Any]) -> HostHours:
    return HostHours(
        name=_text(found["name"]),
        id=_text(found["id"]),
        type=_text(found["type"]),
        spot=bool(found["spot"]),
        hours=_amount(found["hours"]),
    )


def _run(found: dict[str, Any]) -> LedgerRun:
    pictures = _amount_or_none(found["pictures"])
    return LedgerRun(
        run_id=_text(found["run_id"]),
        began_at=_time(found["began_at"]),
        ended_at=_time_or_none(found["ended_at"]),
        code=None if found["code"] is None else int(found["code"]),
        pictures=None if pictures is None else int(pictures),
    )


def _text(found: Any) -> str:
    if not isinstance(found, str):
        raise TypeError(found)
    return found


def _amount(found: Any) -> float:
    number = float(found)
    # Neither "nan" nor "inf" is in between.
    if not 0 <= number <= MOST:
        raise ValueError(found)
    return number


def _amount_or_none(found: Any) -> float | None:
    return None if found is None else _amount(found)


def _saved(found: Any) -> float:
    """Below nothing where spot was dearer."""
    _amount(abs(float(found)))
    return float(found)


def _time(found: Any) -> datetime:
    at = datetime.fromisoformat(found)
    if at.tzinfo is None:
        raise ValueError(found)
    return at.astimezone(UTC)


def _time_or_none(found: Any) -> datetime | None:
    return None if found is None else _time(found)


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="seconds")
