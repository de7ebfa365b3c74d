"""What is at work on a cluster: asked before something would end it."""

from scripts import console
from scripts.cluster import Cluster
from scripts.errors import BusyError, ConfigurationError, HostError, MissingError
from scripts.hosts import readiness, spark_master
from scripts.hosts.orchard_run import NotConfiguredError
from scripts.hosts.ssh import Hosts
from scripts.runs import systemd_unit

CONNECT_SECONDS = 8


def at_work(cluster: Cluster) -> list[str]:
    """The runs that go on, or else Spark's applications, a notebook's for one. Raises what talking to hosts raises."""
    with Hosts(cluster, connect_seconds=CONNECT_SECONDS) as hosts:
        runs = [f"run {running.run_id}" for running in systemd_unit.running(hosts)]
        state = None if runs else spark_master.master_state(hosts, cluster)
    return runs or sorted(state.applications if state else ())


def ask_before(cluster: Cluster, question: str) -> None:
    """Ask when something is at work, or when a master that runs does not say whether.

    Raises BusyError when the answer is no, or nobody is there to give one.
    """
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
