"""Which boot a host is in: one that answers just after a reboot was asked for may not have gone down for it yet."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from scripts.cluster import Cluster, Host
from scripts.errors import OperatorError
from scripts.hosts.ssh import Hosts
from scripts.waiting import wait_until

BOOT_ID = "cat /proc/sys/kernel/random/boot_id"
PAUSE_SECONDS = 1.0


def ids(cluster: Cluster, hosts: Sequence[Host]) -> dict[Host, str]:
    """The boot ids of those of these hosts that say theirs now."""
    with ThreadPoolExecutor(len(hosts) or 1) as pool:
        said = zip(hosts, pool.map(lambda host: _id(cluster, host), hosts), strict=True)
        return {host: boot for host, boot in said if boot}


def wait_for_others(cluster: Cluster, before: Mapping[Host, str], seconds: float) -> None:
    """Wait until each of these hosts says another boot id than before, and for so long at most."""

    def are_others() -> bool:
        now = ids(cluster, list(before))
        return all(now.get(host, boot) != boot for host, boot in before.items())

    wait_until(are_others, seconds=seconds, every=PAUSE_SECONDS)


def _id(cluster: Cluster, host: Host) -> str:
    with Hosts(cluster) as hosts:
        try:
            return hosts.run(host, BOOT_ID, timeout=10).out.strip()
        except OperatorError:
            return ""
