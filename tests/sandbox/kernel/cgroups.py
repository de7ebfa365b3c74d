"""Control groups of a host, on machines with version 2, version 1 or both mixed.

Every host has a group of its own in each hierarchy: nspawn with `--keep-unit` leaves the container in its launcher's
groups, so the launcher moves itself in first (`launch.py`).
"""

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.sandbox.machine import SandboxError

DEADLINE = 10  # seconds for killed processes to be gone


@dataclass(frozen=True)
class Hierarchy:
    """A mounted tree of control groups and where new groups go in it."""

    parent: Path
    version: int
    controllers: frozenset[str]


def hierarchies() -> list[Hierarchy]:
    """Every tree of control groups on this machine."""
    own = _own_paths()
    found = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mount, kind, options, *_ = line.split()
        if kind == "cgroup2":
            # At the root: below it, no group may hold both processes and groups with controllers.
            found.append(Hierarchy(Path(mount), 2, frozenset(_read(Path(mount) / "cgroup.controllers").split())))
        elif kind == "cgroup":
            # A version 1 controller may be bounded for this process: new groups go below its own.
            controllers = next((names for names in own if names & set(options.split(","))), frozenset[str]())
            found.append(Hierarchy(Path(mount) / own.get(controllers, "/").lstrip("/"), 1, controllers))
    return found


def create(name: str) -> list[Path]:
    """Make the host's group in each tree."""
    groups = []
    for hierarchy in hierarchies():
        wanted = {"memory", "cpu", "pids"} & hierarchy.controllers
        if hierarchy.version == 2 and wanted:
            (hierarchy.parent / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in sorted(wanted)))
        group = hierarchy.parent / name
        group.mkdir(exist_ok=True)
        if "cpuset" in hierarchy.controllers and hierarchy.version == 1:
            # A version 1 cpuset starts empty and takes no process until it has been given cores and memory nodes.
            for setting in ("cpuset.cpus", "cpuset.mems"):
                (group / setting).write_text(_read(hierarchy.parent / setting))
        groups.append(group)
    return groups


def limit_memory(name: str, size: int | None) -> None:
    """Let the host have `size` bytes at most; None: no limit. (`MemoryMax=` inside a guest's unit does not work.)"""
    group, version = _group(name, "memory")
    if version == 2:
        (group / "memory.max").write_text("max" if size is None else str(size))
    else:
        (group / "memory.limit_in_bytes").write_text(str(-1 if size is None else size))


def take_memory_away(name: str) -> None:
    """Let the host have less than it uses, as far as the kernel agrees: then it kills a process for the next page."""
    group, version = _group(name, "memory")
    if version == 2:
        limit, used = group / "memory.max", int(_read(group / "memory.current"))
    else:
        limit, used = group / "memory.limit_in_bytes", int(_read(group / "memory.usage_in_bytes"))
    for size in (used * 3 // 4, used):
        # Version 1 refuses a limit below what it cannot take away.
        with suppress(OSError):
            limit.write_text(str(size))
            return


def oom_kills(name: str) -> int:
    """How many processes the kernel has killed in the host because its memory was used up."""
    group, version = _group(name, "memory")
    file = "memory.events" if version == 2 else "memory.oom_control"
    counts = [_read(part / file) for part in [group, *(path for path in group.rglob("*") if path.is_dir())]]
    return sum(int(line.split()[1]) for text in counts for line in text.splitlines() if line.startswith("oom_kill "))


def processes(groups: list[Path]) -> set[int]:
    """Every process in these groups and in those below them."""
    return {
        int(pid) for group in groups for file in group.rglob("cgroup.procs") for pid in _read(file).split() if int(pid)
    }


def destroy(groups: list[Path]) -> None:
    """Kill what is left in these groups and remove them. Raises SandboxError if something does not die."""
    deadline = time.monotonic() + DEADLINE
    while True:
        for pid in processes(groups):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        left = [group for group in groups if not _remove_tree(group)]
        if not left:
            return
        if time.monotonic() > deadline:
            raise SandboxError(f"Control groups still hold processes after {DEADLINE} s: {', '.join(map(str, left))}.")
        time.sleep(0.02)


def named(prefix: str) -> list[Path]:
    """The groups whose name starts with `prefix`, wherever they hang."""
    mounts = {Path(line.split()[1]) for line in Path("/proc/self/mounts").read_text().splitlines() if "cgroup" in line}
    found: set[Path] = set()
    for mount in mounts:
        for folder, names, _ in os.walk(mount):
            hits = [name for name in names if name.startswith(prefix)]
            found.update(Path(folder) / name for name in hits)
            names[:] = [name for name in names if name not in hits]
    return sorted(found)


def _own_paths() -> dict[frozenset[str], str]:
    paths = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        paths[frozenset(controllers.split(","))] = path
    return paths


def _group(name: str, controller: str) -> tuple[Path, int]:
    for hierarchy in hierarchies():
        if controller in hierarchy.controllers:
            return hierarchy.parent / name, hierarchy.version
    raise SandboxError(f"This machine has no cgroup controller named {controller}.")


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except (FileNotFoundError, OSError):
        return ""


def _remove_tree(group: Path) -> bool:
    for folder, _, _ in os.walk(group, topdown=False):
        try:
            Path(folder).rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True
