"""`make scale`: more or fewer workers. Those that go hand over first what they hold, and finish what they are at."""

import time

from scripts import console, lock, tfvars
from scripts.cluster import Cluster, Host
from scripts.errors import ConfigurationError, InputError, OperatorError
from scripts.hosts import host_keys, orchard_run, readiness, spark_master
from scripts.hosts.ssh import Hosts
from scripts.lifecycle import plan, summary, up
from scripts.terraform import outputs

DECOMMISSION_SECONDS = 300
PAUSE = 1.0
MOST = 100


def scale(workers: str, admin_cidr: str = "") -> None:
    """Have so many workers; terraform.tfvars keeps the number. Raises InputError when it is none."""
    wanted = _number(workers)
    cluster = outputs.current()
    plan.check(cluster.name)
    leaving = cluster.workers[wanted:]
    with lock.changing(cluster.name, "scale"):
        if leaving:
            _decommission(cluster, leaving)
        tfvars.change("worker_count", wanted)
        if wanted > len(cluster.workers):
            cluster = up.converge(cluster.name, admin_cidr)
        else:
            cluster = _shrink(cluster, admin_cidr)
        host_keys.forget(cluster.known_hosts, leaving)
    summary.say(cluster)


def _shrink(cluster: Cluster, admin_cidr: str) -> Cluster:
    """Give the instances back. What stays needs no new settings: a job that is at work there goes on."""
    with console.phase("Plan") as under_way:
        planned = plan.plan_for(cluster.name, admin_cidr)
        under_way.result = plan.counts(planned)
    with console.phase("Machines") as under_way:
        under_way.result = up.apply(planned, under_way)
    cluster = outputs.current()
    readiness.verify(cluster)
    return cluster


def _decommission(cluster: Cluster, leaving: tuple[Host, ...]) -> None:
    """Tell workers to go and wait until they have; what one that cannot be told was at, Spark repeats."""
    with console.phase("Decommission") as under_way, Hosts(cluster) as hosts:
        told = []
        for host in leaving:
            try:
                orchard_run.ask(hosts, host, "decommission")
                told.append(host)
            except OperatorError as error:
                under_way.note(f"{host.name} could not be told to go: {error.reason}")
        deadline = time.monotonic() + DECOMMISSION_SECONDS
        while busy := [host.name for host in told if not _has_left(hosts, cluster, host)]:
            if time.monotonic() > deadline:
                under_way.note(f"{', '.join(busy)} did not finish in {DECOMMISSION_SECONDS} s: its tasks are repeated")
                break
            under_way.note(f"waiting for {', '.join(busy)} to finish tasks and hand over")
            time.sleep(PAUSE)
        under_way.result = f"{', '.join(host.name for host in leaving)} may go"


def _has_left(hosts: Hosts, cluster: Cluster, host: Host) -> bool:
    """Whether the master counts on the worker no longer, and the worker runs nothing more."""
    state = spark_master.master_state(hosts, cluster)
    if state is None:
        raise ConfigurationError("The Spark master does not answer: `make up` mends it, then `make scale` again.")
    return host.private_ip not in state.alive and not spark_master.executors_on(hosts, cluster, host.private_ip)


def _number(workers: str) -> int:
    if not workers.isdecimal() or int(workers) > MOST:
        raise InputError(f"WORKERS is a whole number from 0 to {MOST}, not {workers!r}: make scale WORKERS=3.")
    return int(workers)
