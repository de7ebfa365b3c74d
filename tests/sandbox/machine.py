"""What the machine must have for a sandbox, said in one sentence where it is missing."""

import os
import shutil
import subprocess
import sys

# Program -> Debian package that brings it.
TOOLS = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "tc": "iproute2",
    "iptables": "iptables",
    "ssh": "openssh-client",
    "mount": "mount",
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
