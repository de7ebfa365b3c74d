"""What the Spark master says of itself, asked on the master: its pages are closed to everyone else."""

from dataclasses import dataclass

from scripts.cluster import Cluster
from scripts.hosts import orchard_run
from scripts.hosts.ssh import Remote


@dataclass(frozen=True)
class MasterState:
    """Private addresses of the workers alive, and names of the applications at work."""

    alive: frozenset[str]
    applications: tuple[str, ...]
    cores: int


def master_state(hosts: Remote, cluster: Cluster) -> MasterState | None:
    """None while the master does not answer as one. Raises HostError when its host cannot be reached."""
    state = orchard_run.ask(hosts, cluster.master, "master-state")
    if state is None:
        return None
    return MasterState(frozenset(state["alive"]), tuple(state["applications"]), state["cores"])


def executors_on(hosts: Remote, cluster: Cluster, private_ip: str) -> int | None:
    """How many executors a worker runs, asked from the master; None when the worker does not answer."""
    running: int | None = orchard_run.ask(hosts, cluster.master, "executors", private_ip)
    return running
