"""What goes wrong on purpose. (Clock skew is not among it: containers share the machine's one clock.)"""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.sandbox.host import Host
from tests.sandbox.kernel import cgroups, firewall, network


def cut_power(host: Host) -> None:
    """End the host as if its plug were pulled. `host.start()` brings it back."""
    host.cut_power()


def cut_link(host: Host) -> None:
    """Pull the network cable: the host goes on, and nothing gets in or out."""
    network.set_link(host.run, host.address, up=False)


def mend_link(host: Host) -> None:
    """Plug the cable in again."""
    network.set_link(host.run, host.address, up=True)


@contextmanager
def operator_offline(host: Host) -> Iterator[None]:
    """For the time of the block, nothing that this machine sends reaches the host's SSH; the hosts notice nothing."""
    firewall.drop_ssh_from(host.run, host.name, host.run.gateway, dropped=True)
    try:
        yield
    finally:
        firewall.drop_ssh_from(host.run, host.name, host.run.gateway, dropped=False)


def limit_rate(host: Host, bits_per_second: int | None) -> None:
    """Bound the host's link, each way; None lifts it."""
    network.limit_rate(host.run, host.name, host.address, bits_per_second)


def limit_memory(host: Host, size: int | None) -> None:
    """Bound the host's memory to so many bytes from now on; None lifts it. What it shows in /proc/meminfo stays."""
    cgroups.limit_memory(host.cgroup, size)
