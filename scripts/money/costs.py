"""`make costs`: what every cluster of this account has cost, by month, from their ledgers; no cluster need be up."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from scripts import console, tfvars
from scripts.access import login
from scripts.access.errors import aws_errors_as_sentences
from scripts.aws import clients, resources
from scripts.aws.bucket import LEDGER, Bucket
from scripts.errors import AwsError, InputError
from scripts.money import ledger, reckoning
from scripts.money.amounts import money
from scripts.money.ledger import Stretch
from scripts.money.reckoning import USD, Amounts, day

ALIVE = ["pending", "running", "stopping", "stopped"]
# A keeper writes every ten minutes.
SILENT_AFTER = timedelta(minutes=30)
HEADING = (
    "MONTH",
    "CLUSTER",
    "REGION",
    "HOURS",
    "WORK",
    "IDLE",
    "DISKS",
    "ADDRESSES",
    "REQUESTS",
    "TOGETHER",
    "SPOT SAVED",
)
NOTHING = "No cluster of this account has a ledger in a bucket yet: there is nothing to reckon."


@dataclass(frozen=True)
class Row:
    """What a cluster cost in a month (UTC, as 2026-11), its disks while it was stopped included."""

    month: str
    cluster: str
    region: str
    amounts: Amounts


@dataclass(frozen=True)
class Open:
    """A cluster that is up by its ledger. `is_silent` where its keeper has not written for half an hour."""

    cluster: str
    region: str
    since: datetime
    seen_at: datetime
    is_silent: bool
    amounts: Amounts


@dataclass(frozen=True)
class Costs:
    """All of it: rows by month and cluster, clusters that are up, and sentences on what is not known."""

    rows: tuple[Row, ...]
    open: tuple[Open, ...]
    doubts: tuple[str, ...]


def show(as_json: bool) -> None:
    """Print it. Raises InputError where no region is named anywhere, AwsError or MissingError."""
    region = _region()
    rehearsal = clients.rehearsal(region)
    found = costs(region)
    if as_json:
        console.say(json.dumps(as_object(found) | {"rehearsal": rehearsal}, indent=1))
        return
    for line in [*([rehearsal] if rehearsal else []), *lines(found)]:
        console.say(line)


def costs(region: str) -> Costs:
    """Read every ledger. A bucket that cannot be read is a sentence among the doubts."""
    rows: list[Row] = []
    up: list[Open] = []
    doubts: list[str] = []
    for bucket in resources.buckets_of_project(region):
        try:
            for name in bucket.folders(LEDGER):
                of_cluster = _of_cluster(bucket, ledger.entries(bucket, name), datetime.now(UTC))
                rows += of_cluster.rows
                up += of_cluster.open
                doubts += of_cluster.doubts
        except AwsError as error:
            doubts.append(f"The bucket {bucket.name} is left out: {error}")
    return Costs(tuple(_merged(rows)), tuple(up), tuple(doubts))


def as_object(found: Costs) -> dict[str, Any]:
    """It for programs: USD, hours, times in ISO 8601."""
    return {
        "currency": USD,
        "rows": [_flat(asdict(row), row.amounts) for row in found.rows],
        "open": [
            _flat(asdict(up) | {"since": up.since.isoformat(), "seen_at": up.seen_at.isoformat()}, up.amounts)
            for up in found.open
        ],
        "doubts": list(found.doubts),
    }


def lines(found: Costs) -> list[str]:
    """It for people."""
    if not found.rows:
        return [NOTHING, *found.doubts]
    everything = sum((row.amounts for row in found.rows), Amounts())
    cells = [(row.month, row.cluster, row.region, *_numbers(row.amounts)) for row in found.rows]
    return [
        *console.columns([HEADING, *cells, ("all", "", "", *_numbers(everything))]),
        *map(_open_in_words, found.open),
        *found.doubts,
        reckoning.NOT_A_BILL,
    ]


def _region() -> str:
    """Where to ask from: the settings' region, or else the one that AWS's own tools would take."""
    if tfvars.tfvars().exists():
        return str(tfvars.setting("region"))
    region = login.region()
    if not region:
        raise InputError("No AWS region is set: `aws configure` or AWS_DEFAULT_REGION names one, then try again.")
    return region


def _of_cluster(bucket: Bucket, stretches: Sequence[Stretch], now: datetime) -> Costs:
    if not stretches:
        return Costs((), (), ())
    newest = stretches[-1]
    kept_until = now if newest.ended_at and not newest.gone_at and _is_there(bucket.region, newest.master_id) else None
    months = reckoning.by_month(reckoning.parts(stretches, kept_until))
    rows = tuple(Row(month, newest.cluster, bucket.region, amounts) for month, amounts in months.items())
    up = () if newest.ended_at else (_open(bucket, newest, now),)
    return Costs(rows, up, tuple(reckoning.doubts(stretches, kept_until)))


def _open(bucket: Bucket, newest: Stretch, now: datetime) -> Open:
    return Open(
        cluster=newest.cluster,
        region=bucket.region,
        since=newest.started_at,
        seen_at=newest.seen_at,
        is_silent=now - newest.seen_at > SILENT_AFTER,
        amounts=reckoning.total(reckoning.parts([newest])),
    )


def _is_there(region: str, instance_id: str | None) -> bool:
    """Whether an instance is there still, and its disk with it."""
    filters = [
        {"Name": "instance-id", "Values": [instance_id or "none"]},
        {"Name": "instance-state-name", "Values": ALIVE},
    ]
    try:
        with aws_errors_as_sentences("say whether a master is still there"):
            return bool(clients.client("ec2", region).describe_instances(Filters=filters)["Reservations"])
    except AwsError:
        return False  # then nobody knows, and a sentence says that


def _merged(rows: Iterable[Row]) -> list[Row]:
    """Sorted, one row for each month and name in a region, however many buckets it had."""
    sums: dict[tuple[str, str, str], Amounts] = {}
    for row in rows:
        key = (row.month, row.cluster, row.region)
        sums[key] = sums.get(key, Amounts()) + row.amounts
    return [Row(*key, amounts) for key, amounts in sorted(sums.items(), key=lambda item: item[0])]


def _flat(described: dict[str, Any], amounts: Amounts) -> dict[str, Any]:
    return {key: value for key, value in described.items() if key != "amounts"} | {
        **asdict(amounts),
        "hours": amounts.hours,
        "together": amounts.together,
    }


def _numbers(sums: Amounts) -> tuple[str, ...]:
    usd = (sums.work, sums.idle, sums.disks, sums.addresses, sums.requests, sums.together, sums.spot_saved)
    return (f"{sums.hours:,.1f}", *map(_cell, usd))


def _cell(usd: float) -> str:
    return "<0.01" if 0 < usd < 0.01 else f"{usd:,.2f}"


def _open_in_words(up: Open) -> str:
    name, so_far = console.one_line(up.cluster), money(up.amounts.together, USD)
    if up.is_silent:
        return (
            f"Cluster {name} in {up.region} has no end, and its keeper has been silent since {day(up.seen_at)}: "
            f"{so_far} until then."
        )
    return f"Cluster {name} in {up.region} is up since {day(up.since)}: {so_far} by {day(up.seen_at)}."
