"""What is at work on a cluster: asked before something would end it."""

from scripts import console, spark
from scripts.cluster import Cluster
from scripts.errors import BusyError, OperatorError
from scripts.remote import Hosts

CONNECT_SECONDS = 8


def applications(cluster: Cluster) -> tuple[str, ...]:
    """Names of the Spark applications at work; none where the cluster does not answer."""
    try:
        with Hosts(cluster, connect_seconds=CONNECT_SECONDS) as hosts:
            state = spark.master_state(hosts, cluster)
    except OperatorError:
        return ()
    return state.applications if state else ()


def ask_before(cluster: Cluster, question: str) -> None:
    """Ask when something is at work. Raises BusyError when the answer is no, or nobody is there to give one."""
    at_work = applications(cluster)
    if at_work and not console.ask(f"At work on the cluster: {', '.join(at_work)}. {question}"):
        raise BusyError("Nothing was changed. `make follow` shows the run, `make stop-run` ends it kindly.")
