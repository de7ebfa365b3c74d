"""Waiting for hosts: until they run, until SSH takes the key, until the master sees every worker."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from scripts import console
from scripts.aws import clients
from scripts.aws.errors import aws_errors_as_sentences
from scripts.cluster import Cluster, Host
from scripts.console import Phase
from scripts.errors import AwsError, ConfigurationError, HostError, MissingError
from scripts.hosts import host_keys, spark_master
from scripts.hosts.ssh import Hosts

SSH_SECONDS = 300
WORKERS_SECONDS = 120
STATE_SECONDS = 600
PAUSE = 0.5


def states(cluster: Cluster) -> dict[str, str]:
    """Each host's state in EC2 by its name; `terminated` for one that EC2 no longer knows."""
    ec2: Any = clients.client("ec2", cluster.region)
    with aws_errors_as_sentences("describe the instances"):
        pages = ec2.get_paginator("describe_instances").paginate(
            Filters=[{"Name": "instance-id", "Values": [host.id for host in cluster.hosts]}]
        )
        known = {i["InstanceId"]: i["State"]["Name"] for p in pages for r in p["Reservations"] for i in r["Instances"]}
    return {host.name: known.get(host.id, "terminated") for host in cluster.hosts}


def are_all(cluster: Cluster, state: str) -> bool:
    """Whether every host is in that state."""
    return set(states(cluster).values()) == {state}


def wait_for_state(cluster: Cluster, wanted: str, under_way: Phase) -> None:
    """Wait until every host is `running` or `stopped`. Raises AwsError when one does not get there."""
    deadline = time.monotonic() + STATE_SECONDS
    while late := {name: state for name, state in states(cluster).items() if state != wanted}:
        name, state = next(iter(late.items()))
        if state == "terminated" or time.monotonic() > deadline:
            raise AwsError(f"{name} is {state} and not {wanted}: `make up` puts the cluster right.")
        under_way.note(f"{name} is {state}")
        time.sleep(PAUSE)


def wait_for_ssh(cluster: Cluster, under_way: Phase) -> None:
    """Wait until every host lets the key in; says which is waited for, and why. Raises what the last try raised."""
    deadline = time.monotonic() + SSH_SECONDS
    waiting: tuple[Host, ...] = cluster.hosts
    with ThreadPoolExecutor(len(waiting)) as pool:
        while waiting:
            tried = dict(zip(waiting, pool.map(lambda host: _try(cluster, host), waiting), strict=True))
            failed = {host: error for host, error in tried.items() if error is not None}
            for host, error in failed.items():
                # A boot does not mend a wrong host key.
                if time.monotonic() > deadline or "another host key" in str(error):
                    raise error
                under_way.note(f"waiting for {host.name} ({error.reason})")
            waiting = tuple(failed)
            if waiting:
                time.sleep(PAUSE)


def wait_for_workers(hosts: Hosts, cluster: Cluster, under_way: Phase) -> spark_master.MasterState:
    """Wait until the master sees every worker alive. Raises ConfigurationError that names one that is missing."""
    deadline = time.monotonic() + WORKERS_SECONDS
    while True:
        state = spark_master.master_state(hosts, cluster)
        missing = [host.name for host in cluster.workers if state is None or host.private_ip not in state.alive]
        if state is not None and not missing:
            return state
        what = f"{', '.join(missing)} to register" if state else "the Spark master to answer"
        if time.monotonic() > deadline:
            raise ConfigurationError(
                f"Waited {WORKERS_SECONDS} s in vain for {what}: `make up` mends what it can, `make logs` tells more."
            )
        under_way.note(f"waiting for {what}")
        time.sleep(PAUSE)


def connect(cluster: Cluster) -> None:
    """Pin what host keys are new, and wait until SSH takes the key everywhere."""
    with console.phase("Host keys") as under_way:
        new = host_keys.pin(cluster, under_way)
        under_way.result = f"{new} pinned by the console" if new else "pinned before"
    with console.phase("SSH") as under_way:
        wait_for_ssh(cluster, under_way)
        under_way.result = f"{len(cluster.hosts)} hosts answer"


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
