"""Event logs and notebooks, which the master puts into the bucket each minute: now, because it is about to go."""

from typing import Any

from scripts import console
from scripts.cluster import Cluster
from scripts.errors import ConfigurationError
from scripts.hosts import orchard_run
from scripts.hosts.ssh import Hosts

# Both units at once, each twice at its limit.
SECONDS = 110
CONNECT_SECONDS = 8
KEEPS_NONE = "the master is of an earlier Orchard and keeps none: `make up` first"


def put_now(cluster: Cluster) -> None:
    """Have them put. Raises ConfigurationError where not all were, and what talking to hosts raises."""
    with Hosts(cluster, connect_seconds=CONNECT_SECONDS) as hosts:
        if "keeping_units" not in orchard_run.facts(hosts, cluster.master):
            raise orchard_run.NotConfiguredError(
                "The master does not keep notebooks and event logs yet: `make up` mends it.", KEEPS_NONE
            )
        left = left_of(orchard_run.ask(hosts, cluster.master, "keep-files", timeout=SECONDS))
    if left:
        raise ConfigurationError(
            f"The master could not put all into the bucket ({left}): `make logs` tells more.", left
        )


def left_of(told: dict[str, Any]) -> str:
    """What a master says that it has left of them; empty where that is nothing."""
    if "left" not in told:
        return KEEPS_NONE
    units = [str(unit) for unit in told["left"]]
    return f"{console.one_line(' and '.join(units))} failed" if units else ""
