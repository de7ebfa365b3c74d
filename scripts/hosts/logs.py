"""Brings the logs of every host to a folder on this machine."""

import tarfile
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from scripts import console
from scripts.cluster import Cluster, Host
from scripts.errors import HostError, OperatorError
from scripts.hosts.ssh import Hosts

PROGRAM = Path(__file__).parent / "on_host" / "pack_logs.py"
PACK_SECONDS = 300


def collect(cluster: Cluster, into: str) -> None:
    """Bring the logs of every host that answers to a new folder below `into`.

    Raises HostError at the end when a host gave none.
    """
    folder = Path(into).expanduser().absolute() / f"{cluster.name}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    with console.phase("Logs") as phase, ThreadPoolExecutor(len(cluster.hosts)) as pool:
        failures = list(pool.map(lambda host: _collect_one(cluster, host, folder / host.name), cluster.hosts))
        phase.result = str(folder)
    lost = [f"{host.name} ({reason})" for host, reason in zip(cluster.hosts, failures, strict=True) if reason]
    if lost:
        raise HostError(f"No logs came from {', '.join(lost)}: those of the other hosts are in {folder}.")


def _collect_one(cluster: Cluster, host: Host, folder: Path) -> str:
    """Fetch a host's logs; gives the reason when there are none."""
    try:
        with Hosts(cluster) as hosts:
            fetch(hosts, host, folder)
    except OperatorError as error:
        return error.reason
    return ""


def fetch(hosts: Hosts, host: Host, folder: Path) -> None:
    """Unpack a host's logs into a folder. Raises what talking to hosts raises."""
    pack = f"sudo python3 - {hosts.cluster.ssh_user}"
    parcel = hosts.run(host, pack, timeout=PACK_SECONDS, text=PROGRAM.read_text()).out.strip()
    packed = folder / "logs.tgz"
    hosts.get(host, parcel, packed)
    hosts.run(host, f"rm {parcel}")
    with tarfile.open(packed) as archive:
        archive.extractall(folder, filter="data")
    packed.unlink()
