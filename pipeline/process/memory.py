"""Whether the kernel has had to end processes beside this one for want of memory."""

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
