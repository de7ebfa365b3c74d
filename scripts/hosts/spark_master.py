"""What the Spark master says of itself, asked on the master: its pages are closed to everyone else."""

import json
from dataclasses import dataclass

from scripts.cluster import Cluster
from scripts.hosts.ssh import Hosts

MASTER_UI_PORT = 8080
WORKER_UI_PORT = 8081
ASK = "python3 -c 'import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=5).read().decode())' {url}"


@dataclass(frozen=True)
class MasterState:
    """Private addresses of the workers alive, and names of the applications at work."""

    alive: frozenset[str]
    applications: tuple[str, ...]
    cores: int
    cores_used: int


def master_state(hosts: Hosts, cluster: Cluster) -> MasterState | None:
    """None while the master does not answer as one. Raises HostError when its host cannot be reached."""
    url = f"http://{cluster.master.private_ip}:{MASTER_UI_PORT}/json/"
    done = hosts.run(cluster.master, ASK.format(url=url), check=False, timeout=30)
    if done.code:
        return None
    try:
        told = json.loads(done.out)
    except ValueError:
        # While it starts, its page for people is there before the one for programs.
        return None
    return MasterState(
        # The master goes on listing dead workers.
        alive=frozenset(worker["host"] for worker in told["workers"] if worker["state"] == "ALIVE"),
        applications=tuple(application["name"] for application in told["activeapps"]),
        cores=told["cores"],
        cores_used=told["coresused"],
    )


def executors_on(hosts: Hosts, cluster: Cluster, private_ip: str) -> int | None:
    """How many executors a worker runs, asked from the master; None when the worker does not answer."""
    url = f"http://{private_ip}:{WORKER_UI_PORT}/json/"
    done = hosts.run(cluster.master, ASK.format(url=url), check=False, timeout=30)
    return len(json.loads(done.out)["executors"]) if done.code == 0 else None
