"""The hosts' logs: to a folder on this machine, or past this machine into the bucket before the hosts go."""

import shlex
import tarfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from scripts import console
from scripts.cluster import Cluster, Host
from scripts.errors import HostError, OperatorError
from scripts.hosts import orchard_run
from scripts.hosts.ssh import Hosts, Remote

PACK_SECONDS = 300
SAVE_SECONDS = 120
# More than orchard-run packs: whoever sends more has not packed by it.
UNPACKED_BYTES = 4 * 1024**3
UNPACKED_FILES = 50_000
# Names within a parcel: what executors wrote, and what of it was left out.
EXECUTORS = "executors.tar.gz"
LEFT_OUT = "left-out.txt"
SAVE_CONNECT_SECONDS = 8


def collect(cluster: Cluster, into: str) -> None:
    """Bring the logs of every host that answers to a new folder below `into`.

    Raises HostError at the end when a host gave none.
    """
    folder = Path(into).expanduser().absolute() / f"{cluster.name}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"

    def fetch_one(host: Host) -> None:
        with Hosts(cluster) as hosts:
            for line in fetch(hosts, host, folder / host.name):
                console.warn(f"{host.name}: {line}")

    with console.phase("Logs") as phase:
        lost = _failures(cluster, fetch_one)
        phase.result = str(folder)
    if lost:
        named = ", ".join(f"{name} ({reason})" for name, reason in lost.items())
        raise HostError(f"No logs came from {named}: those of the other hosts are in {folder}.")


def fetch(hosts: Remote, host: Host, folder: Path) -> list[str]:
    """Unpack a host's logs into a folder; gives what was left out of it. Raises what talking to hosts raises."""
    parcel = orchard_run.ask(hosts, host, "pack-logs", timeout=PACK_SECONDS)["path"]
    packed, executors = folder / "logs.tar", folder / EXECUTORS
    hosts.get(host, parcel, packed)
    hosts.run(host, f"rm {shlex.quote(parcel)}")
    left = unpack(packed, folder)
    if executors.is_file():
        left += unpack(executors, folder)
    for left_there in folder.glob(f"*/{LEFT_OUT}"):
        left.append(f"some files were too large, or none: {left_there}")
    return left


def unpack(packed: Path, folder: Path) -> list[str]:
    """Take the ordinary files out of a tar, which then goes, and name the rest: an executor may have made it."""
    left, unpacked = [], 0
    try:
        with tarfile.open(packed) as archive:
            for count, entry in enumerate(archive):
                unpacked += entry.size
                if unpacked > UNPACKED_BYTES or count >= UNPACKED_FILES:
                    left.append(
                        f"{packed.name} holds more than can be in logs: the rest of it was left, from {entry.name}"
                    )
                    break
                if not entry.isreg():
                    left.append(f"{entry.name} is no ordinary file, and was left")
                    continue
                try:
                    archive.extract(entry, folder, filter="data")
                except (tarfile.FilterError, OSError) as error:
                    left.append(f"{entry.name} was left ({error})")
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        left.append(f"{packed.name} is broken ({error})")
    packed.unlink()
    return left


def save_to_bucket(cluster: Cluster, under_way: console.Phase) -> None:
    """Have each host put its logs into the bucket; one that cannot be reached is named and left."""
    prefix = f"logs/{datetime.now(UTC):%Y%m%dT%H%M%SZ}"

    def save_one(host: Host) -> None:
        with Hosts(cluster, connect_seconds=SAVE_CONNECT_SECONDS) as hosts:
            save(hosts, host, f"{prefix}/{host.name}")

    lost = _failures(cluster, save_one)
    for name, why in lost.items():
        under_way.note(f"the logs of {name} were not saved: {why}")
    saved = len(cluster.hosts) - len(lost)
    under_way.result = (
        f"{saved} of {len(cluster.hosts)} hosts, in s3://{cluster.bucket}/{prefix}/" if saved else "none saved"
    )


def save(hosts: Remote, host: Host, prefix: str) -> None:
    """Have a host put its logs below a prefix of the bucket. Raises what talking to hosts raises."""
    orchard_run.ask(hosts, host, "save-logs", hosts.cluster.bucket, prefix, timeout=SAVE_SECONDS)


def _failures(cluster: Cluster, do: Callable[[Host], None]) -> dict[str, str]:
    """Do it for all hosts at once; gives for each that failed, by name, why."""

    def reason(host: Host) -> str:
        try:
            do(host)
        except OperatorError as error:
            return error.reason
        return ""

    with ThreadPoolExecutor(len(cluster.hosts)) as pool:
        reasons = list(pool.map(reason, cluster.hosts))
    return {host.name: why for host, why in zip(cluster.hosts, reasons, strict=True) if why}
