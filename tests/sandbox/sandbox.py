"""A run of the sandbox: its network and its hosts, from start to stop."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from tests.sandbox import machine, runs, sweep
from tests.sandbox.host import Host
from tests.sandbox.images import image
from tests.sandbox.kernel import firewall, network
from tests.sandbox.machine import SandboxError
from tests.sandbox.metadata import Identity, RoleCredentials

if TYPE_CHECKING:
    from tests.sandbox.runs import Run

MIB = 1024 * 1024
DEFAULT_MEMORY = 4096 * MIB
ANYWHERE = "0.0.0.0/0"


class Sandbox:
    """Hosts on a network of their own. A context manager: at its end nothing is left of them.

    `layers` go above the base image on every host's disk (see `layers.py`).
    """

    def __init__(self, layers: list[Path] | None = None) -> None:
        self._layers = layers or []
        self._base: Path | None = None
        self.run: Run | None = None
        self.hosts: dict[str, Host] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Sweep what killed runs left, take a number, make the network. Raises SandboxError where it cannot."""
        machine.check()
        self._base = image.base()
        with runs.all_runs_locked():
            sweep.sweep_dead_runs()
            self.run = runs.claim()
            try:
                network.create_bridge(self.run)
                firewall.open_way_out(self.run)
            except BaseException:
                sweep.sweep(self.run)
                raise

    def stop(self) -> None:
        """Take everything away. Stopping twice is fine."""
        if self.run is None:
            return
        with ThreadPoolExecutor() as pool:
            list(pool.map(Host.destroy, self.hosts.values()))
        self.hosts.clear()
        with runs.all_runs_locked():
            sweep.sweep(self.run)
            runs.release(self.run)
            sweep.sweep_dead_runs()
        self.run = None

    def add(
        self,
        name: str,
        identity: Identity,
        memory: int | None = DEFAULT_MEMORY,
        credentials: Callable[[], RoleCredentials | None] = lambda: None,
        ended: Callable[[], None] = lambda: None,
        disk: int | None = None,
        layers: list[Path] | None = None,
    ) -> Host:
        """A new host, made and not yet switched on; `layers` are its whole disk, where it is not everybody's.

        Raises SandboxError when its address is not of this run.
        """
        assert self.run is not None
        assert self._base is not None
        if IPv4Address(identity.private_ip) not in self.run.network:
            raise SandboxError(
                f"The host {name} has the address {identity.private_ip}, outside of this sandbox's network: "
                f"create the VPC with {self.run.network}."
            )
        layers = layers or [*self._layers, self._base]
        host = Host(self.run, name, identity, layers, memory, credentials, ended, disk)
        self.hosts[name] = host
        host.create()
        if identity.public_ip:
            firewall.translate(self.run, IPv4Address(identity.public_ip), host.address)
        return host

    def remove(self, name: str) -> None:
        """Terminate a host: it goes, and its disk with it."""
        assert self.run is not None
        host = self.hosts.pop(name)
        if host.metadata.identity.public_ip:
            firewall.translate(self.run, IPv4Address(host.metadata.identity.public_ip), host.address, wanted=False)
        host.destroy()

    def use_layers(self, layers: list[Path]) -> None:
        """From now on, put these above the base image on the disks of new hosts."""
        self._layers = layers

    def add_plain(
        self,
        names: list[str],
        authorized_key: str,
        memory: int | None = DEFAULT_MEMORY,
        credentials: Callable[[], RoleCredentials | None] = lambda: None,
    ) -> list[Host]:
        """Hosts of a cluster without an AWS double: switched on, SSH from anywhere, everything among themselves."""
        assert self.run is not None
        hosts = []
        start = max([9, *(int(host.address) - int(self.run.network[0]) for host in self.hosts.values())]) + 1
        for offset, name in enumerate(names, start):
            identity = Identity(
                instance_id=f"i-{offset:017x}",
                private_ip=str(self.run.network[offset]),
                public_ip=str(self.run.public_network[offset]),
                hostname=name,
                authorized_keys=(authorized_key,),
                role="nodes",
            )
            hosts.append(self.add(name, identity, memory, credentials))
        # The old ones, too: a new host is one of those that may talk to them.
        for host in self.hosts.values():
            host.allow(self.plain_rules())
        for host in hosts:
            host.start()
        return hosts

    def plain_rules(self) -> list[firewall.Rule]:
        """What Orchard's security groups say: SSH from outside, everything among the hosts, web pages outside."""
        assert self.run is not None
        inner = tuple(f"{address}/32" for address in self._node_addresses())
        return [
            firewall.Rule(True, "tcp", 22, 22, (ANYWHERE,)),
            firewall.Rule(True, "-1", -1, -1, inner),
            firewall.Rule(False, "-1", -1, -1, inner),
            firewall.Rule(False, "tcp", 80, 80, (ANYWHERE,)),
            firewall.Rule(False, "tcp", 443, 443, (ANYWHERE,)),
        ]

    def _node_addresses(self) -> list[IPv4Address]:
        return [host.address for host in self.hosts.values()]
