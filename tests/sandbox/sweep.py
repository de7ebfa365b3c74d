"""Take away what killed runs left: a run whose lock nobody holds is dead, and all that bears its name is waste."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from tests.sandbox import runs
from tests.sandbox.host import unmount
from tests.sandbox.kernel import cgroups, firewall, network
from tests.sandbox.runs import Run

PROPAGATION = Path("/run/systemd/nspawn/propagate")


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
    for folder in _propagation_folders(run):
        shutil.rmtree(folder, ignore_errors=True)
    network.destroy_bridge(run)
    firewall.close_way_out(run.number)
    shutil.rmtree(run.folder, ignore_errors=True)


def remains(run: Run) -> list[str]:
    """Everything on this machine that bears the run's name, in words. Empty when the run left nothing."""

    def ours(names: Iterable[str]) -> list[str]:
        return [name for name in names if runs.number_of(name) == run.number]

    networks = {str(run.network), str(run.public_network)} & set(network.routes_of_last_resort())
    return [
        *(f"control group {path}" for path in cgroups.named(run.name) if ours([path.name])),
        *(f"mount {mount}" for mount in _mounts(run)),
        *(f"link {name}" for name in ours(network.link_names())),
        *(f"namespace {name}" for name in ours(network.namespace_names())),
        *(f"rules of run {number}" for number in firewall.leftover_numbers() & {run.number}),
        *(f"route to {network}" for network in networks),
        *(f"folder {folder}" for folder in [run.folder, *_propagation_folders(run)] if folder.exists()),
    ]


def _numbers_seen() -> set[int]:
    names = [path.name for path in cgroups.named(runs.PREFIX)] + network.link_names() + network.namespace_names()
    numbers = {number for number in map(runs.number_of, names) if number is not None}
    return numbers | firewall.leftover_numbers() | set(runs.known_numbers())


def _mounts(run: Run) -> list[Path]:
    return [mount for mount in _all_mounts() if run.folder in mount.parents]


def _propagation_folders(run: Run) -> list[Path]:
    """Where nspawn lets mounts be handed to its containers; it does not always remove them."""
    return [path for path in PROPAGATION.glob(f"{run.name}-*") if runs.number_of(path.name) == run.number]


def _all_mounts() -> list[Path]:
    """Mount points, the innermost first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return sorted((Path(line.split()[4]) for line in lines), reverse=True)
