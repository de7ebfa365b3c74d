"""The cluster's own end, from the laptop: its time begins anew, it is put off, AWS's own hour is moved along."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from scripts import console
from scripts.aws import schedules
from scripts.aws.bucket import bucket_of
from scripts.cluster import Cluster
from scripts.errors import InputError, OperatorError
from scripts.hosts import keeper, readiness
from scripts.hosts.keeper import Ends, NoKeeperError
from scripts.hosts.ssh import Hosts
from scripts.money import prices
from scripts.terraform import outputs

# AWS stops the hosts so long after the age limit: by then their own keeper has.
AFTER_AGE = timedelta(hours=1)
DEFAULT_HOURS = "2"
LONGEST_HOURS = 168.0


def keep(hours: str) -> None:
    """Put all ends off for so many hours. Raises InputError for what is no such number."""
    wanted = _hours(hours)
    cluster = readiness.of_running(outputs.current())
    stops_at = move_aws(cluster.region, cluster.name, cluster.ends.max_age_hours, wanted)
    with Hosts(cluster) as hosts:
        if stops_at:
            keeper.tell(hosts, aws_stops_at=stops_at)
        kept = keeper.keep(hosts, wanted)
    console.say(f"Nothing ends cluster {cluster.name} before {moment(kept.kept_until or time.time())}.{_of_aws(kept)}")


@contextmanager
def put_off(cluster: Cluster, task: str) -> Iterator[None]:
    """While a command is at work on the cluster, neither its keeper nor AWS ends it: its time begins anew already."""
    stops_at = move_aws(cluster.region, cluster.name, cluster.ends.max_age_hours)
    with keeper.held(cluster, task, aws_stops_at=stops_at, begins_anew=True):
        yield


def begin_anew(cluster: Cluster) -> None:
    """The cluster's time begins now: tell AWS and the keeper, and the keeper what an hour costs."""
    with console.phase("Ends") as under_way, Hosts(cluster) as hosts:
        stops_at = move_aws(cluster.region, cluster.name, cluster.ends.max_age_hours)
        if stops_at is None and cluster.ends.max_age_hours:
            under_way.note("AWS has no schedule that stops the hosts, should their keeper not: `make up` makes it")
        # Prices that are not known now take nothing from those that were.
        rates = prices.rates(cluster)
        known = {"rates": asdict(rates)} if rates else {}
        try:
            found = keeper.tell(hosts, aws_stops_at=stops_at, begins_anew=True, **known)
        except NoKeeperError as error:
            under_way.result = f"never by itself: {error}"
            return
        under_way.result = in_words(cluster, found)


def move_aws(region: str, cluster_name: str, max_age_hours: float, hours: float = 0.0) -> float | None:
    """Move AWS's own hour behind the age limit as from now, or behind so many hours; gives it, None without one.

    Never to an earlier one: somebody may have kept the cluster for longer.
    """
    if not max_age_hours:
        return None
    due = schedules.due(region, cluster_name)
    at = datetime.now(UTC) + timedelta(hours=max(hours, max_age_hours)) + AFTER_AGE
    at = max(at, due) if due else at
    return at.timestamp() if schedules.move(region, cluster_name, at) else None


def save_last_entry(cluster: Cluster, why: str, under_way: console.Phase) -> None:
    """Have the ledger closed before the hosts go; a master that is off or deaf leaves that to the next command."""
    try:
        with Hosts(cluster, connect_seconds=keeper.CONNECT_SECONDS) as hosts:
            last = keeper.end(hosts, why)
        bucket_of(cluster).write_json(last.key, last.content)
    except OperatorError as error:
        under_way.note(f"the ledger's last entry was not written: {error.reason}")


def in_words(cluster: Cluster, found: Ends) -> str:
    """What bounds the cluster's life, for the end of a command."""
    limits = cluster.ends
    idle = f"after {limits.idle_minutes:g} idle minutes" if limits.idle_minutes else ""
    age = f"{moment(found.age_ends_at)} at the latest" if found.age_ends_at else ""
    said = ", ".join(part for part in (idle, age) if part)
    return f"by itself {said}" if said else "never by itself: idle_minutes and max_age_hours are 0"


def lines(found: Ends, now: float) -> list[str]:
    """What `make status` says of it."""
    said = []
    if found.ended or found.ending:
        return [f"It is stopping: {(found.ended or found.ending or '').partition(': ')[2] or found.ended}."]
    if found.held_by:
        said.append(f"Held by {', '.join(map(console.one_line, found.held_by))}.")
    elif found.idle_since:
        said.append(f"Idle since {moment(found.idle_since)}.")
    if found.ends_at is None:
        said.append("Nothing ends it by itself.")
    else:
        why = "if nothing is at work by then" if found.ends_kind == "idle" and not found.held_by else "at the latest"
        at = found.age_ends_at if found.held_by else found.ends_at
        if at:
            said.append(f"It stops at {moment(at)} {why}{_kept(found)}.")
    said = [" ".join(said)]
    if found.is_silent(now):
        aws = f"; AWS stops its hosts at {moment(found.aws_stops_at)}" if found.aws_stops_at else ""
        said.append(f"Its keeper has not looked for a while: `make up` mends it{aws}.")
    return [*said, found.warning] if found.warning else said


def moment(at: float) -> str:
    """A moment by this machine's own clock; with the day where it is another."""
    local = datetime.fromtimestamp(at).astimezone()
    is_today = local.date() == datetime.now().astimezone().date()
    return local.strftime("%H:%M" if is_today else "%a %d %b %H:%M")


def _kept(found: Ends) -> str:
    return f" (kept until {moment(found.kept_until)})" if found.kept_until else ""


def _of_aws(found: Ends) -> str:
    return f" AWS itself stops its hosts at {moment(found.aws_stops_at)}." if found.aws_stops_at else ""


def _hours(given: str) -> float:
    try:
        hours = float(given)
    except ValueError:
        hours = math.nan
    if not 0 < hours <= LONGEST_HOURS:
        raise InputError(
            f"HOURS={given} is no time to keep a cluster for: give hours above 0, up to {LONGEST_HOURS:.0f}."
        )
    return hours
