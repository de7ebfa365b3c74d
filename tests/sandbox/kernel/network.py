"""Links, addresses and namespaces: a bridge per run, and per host a namespace with one end of a veth pair in it."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address
from pathlib import Path

from pyroute2 import IPRoute, NetNS, netns
from pyroute2.netlink.exceptions import NetlinkError

from tests.sandbox.machine import SandboxError
from tests.sandbox.runs import Run

METADATA_ADDRESS = "169.254.169.254"
NETNS_FOLDER = Path("/run/netns")
# Above every metric that a real route has.
LAST_RESORT = 9999


def uplink() -> tuple[str, int]:
    """Name and MTU of the link that this machine's default route goes by."""
    with IPRoute() as kernel:
        for route in kernel.get_default_routes(family=2):
            link = kernel.get_links(route.get_attr("RTA_OIF"))[0]
            return link.get_attr("IFLA_IFNAME"), link.get_attr("IFLA_MTU")
    raise SandboxError("This machine has no default route, so the hosts could not reach a package registry.")


def namespace(run: Run, host: str) -> str:
    return f"{run.name}-{host}"


def link_name(run: Run, address: IPv4Address) -> str:
    """The bridge's end of a host's link. By address, because a link's name has 15 characters at most."""
    return f"{run.name}-{int(address) - int(run.network.network_address)}"


def create_bridge(run: Run) -> None:
    """The run's network, with this machine as its router."""
    _, mtu = uplink()
    with IPRoute() as kernel:
        # First: while the bridge is not there, packets for hosts go nowhere, and never out by the uplink.
        for network in (run.network, run.public_network):
            kernel.route("replace", dst=str(network), type="unreachable", priority=LAST_RESORT)
        kernel.link("add", ifname=run.name, kind="bridge")
        index = _index(kernel, run.name)
        kernel.addr("add", index=index, address=str(run.gateway), prefixlen=run.network.prefixlen)
        kernel.link("set", index=index, mtu=mtu, state="up")
        # A route is looked up before the address is translated: one must be there.
        kernel.route("add", dst=str(run.public_network), oif=index, prefsrc=str(run.gateway))


def destroy_bridge(run: Run) -> None:
    """Take the run's bridge and routes away, as far as they are there."""
    delete_link(run.name)
    with IPRoute() as kernel:
        for network in (run.network, run.public_network):
            with suppress(NetlinkError):
                kernel.route("del", dst=str(network), type="unreachable", priority=LAST_RESORT)


def attach(run: Run, host: str, address: IPv4Address) -> None:
    """Give the host its namespace and link."""
    name, outside = namespace(run, host), link_name(run, address)
    _, mtu = uplink()
    netns.create(name)
    with IPRoute() as kernel, NetNS(name) as inside:
        # The MTU is the uplink's: without that, large packets to the registries are lost.
        kernel.link("add", ifname=outside, kind="veth", mtu=mtu, peer={"ifname": "eth0", "net_ns_fd": name, "mtu": mtu})
        kernel.link("set", index=_index(kernel, outside), master=_index(kernel, run.name), state="up")
        ethernet, loopback = _index(inside, "eth0"), _index(inside, "lo")
        inside.addr("add", index=ethernet, address=str(address), prefixlen=run.network.prefixlen)
        inside.addr("add", index=loopback, address=METADATA_ADDRESS, prefixlen=32)
        inside.link("set", index=loopback, state="up")
        inside.link("set", index=ethernet, state="up")
        inside.route("add", dst="default", gateway=str(run.gateway))


def detach(run: Run, host: str, address: IPv4Address) -> None:
    """Take the host's namespace and link away, as far as they are there."""
    delete_link(link_name(run, address))
    delete_namespace(namespace(run, host))


def set_link(run: Run, address: IPv4Address, up: bool) -> None:
    """Plug the host's cable in or pull it out."""
    with IPRoute() as kernel:
        kernel.link("set", index=_index(kernel, link_name(run, address)), state="up" if up else "down")


def set_power(run: Run, host: str, on: bool) -> None:
    """Let the host's own end of its cable be live or dead: who is switched off answers nothing, not even a refusal."""
    with NetNS(namespace(run, host)) as inside:
        inside.link("set", index=_index(inside, "eth0"), state="up" if on else "down")
        if on:
            # It went with the link.
            inside.route("replace", dst="default", gateway=str(run.gateway))


def limit_rate(run: Run, host: str, address: IPv4Address, bits_per_second: int | None) -> None:
    """Bound what the host sends and receives, each way; None: no bound. (netem may not be in the kernel; tbf is.)"""
    with IPRoute() as kernel, NetNS(namespace(run, host)) as inside:
        for side, name in ((kernel, link_name(run, address)), (inside, "eth0")):
            index = _index(side, name)
            with suppress(NetlinkError):  # it has none yet
                side.tc("del", index=index, parent=0xFFFFFFFF)
            if bits_per_second is not None:
                burst = max(bits_per_second // 8 // 100, 16_000)  # bytes; 10 ms, and at least some packets
                side.tc("add", "tbf", index=index, rate=f"{bits_per_second}bit", latency="100ms", burst=burst)


@contextmanager
def inside(run: Run, host: str) -> Iterator[None]:
    """This thread in the host's network namespace: sockets opened here stay in it."""
    netns.pushns(namespace(run, host))
    try:
        yield
    finally:
        netns.popns()


def link_names() -> list[str]:
    """Every link of this machine."""
    with IPRoute() as kernel:
        return [str(link.get_attr("IFLA_IFNAME")) for link in kernel.get_links()]


def namespace_names() -> list[str]:
    """Every named network namespace of this machine."""
    return [str(name) for name in netns.listnetns()]


def routes_of_last_resort() -> list[str]:
    """Networks that are kept off the uplink."""
    with IPRoute() as kernel:
        routes = kernel.get_routes(family=2, priority=LAST_RESORT)
        return [f"{route.get_attr('RTA_DST')}/{route['dst_len']}" for route in routes]


def delete_link(name: str) -> None:
    """Delete a link, if it is there."""
    with IPRoute() as kernel:
        for index in kernel.link_lookup(ifname=name):
            kernel.link("del", index=index)


def delete_namespace(name: str) -> None:
    """Delete a named network namespace, if it is there."""
    with suppress(FileNotFoundError):
        netns.remove(name)


def _index(kernel: IPRoute | NetNS, name: str) -> int:
    found = kernel.link_lookup(ifname=name)
    if not found:
        raise SandboxError(f"The link {name} is not there: something took it away from the sandbox.")
    return int(found[0])
