"""What the machine must have for a sandbox, said in one sentence where it is missing."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

# Program -> Debian package that brings it.
TOOLS = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "tc": "iproute2",
    "iptables": "iptables",
    "ssh": "openssh-client",
    "mount": "mount",
    "mkfs.ext4": "e2fsprogs",
    "nsenter": "util-linux",
}


# What the tests of pages use, beyond the sandbox itself.
BROWSER = {"chromium": "chromium"}


class SandboxError(RuntimeError):
    """The sandbox cannot do what was asked; the message is one sentence with the next step."""


def check() -> None:
    """Raise SandboxError unless a sandbox can run here."""
    if sys.platform != "linux":
        raise SandboxError(f"The sandbox needs Linux (namespaces, overlay mounts); this is {sys.platform}.")
    if os.geteuid() != 0:
        raise SandboxError("The sandbox makes network namespaces and mounts, so it needs root: run it with sudo.")
    missing = missing_packages()
    if missing:
        command = f"apt-get install --no-install-recommends {' '.join(missing)}"
        raise SandboxError(f"The sandbox misses programs: install them with `{command}`.")


def check_programs(programs: Sequence[str]) -> None:
    """Raise SandboxError unless these are on PATH; no Debian package brings them."""
    for program in programs:
        if shutil.which(program) is None:
            raise SandboxError(f"{program} is not on this machine: install it, then try again.")


def check_room(memory: int, disk: int, folder: Path) -> None:
    """Raise SandboxError unless so many bytes of memory are free, and of disk where this folder is to be."""
    facts = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(facts["MemAvailable"].split()[0]) * 1024
    if free < memory:
        raise SandboxError(f"A rehearsal needs {_gib(memory)} of memory, and {_gib(free)} are free: end something.")
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < disk:
        raise SandboxError(f"A rehearsal needs {_gib(disk)} of disk in {folder}, and {_gib(free)} are free: make room.")


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"


def missing_packages(programs: dict[str, str] = TOOLS) -> list[str]:
    """Debian packages whose programs are not on PATH."""
    return sorted({package for program, package in programs.items() if shutil.which(program) is None})


def install() -> None:
    """Install the missing programs with apt. Raises SandboxError where that cannot be done."""
    missing = missing_packages(TOOLS | BROWSER)
    if not missing:
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise SandboxError(f"Only root on a Debian system can install {', '.join(missing)}; install them by hand.")
    apt = ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300"]
    for command in ([*apt, "update"], [*apt, "install", "--no-install-recommends", *missing]):
        done = subprocess.run(command, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"}, stdout=sys.stderr)
        if done.returncode:
            raise SandboxError(f"`{' '.join(command)}` failed with exit code {done.returncode}; see its output above.")
