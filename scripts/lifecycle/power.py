"""`make stop`, and what `make start` needs: instances off and on; disks, private addresses and host keys stay."""

from datetime import UTC, datetime, timedelta
from typing import Any

from scripts import console, lock, tfvars
from scripts.access.errors import aws_errors_as_sentences
from scripts.aws import clients, schedules
from scripts.aws.bucket import bucket_of
from scripts.cluster import Cluster, Host
from scripts.errors import OperatorError
from scripts.hosts import kept_files, readiness
from scripts.lifecycle import ends
from scripts.money import ledger, prices
from scripts.money.ledger import Stretch
from scripts.runs import at_work
from scripts.terraform import outputs, workspace

STOP_SECONDS = 300
# AWS invokes a schedule within a minute, and stopping takes some more.
SCHEDULE_LATE = timedelta(minutes=10)
GONE = ("terminated", "shutting-down")
# What the ledger has for an end from here, and for one that nobody tells of.
STOPPED, UNKNOWN = "make stop", "unknown"


def stop() -> None:
    """Stop every instance; spot workers, which cannot be stopped, are given back. Asks when something is at work."""
    with lock.changing(tfvars.read()["cluster_name"], "stop"):
        cluster = outputs.current()
        if are_off(cluster):
            console.say(f"Cluster {cluster.name} is stopped already. Next: make start")
            return
        is_at_work = at_work.ask_before(cluster, "Stop the cluster all the same?")
        with console.phase("Stop") as under_way:
            if is_at_work:
                at_work.end_runs(cluster, under_way.note)
            _keep_files(cluster, under_way)
            ends.save_last_entry(cluster, STOPPED, under_way)
            staying = _switch_off(cluster, under_way)
            _close_where_the_keeper_could_not(cluster, under_way)
    disks = prices.of_disks(cluster.region, len(staying), cluster.root_volume_gb)
    console.say(
        f"While it is stopped, its disks cost {disks * prices.HOURS_PER_DAY:.2f} {prices.currency()} a day. "
        "Next: make start"
    )


def _keep_files(cluster: Cluster, under_way: console.Phase) -> None:
    """What outlives the cluster goes to the bucket: from a stop it may go straight to its end."""
    try:
        kept_files.put_now(cluster)
    except OperatorError as error:
        under_way.note(f"event logs and notebooks were not kept to the last minute: {error.reason}")


def _switch_off(cluster: Cluster, under_way: console.Phase) -> list[Host]:
    """Stop what can be stopped, give spot workers back; gives what was stopped. What is gone already is left out."""
    now = readiness.states(cluster)
    there = [host for host in cluster.hosts if now[host.name] not in GONE]
    spot = [host for host in there if cluster.spot and host is not cluster.master]
    staying = [host for host in there if host not in spot]
    with aws_errors_as_sentences("stop the instances"):
        if spot:
            _ec2(cluster).terminate_instances(InstanceIds=[host.id for host in spot])
        if staying:
            _ec2(cluster).stop_instances(InstanceIds=[host.id for host in staying])
    for hosts, state in ((spot, "terminated"), (staying, "stopped")):
        if hosts:
            readiness.wait_for_state(cluster, state, under_way, of=hosts)
    given_back = f", {len(spot)} spot workers given back" if spot else ""
    under_way.result = f"{len(staying)} hosts stopped{given_back}"
    return staying


def _close_where_the_keeper_could_not(cluster: Cluster, under_way: console.Phase) -> None:
    try:
        if (stretch := _newest(cluster)) and not stretch.ended_at:
            stopped_at = readiness.stopped_at(cluster) or datetime.now(UTC)
            ledger.close(bucket_of(cluster), stretch, stopped_at, STOPPED)
    except OperatorError as error:
        under_way.note(f"the ledger's last entry was not written: {error.reason}")


def are_off(cluster: Cluster) -> bool:
    """Whether the master is stopped and no worker runs."""
    now = readiness.states(cluster)
    return now[cluster.master.name] == "stopped" and not set(now.values()) & {"running", "pending", "stopping"}


def lost_workers(cluster: Cluster) -> list[str]:
    """Workers that are no more, as spot ones after a stop: only Terraform makes them anew."""
    now = readiness.states(cluster)
    return [host.name for host in cluster.workers if now[host.name] in GONE]


def say_how_it_stopped(cluster: Cluster) -> None:
    """When and why the cluster stopped, where it did so by itself; the ledger's open entry is closed with that."""
    if not are_off(cluster):
        return
    try:
        stretch = settle(cluster)
    except OperatorError as error:
        console.warn(f"When and why it stopped is not known ({error.reason}).")
        return
    if stretch and stretch.ended_at and not (stretch.why or "").startswith("make "):
        kind, _, why = (stretch.why or "").partition(": ")
        at, reason = ends.moment(stretch.ended_at.timestamp()), console.one_line(why or kind)
        if kind == UNKNOWN:
            console.say(f"It had been stopped at {at}: {reason}.")
        else:
            console.say(f"It had stopped by itself at {at}: {reason}.")


def settle(cluster: Cluster) -> Stretch | None:
    """The newest stretch of a cluster that is off, closed by what EC2 says where its keeper had no last word."""
    stretch = _newest(cluster)
    if stretch is None or stretch.ended_at:
        return stretch
    stopped_at = readiness.stopped_at(cluster) or stretch.seen_at
    return ledger.close(bucket_of(cluster), stretch, stopped_at, _why_unsaid(cluster, stopped_at))


def _newest(cluster: Cluster) -> Stretch | None:
    """The newest stretch, where it is this cluster's: the ledger outlives clusters, and knows each by its master."""
    stretch = ledger.latest(bucket_of(cluster), cluster.name)
    return stretch if stretch and stretch.master_id in (None, cluster.master.id) else None


def _why_unsaid(cluster: Cluster, stopped_at: datetime) -> str:
    """What stopped a cluster whose keeper said nothing of it."""
    due = schedules.due(cluster.region, cluster.name)
    if due and abs(stopped_at - due) < SCHEDULE_LATE:
        return "AWS: its hosts had not stopped by themselves by the hour that AWS was given"
    return f"{UNKNOWN}: its keeper said nothing; somebody stopped it elsewhere, or its hosts were lost"


def start_stopped(cluster: Cluster, under_way: console.Phase) -> int:
    """Start the hosts that are stopped, and have Terraform see their new addresses; gives how many there were."""
    now = readiness.states(cluster)
    off = [host for host in cluster.hosts if now[host.name] in ("stopped", "stopping")]
    if off:
        for host in off:
            under_way.note(f"starting {host.name}")
        with aws_errors_as_sentences("start the instances"):
            # EC2 starts nothing that is still on its way down.
            _ec2(cluster).get_waiter("instance_stopped").wait(
                InstanceIds=[host.id for host in off], WaiterConfig={"Delay": 1, "MaxAttempts": STOP_SECONDS}
            )
            _ec2(cluster).start_instances(InstanceIds=[host.id for host in off])
    readiness.wait_for_state(cluster, "running", under_way)
    if off:
        workspace.Workspace(cluster.name).refresh()
    return len(off)


def _ec2(cluster: Cluster) -> Any:
    return clients.client("ec2", cluster.region)
