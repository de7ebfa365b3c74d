"""`make scale`: more or fewer workers. Those that go hand over first what they hold, and finish what they are at."""

from scripts import console, lock, tfvars
from scripts.cluster import Cluster, Host
from scripts.errors import ConfigurationError, OperatorError
from scripts.hosts import host_keys, orchard_run, readiness, spark_master
from scripts.hosts.spark_master import MasterState
from scripts.hosts.ssh import Hosts
from scripts.lifecycle import ends, plan, power, summary, up
from scripts.terraform import outputs, validation
from scripts.terraform.workspace import APPLIED, Plan
from scripts.waiting import wait_until

DECOMMISSION_SECONDS = 300


def scale(workers: str, admin_cidr: str = "") -> None:
    """Have so many workers; terraform.tfvars keeps the number, as it was where nothing was begun.

    Raises InputError when Terraform refuses it.

    Raises BusyError where hosts would go while something is at work, and nobody says that they may.
    """
    wanted = _checked(workers)
    name = tfvars.read()["cluster_name"]
    plan.check(name)
    with lock.changing(name, "scale"):
        cluster = outputs.current()
        leaving = cluster.workers[wanted:]
        power.say_how_it_stopped(cluster)
        with ends.put_off(cluster, "scale"):
            # A cluster that has stopped has nothing to hand over, and is started for its new number.
            if wanted > len(cluster.workers) or not readiness.runs(cluster):
                cluster = up.converge(name, admin_cidr, worker_count=wanted)
            else:
                cluster = _shrink(cluster, leaving, admin_cidr)
        host_keys.forget(cluster.known_hosts, leaving)
    summary.say(cluster)


def _shrink(cluster: Cluster, leaving: tuple[Host, ...], admin_cidr: str) -> Cluster:
    """Give the instances back. What stays needs no new settings: a job that is at work there goes on.

    Where the plan makes hosts, too, in place of a lost one for one, or changes what hosts are told, it is done as by
    `make up`.
    """
    wanted = len(cluster.workers) - len(leaving)
    with console.phase("Plan") as under_way:
        planned = plan.plan_for(cluster.name, admin_cidr, worker_count=wanted)
        under_way.result = plan.counts(planned)
    plan.ask_before_hosts_go(cluster, planned)
    if leaving:
        _decommission(cluster, leaving)
    _write(wanted)
    if _needs_up(planned):
        return up.converge(cluster.name, admin_cidr, is_asked=True)
    with console.phase("Machines") as under_way:
        under_way.result = up.apply(cluster.name, planned, under_way)
    cluster = outputs.current()
    readiness.verify(cluster)
    ends.begin_anew(cluster)
    return cluster


def _needs_up(planned: Plan) -> bool:
    return bool(planned.count("create") or planned.count("replace") or planned.stops or APPLIED in planned.changes)


def _write(wanted: int) -> None:
    tfvars.write(tfvars.with_setting(tfvars.text(), "worker_count", wanted))


def _decommission(cluster: Cluster, leaving: tuple[Host, ...]) -> None:
    """Have workers hand over and wait until they have; what one that cannot be reached was at, Spark repeats."""
    with console.phase("Decommission") as under_way, Hosts(cluster) as hosts:
        going = []
        for host in leaving:
            try:
                orchard_run.ask(hosts, host, "decommission")
                going.append(host)
            except OperatorError as error:
                under_way.note(f"{host.name} could not be asked to go: {error.reason}")

        if busy := _wait_for_hand_over(hosts, cluster, going, under_way):
            under_way.note(f"{', '.join(busy)} did not finish in {DECOMMISSION_SECONDS} s: its tasks are repeated")
        under_way.result = f"{', '.join(host.name for host in leaving)} may go"


def _wait_for_hand_over(hosts: Hosts, cluster: Cluster, going: list[Host], under_way: console.Phase) -> list[str]:
    """Names of the workers that are still at something when time is up."""
    busy: list[str] = []

    def are_gone() -> bool:
        state = spark_master.master_state(hosts, cluster)
        if state is None:
            raise ConfigurationError("The Spark master does not answer: `make up` mends it, then `make scale` again.")
        busy[:] = [host.name for host in going if not _has_left(hosts, cluster, state, host)]
        if busy:
            under_way.note(f"waiting for {', '.join(busy)} to finish tasks and hand over")
        return not busy

    wait_until(are_gone, seconds=DECOMMISSION_SECONDS)
    return busy


def _has_left(hosts: Hosts, cluster: Cluster, state: MasterState, host: Host) -> bool:
    """Whether the master counts on the worker no longer, and the worker runs nothing more."""
    return host.private_ip not in state.alive and not spark_master.executors_on(hosts, cluster, host.private_ip)


def _checked(workers: str) -> int:
    """The number, once Terraform takes it. Raises InputError."""
    wanted = tfvars.typed("worker_count", workers)
    validation.check(tfvars.with_setting(tfvars.text(), "worker_count", wanted))
    return int(str(wanted))
