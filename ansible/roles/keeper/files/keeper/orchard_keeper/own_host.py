"""What every keeper does on its own host: knows its boot, tells terminals, saves logs, switches off."""

import logging
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import orchard_run

TERMINALS = Path("/dev/pts")

log = logging.getLogger(__name__)
Facts = dict[str, Any]


def boot(now: float, steady: float) -> tuple[str, float]:
    """A name for this boot, and when it was; by the kernel's own clock, for somebody may set the other one."""
    since = int(orchard_run.text(["systemctl", "show", "--property=UserspaceTimestampMonotonic", "--value"]))
    kernel = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    # A container has its machine's kernel, and a boot of its own.
    return f"{kernel} {since}", now - (steady - since / 1e6)


def free_disk_gb(folder: str) -> float:
    """Gigabytes that are free in a folder's file system."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize / 1e9


def tell_terminals(sentence: str, folder: Path = TERMINALS) -> int:
    """Write a sentence on every terminal; gives on how many. `wall` would leave out those of JupyterLab."""
    told = 0
    for terminal in folder.iterdir():
        if not terminal.name.isdigit():
            continue
        try:
            # A terminal that takes nothing just now is not waited for.
            descriptor = os.open(terminal, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
            try:
                os.write(descriptor, f"\r\n\a{sentence}\r\n".encode())
            finally:
                os.close(descriptor)
            told += 1
        except OSError:
            continue
    return told


def save_logs(facts: Facts, prefix: str) -> None:
    """Put this host's logs into the bucket; a failure is only said."""
    try:
        orchard_run.save_logs(facts, facts["bucket"], f"{prefix}/{facts['host']}")
    except Exception as error:  # a cluster that cannot save its logs ends all the same
        log.error("the logs were not saved: %s", error)


def sweep_logs() -> None:
    """Delete logs that were being packed when the keeper was ended."""
    for left in Path(tempfile.gettempdir()).glob("orchard-logs-*"):
        shutil.rmtree(left, ignore_errors=True)


def power_off() -> None:
    """Switch this host off: as AWS was told at its launch, its instance stops, or a spot one terminates."""
    subprocess.run(["systemctl", "poweroff"], check=False, stdin=subprocess.DEVNULL, timeout=60)
