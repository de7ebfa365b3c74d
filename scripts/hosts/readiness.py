"""Waiting for hosts: until they run, until SSH takes the key, until the master sees every worker."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from scripts import console
from scripts.access.errors import aws_errors_as_sentences
from scripts.aws import clients
from scripts.cluster import Cluster, Host
from scripts.console import Phase
from scripts.errors import AwsError, ConfigurationError, HostError, HostKeyError, MissingError, NoClusterError
from scripts.hosts import host_keys, spark_master
from scripts.hosts.spark_master import MasterState
from scripts.hosts.ssh import Hosts, Remote
from scripts.money import ledger
from scripts.waiting import wait_until

SSH_SECONDS = 300
WORKERS_SECONDS = 120
STATE_SECONDS = 600
PAUSE_SECONDS = 0.5
RUNS = ("running", "pending")


def described(cluster: Cluster) -> dict[str, dict[str, Any]]:
    """EC2's descriptions of the hosts by their names; none of one that EC2 no longer knows."""
    ec2: Any = clients.client("ec2", cluster.region)
    with aws_errors_as_sentences("describe the instances"):
        pages = ec2.get_paginator("describe_instances").paginate(
            Filters=[{"Name": "instance-id", "Values": [host.id for host in cluster.hosts]}]
        )
        known = {i["InstanceId"]: i for p in pages for r in p["Reservations"] for i in r["Instances"]}
    return {host.name: known[host.id] for host in cluster.hosts if host.id in known}


def states(cluster: Cluster) -> dict[str, str]:
    """Each host's state in EC2 by its name; `terminated` for one that EC2 no longer knows."""
    known = described(cluster)
    return {
        host.name: known[host.name]["State"]["Name"] if host.name in known else "terminated" for host in cluster.hosts
    }


def stopped_at(cluster: Cluster) -> datetime | None:
    """When the master stopped, by EC2's word; None where it runs, or EC2 does not say."""
    return ledger.stopped_at(described(cluster).get(cluster.master.name, {}))


def runs(cluster: Cluster) -> bool:
    """Whether the master runs, or is about to."""
    return states(cluster)[cluster.master.name] in RUNS


def of_running(cluster: Cluster) -> Cluster:
    """The cluster, whose master runs. Raises NoClusterError with what brings it back."""
    state = states(cluster)[cluster.master.name]
    if state in RUNS:
        return cluster
    step = "`make up` makes another" if state in ("terminated", "shutting-down") else "`make start` brings it back"
    raise NoClusterError(f"The master of cluster {cluster.name} is {state}: {step}.")


def are_all(cluster: Cluster, state: str) -> bool:
    """Whether every host is in that state."""
    return set(states(cluster).values()) == {state}


def wait_for_state(cluster: Cluster, wanted: str, under_way: Phase, of: Sequence[Host] = ()) -> None:
    """Wait until every host (of these) is `running`, `stopped` or `terminated`. Raises AwsError for one that is not."""
    names = {host.name for host in of or cluster.hosts}
    late: dict[str, str] = {}

    def all_there() -> bool:
        nonlocal late
        late = {name: state for name, state in states(cluster).items() if name in names and state != wanted}
        for name, state in late.items():
            # From there is no way back.
            if state == "terminated":
                raise _never(name, state, wanted)
        for name, state in list(late.items())[:1]:
            under_way.note(f"{name} is {state}")
        return not late

    if not wait_until(all_there, seconds=STATE_SECONDS, every=PAUSE_SECONDS):
        raise _never(*next(iter(late.items())), wanted)


def _never(name: str, state: str, wanted: str) -> AwsError:
    return AwsError(f"{name} is {state} and not {wanted}: `make up` puts the cluster right.")


def wait_for_ssh(cluster: Cluster, under_way: Phase, of: Sequence[Host] | None = None) -> None:
    """Wait until every host (of these) lets the key in. Raises what the last try raised."""
    if failed := silent(cluster, cluster.hosts if of is None else of, under_way, SSH_SECONDS):
        raise next(iter(failed.values()))


def silent(
    cluster: Cluster, of: Sequence[Host], under_way: Phase, seconds: float
) -> dict[str, HostError | MissingError]:
    """Wait for so long until these hosts let the key in; gives those that do not by name, with the last try's error.

    Says which is waited for, and why. Raises HostKeyError at once.
    """
    waiting = tuple(of)
    failed: dict[str, HostError | MissingError] = {}
    with ThreadPoolExecutor(len(waiting) or 1) as pool:

        def all_let_in() -> bool:
            nonlocal waiting, failed
            tried = zip(waiting, pool.map(lambda host: _try(cluster, host), waiting), strict=True)
            failed = {host.name: error for host, error in tried if error is not None}
            waiting = tuple(host for host in waiting if host.name in failed)
            for name, error in failed.items():
                # A boot does not mend a wrong host key.
                if isinstance(error, HostKeyError):
                    raise error
                under_way.note(f"waiting for {name} ({error.reason})")
            return not waiting

        wait_until(all_let_in, seconds=seconds, every=PAUSE_SECONDS)
    return failed


def wait_for_workers(hosts: Remote, cluster: Cluster, under_way: Phase) -> MasterState:
    """Wait until the master sees every worker alive. Raises ConfigurationError that names one that is missing."""
    waited_for = ""

    def whole() -> MasterState | None:
        nonlocal waited_for
        state = spark_master.master_state(hosts, cluster)
        missing = [host.name for host in cluster.workers if state is None or host.private_ip not in state.alive]
        if state is not None and not missing:
            return state
        waited_for = f"{', '.join(missing)} to register" if state else "the Spark master to answer"
        under_way.note(f"waiting for {waited_for}")
        return None

    state = wait_until(whole, seconds=WORKERS_SECONDS, every=PAUSE_SECONDS)
    if state is None:
        raise ConfigurationError(
            f"Waited {WORKERS_SECONDS} s in vain for {waited_for}: `make up` mends what it can, `make logs` tells more."
        )
    return state


def connect(cluster: Cluster) -> None:
    """Pin what host keys are new, and wait until SSH takes the key everywhere."""
    pin(cluster)
    with console.phase("SSH") as under_way:
        wait_for_ssh(cluster, under_way)
        under_way.result = f"{len(cluster.hosts)} hosts answer"


def pin(cluster: Cluster) -> None:
    """Pin what host keys are new."""
    with console.phase("Host keys") as under_way:
        new = host_keys.pin(cluster, under_way)
        under_way.result = f"{new} pinned by the console" if new else "pinned before"


def verify(cluster: Cluster) -> None:
    """Wait until the master sees every worker."""
    with console.phase("Verification") as under_way, Hosts(cluster) as hosts:
        state = wait_for_workers(hosts, cluster, under_way)
        under_way.result = f"{len(cluster.workers)} workers alive, {state.cores} cores"


def _try(cluster: Cluster, host: Host) -> HostError | MissingError | None:
    with Hosts(cluster) as hosts:
        try:
            # Where cloud-init is at work on a first boot, its end is what "ready" means.
            hosts.run(
                host, "command -v cloud-init > /dev/null && cloud-init status --wait > /dev/null || true", timeout=240
            )
        except (HostError, MissingError) as error:
            return error
    return None
