"""Take away what killed runs left: a run whose lock nobody holds is dead, and all that bears its name is waste."""

import shutil
from pathlib import Path

from tests.cluster.sandbox import cgroups, firewall, network, runs
from tests.cluster.sandbox.host import unmount
from tests.cluster.sandbox.runs import Run


def sweep_dead_runs() -> list[int]:
    """Sweep every dead run; gives their numbers. All runs locked."""
    live = set(runs.live_numbers())
    dead = sorted(_numbers_seen() - live)
    for number in dead:
        sweep(Run(number))
    if not live:
        firewall.restore_forwarding()
    return dead


def sweep(run: Run) -> None:
    """Take away processes, groups, mounts, links, namespaces, rules and folder of a run. All runs locked."""
    cgroups.destroy([path for path in cgroups.named(run.name) if runs.number_of(path.name) == run.number])
    for mount in _mounts(run):
        unmount(mount)
    for link in network.link_names():
        if runs.number_of(link) == run.number:
            network.delete_link(link)
    for namespace in network.namespace_names():
        if runs.number_of(namespace) == run.number:
            network.delete_namespace(namespace)
    network.destroy_bridge(run)
    firewall.close_way_out(run.number)
    shutil.rmtree(run.folder, ignore_errors=True)


def remains() -> list[str]:
    """Everything on this machine that bears a run's name, in words. Empty when the sandbox left nothing."""
    found = [f"control group {path}" for path in cgroups.named(runs.PREFIX) if runs.number_of(path.name)]
    found += [f"mount {mount}" for mount in _all_mounts() if runs.home() / "runs" in mount.parents]
    found += [f"link {name}" for name in network.link_names() if runs.number_of(name)]
    found += [f"network namespace {name}" for name in network.namespace_names() if runs.number_of(name)]
    found += [f"rules of run {number}" for number in sorted(firewall.leftover_numbers())]
    found += [f"route to {route}" for route in network.routes_of_last_resort()]
    return found + [f"folder {Run(number).folder}" for number in runs.known_numbers()]


def _numbers_seen() -> set[int]:
    names = [path.name for path in cgroups.named(runs.PREFIX)] + network.link_names() + network.namespace_names()
    numbers = {number for number in map(runs.number_of, names) if number is not None}
    return numbers | firewall.leftover_numbers() | set(runs.known_numbers())


def _mounts(run: Run) -> list[Path]:
    return [mount for mount in _all_mounts() if run.folder in mount.parents]


def _all_mounts() -> list[Path]:
    """Mount points, the innermost first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return sorted((Path(line.split()[4]) for line in lines), reverse=True)
