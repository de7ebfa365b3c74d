"""What is at work on a cluster: asked before something would end it, and runs are ended kindly before it does."""

from collections.abc import Callable

from scripts import console
from scripts.cluster import Cluster
from scripts.errors import BusyError, ConfigurationError, HostError, MissingError, OperatorError
from scripts.hosts import keeper, readiness, spark_master
from scripts.hosts.keeper import NoKeeperError
from scripts.hosts.orchard_run import NotConfiguredError
from scripts.hosts.ssh import Hosts, Remote
from scripts.runs import systemd_unit
from scripts.waiting import wait_until

CONNECT_SECONDS = 8
# systemd gives a run two minutes, and what keeps its log comes after it.
ENDS_SECONDS = 150
# How the keeper begins the name of a kernel that computes.
KERNEL = "kernel of "


def at_work(cluster: Cluster) -> list[str]:
    """The runs that go on, or else Spark's applications and the kernels that compute.

    Raises what talking to hosts raises.
    """
    with Hosts(cluster, connect_seconds=CONNECT_SECONDS) as hosts:
        runs = [f"run {running.run_id}" for running in systemd_unit.running(hosts)]
        if runs:
            return runs
        state = spark_master.master_state(hosts, cluster)
        return [*sorted(state.applications if state else ()), *_busy_kernels(hosts)]


def _busy_kernels(hosts: Remote) -> list[str]:
    """The keeper sees those that use no Spark, too; an Orchard of before the keeper knows of none."""
    try:
        return [console.one_line(held) for held in keeper.ends(hosts).held_by if held.startswith(KERNEL)]
    except NoKeeperError:
        return []


def ask_before(cluster: Cluster, question: str) -> bool:
    """Ask when something is at work, or when a master that runs does not say whether; gives whether something is.

    Raises BusyError when the answer is no, or nobody is there to give one.
    """
    found: list[str] = []
    try:
        found = at_work(cluster)
        why = f"At work on the cluster: {', '.join(found)}." if found else ""
    except NotConfiguredError:
        why = ""
    except (ConfigurationError, HostError, MissingError) as error:
        is_running = readiness.states(cluster)[cluster.master.name] == "running"
        why = f"Whether anything is at work on the cluster is not known ({error.reason})." if is_running else ""
    if why and not console.ask(f"{why} {question}"):
        raise BusyError("Nothing was changed. `make follow` shows the run, `make stop-run` ends it kindly.")
    return bool(found)


def end_runs(cluster: Cluster, note: Callable[[str], None]) -> None:
    """Have every run end kindly, and its log and record in the bucket. What does not go well is noted."""
    try:
        with Hosts(cluster, connect_seconds=CONNECT_SECONDS) as hosts:
            for going in systemd_unit.running(hosts):
                note(f"run {going.run_id} is asked to end")
                systemd_unit.ask_to_stop(hosts, going.run_id)
            if not wait_until(lambda: not systemd_unit.running(hosts), seconds=ENDS_SECONDS):
                note("a run did not end in time")
    except OperatorError as error:
        note(f"what runs was not ended kindly: {error.reason}")
