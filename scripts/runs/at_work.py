"""What is at work on a cluster: asked before something would end it."""

from scripts import console
from scripts.cluster import Cluster
from scripts.errors import BusyError, OperatorError
from scripts.hosts import spark_master
from scripts.hosts.ssh import Hosts
from scripts.runs import systemd_unit

CONNECT_SECONDS = 8


def at_work(cluster: Cluster) -> list[str]:
    """The runs that go on, or else the Spark applications, a notebook's for one; none where no host answers."""
    try:
        with Hosts(cluster, connect_seconds=CONNECT_SECONDS) as hosts:
            runs = [f"run {running.run_id}" for running in systemd_unit.running(hosts)]
            state = None if runs else spark_master.master_state(hosts, cluster)
    except OperatorError:
        return []
    return runs or sorted(state.applications if state else ())


def ask_before(cluster: Cluster, question: str) -> None:
    """Ask when something is at work. Raises BusyError when the answer is no, or nobody is there to give one."""
    found = at_work(cluster)
    if found and not console.ask(f"At work on the cluster: {', '.join(found)}. {question}"):
        raise BusyError("Nothing was changed. `make follow` shows the run, `make stop-run` ends it kindly.")
