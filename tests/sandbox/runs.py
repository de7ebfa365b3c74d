"""Runs of the sandbox side by side: each claims a number, and with it all names, addresses and a folder."""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import IO

from pyroute2 import IPRoute

from tests.sandbox.machine import SandboxError

PREFIX = "orch"
NUMBERS = range(1, 250)


def home() -> Path:
    """Where the sandbox keeps images, layers and the runs' folders: a cache, outside of the checkout."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orchard" / "sandbox"


@dataclass(frozen=True)
class Run:
    """One run. It lives as long as its lock is held: until its process ends, however that ends."""

    number: int
    lock: IO[str] | None = field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        """Prefix of everything that belongs to the run. Short: link names have 15 characters at most."""
        return f"{PREFIX}{self.number}"

    @property
    def folder(self) -> Path:
        return home() / "runs" / str(self.number)

    @property
    def network(self) -> IPv4Network:
        """The hosts' private addresses, a VPC's."""
        return IPv4Network(f"10.77.{self.number}.0/24")

    @property
    def gateway(self) -> IPv4Address:
        """This machine, as the hosts see it: their router, and the address that an operator's calls come from."""
        return self.network[1]

    @property
    def public_network(self) -> IPv4Network:
        """The hosts' public addresses, translated one to one as an internet gateway does."""
        return IPv4Network(f"10.177.{self.number}.0/24")


@contextmanager
def all_runs_locked() -> Iterator[None]:
    """Hold off other runs while names, rules or settings of the machine are looked at and changed."""
    (home() / "runs").mkdir(parents=True, exist_ok=True)
    with (home() / "runs" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def claim() -> Run:
    """Take a free number. To be called with all runs locked, after the sweep."""
    live = set(live_numbers())
    taken = _networks_in_use()
    for number in NUMBERS:
        run = Run(number)
        if number in live or any(run.network.overlaps(net) or run.public_network.overlaps(net) for net in taken):
            continue
        run.folder.mkdir(parents=True)
        lock = (run.folder / "lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        return Run(number, lock)
    raise SandboxError("No sandbox number is left: all networks from 10.77.1.0/24 to 10.77.249.0/24 are in use.")


def release(run: Run) -> None:
    """Delete the run's folder and give its number back."""
    shutil.rmtree(run.folder, ignore_errors=True)
    if run.lock is not None:
        run.lock.close()


def live_numbers() -> list[int]:
    """Runs whose process is alive."""
    return [number for number in known_numbers() if not _is_dead(Run(number))]


def known_numbers() -> list[int]:
    """Runs that have a folder, alive or not."""
    folder = home() / "runs"
    return sorted(int(path.name) for path in folder.glob("[0-9]*")) if folder.is_dir() else []


def owner(number: int) -> int:
    """Process id of a live run."""
    return int((Run(number).folder / "lock").read_text())


def number_of(name: str) -> int | None:
    """The run that something belongs to, by its name (`orch7-master` -> 7); None where it is nobody's."""
    match = re.match(rf"{PREFIX}(\d+)(?!\d)", name, re.IGNORECASE)
    return int(match[1]) if match else None


def _is_dead(run: Run) -> bool:
    try:
        with (run.folder / "lock").open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False


def _networks_in_use() -> list[IPv4Network]:
    with IPRoute() as kernel:
        routes = kernel.get_routes(family=2)
    return [
        IPv4Network(f"{route.get_attr('RTA_DST')}/{route['dst_len']}")
        for route in routes
        if route.get_attr("RTA_DST") and route["dst_len"] > 8
    ]
