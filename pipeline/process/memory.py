"""What this process has taken of memory, and whether the kernel has had to end others beside it for want of it."""

import resource
import sys
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")


def oom_kills() -> int:
    """How often it has done so in this unit since the unit began, as far as it says."""
    try:
        group = OWN.read_text().strip().rpartition("::")[2]
        events = (CGROUPS / group.lstrip("/") / "memory.events").read_text().splitlines()
        return next(int(line.split()[1]) for line in events if line.startswith("oom_kill "))
    except (OSError, StopIteration, ValueError):
        return 0


def peak_bytes() -> int:
    """The most that this process ever had in memory. Linux counts in KiB, macOS in bytes (getrusage(2) of each)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
