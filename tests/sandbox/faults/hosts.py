"""What goes wrong with one host on purpose. (Containers share the machine's one clock: see `shift_clock`.)"""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.sandbox.host import Host
from tests.sandbox.kernel import cgroups, firewall, network
from tests.sandbox.machine import SandboxError

OOM_SECONDS = 30
# Where Debian has it; the name between is the machine's architecture.
FAKETIME = "usr/lib/*/faketime/libfaketime.so.1"


def cut_power(host: Host) -> None:
    """End the host as if its plug were pulled. `host.start()` brings it back."""
    host.cut_power()


def cut_link(host: Host) -> None:
    """Pull the network cable: the host goes on, and nothing gets in or out."""
    network.set_link(host.run, host.address, up=False)


def mend_link(host: Host) -> None:
    """Plug the cable in again."""
    network.set_link(host.run, host.address, up=True)


def split(host: Host) -> None:
    """Let the host and the other ones no longer hear each other, both ways; S3 and this machine hear both sides."""
    firewall.split(host.run, host.name, host.address, apart=True)


def heal_split(host: Host) -> None:
    """Let them hear each other again."""
    firewall.split(host.run, host.name, host.address, apart=False)


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


def run_out_of_memory(host: Host) -> None:
    """Let the host have less memory than it uses until the kernel has killed a process in it: the one it chooses."""
    before, deadline = cgroups.oom_kills(host.cgroup), time.monotonic() + OOM_SECONDS
    try:
        while cgroups.oom_kills(host.cgroup) == before:
            if time.monotonic() > deadline:
                raise SandboxError(f"The kernel found nothing to kill on {host.name} within {OOM_SECONDS} s.")
            cgroups.take_memory_away(host.cgroup)
            time.sleep(0.05)
    finally:
        limit_memory(host, host.memory)


def fill_disk(host: Host) -> None:
    """Take up what is free of the host's disk. Raises SandboxError where it has no disk of its own."""
    if host.disk is None:
        raise SandboxError(f"The host {host.name} has no disk of its own: only hosts behind an AWS double have.")
    with _filling(host).open("wb") as file:
        free = os.statvfs(file.fileno())
        # By halves: the file system needs some room of its own to note where the file lies.
        size = free.f_bavail * free.f_frsize
        while size >= free.f_frsize:
            with suppress(OSError):
                os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), size)
                file.seek(0, os.SEEK_END)
                continue
            size //= 2


def empty_disk(host: Host) -> None:
    """Give it free again."""
    if host.disk is not None:
        _filling(host).unlink(missing_ok=True)


def shift_clock(host: Host, offset: str) -> None:
    """Let whatever systemd starts on the host from now on see another time: `+2h`, `-30m`, as libfaketime has it.

    What runs already, kernel timers and the time since boot stay as they are. Lasts until the host is switched off.
    """
    library = next(host.root.glob(FAKETIME), None)
    if library is None:
        raise SandboxError(f"libfaketime is not on {host.name}.")
    preload = f"/{library.relative_to(host.root)}"
    settings = {"LD_PRELOAD": preload, "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    _inside(host, "systemctl", "set-environment", *(f"{name}={value}" for name, value in settings.items()))


def mend_clock(host: Host) -> None:
    """Let what systemd starts from now on see the machine's time again."""
    _inside(host, "systemctl", "unset-environment", "LD_PRELOAD", "FAKETIME", "FAKETIME_DONT_FAKE_MONOTONIC")


def _filling(host: Host) -> Path:
    return host.upper.parent / "filling"


def _inside(host: Host, *command: str) -> None:
    """Run a command as root on the host, past its network."""
    init = host.container.init()
    if init is None:
        raise SandboxError(f"The host {host.name} is off.")
    done = subprocess.run(["nsenter", "--all", f"--target={init}", *command], capture_output=True, text=True)
    if done.returncode:
        raise SandboxError(f"`{' '.join(command)}` failed on {host.name}: {done.stderr.strip()}")
