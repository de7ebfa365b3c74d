"""The hosts' logs: to a folder on this machine, or past this machine into the bucket before the hosts go."""

import gzip
import shlex
import tarfile
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, cast

from scripts import console
from scripts.cluster import Cluster, Host
from scripts.errors import HostError, OperatorError
from scripts.hosts import kept_files, orchard_run
from scripts.hosts.ssh import Hosts, Remote

PACK_SECONDS = 300
SAVE_SECONDS = 240
# More than orchard-run packs: whoever sends more has not packed by it.
UNPACKED_BYTES = 4 * 1024**3
UNPACKED_FILES = 50_000
READ_BYTES = 1024 * 1024  # a name of that length is none
# Names within a parcel: what executors wrote, and what of it was left out.
EXECUTORS = "executors.tar.gz"
EXECUTORS_BELOW = "work/"
LEFT_OUT = "left-out.txt"
SAVE_CONNECT_SECONDS = 8
SAID = 10  # of what was left of a host's logs


def collect(cluster: Cluster, into: str) -> None:
    """Bring the logs of every host that answers to a new folder below `into`.

    Raises HostError at the end when a host gave none.
    """
    folder = Path(into).expanduser().absolute() / f"{cluster.name}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"

    def fetch_one(host: Host) -> None:
        with Hosts(cluster) as hosts:
            left = fetch(hosts, host, folder / host.name)
        for line in left[:SAID] + ([f"and {len(left) - SAID:,} more"] if len(left) > SAID else []):
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
    with tempfile.TemporaryDirectory(prefix="orchard-logs-") as made:
        packed = Path(made, "logs.tar.gz")
        hosts.get(host, parcel, packed, most=UNPACKED_BYTES)
        hosts.run(host, f"rm {shlex.quote(parcel)}")
        left = unpack(packed, folder)
    executors = folder / EXECUTORS
    if executors.is_file():
        # Below a folder of their own: nothing of theirs takes the place of what root has packed, or of this very file.
        left += unpack(executors, folder, below=EXECUTORS_BELOW)
        executors.unlink()
    for left_there in folder.glob(f"*/{LEFT_OUT}"):
        left.append(f"some files were too large, or none: {left_there}")
    return left


class _Bounded:
    """What a tar is read from: as much in all as logs may have, and little at once, whatever a header claims."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= READ_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._file.read(size)

    def seek(self, place: int) -> int:
        if place > UNPACKED_BYTES:
            raise tarfile.ReadError(f"more than {UNPACKED_BYTES} bytes")
        return self._file.seek(place)

    def tell(self) -> int:
        return self._file.tell()


def unpack(packed: Path, folder: Path, below: str = "") -> list[str]:
    """Take the ordinary files below a name out of a tar, and name the rest: executors may have made what is in it."""
    left: list[str] = []
    try:
        with _opened(packed) as stream, tarfile.open(fileobj=cast("IO[bytes]", _Bounded(stream)), mode="r:") as archive:
            for count, entry in enumerate(archive):
                if count >= UNPACKED_FILES:
                    left.append(f"{packed.name} holds more files than logs have: it was left from {entry.name} on")
                    break
                # A sparse file is more than it says: none of ours packs one.
                if entry.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or entry.sparse is not None:
                    left.append(f"{entry.name} is no ordinary file, and was left")
                elif not _has_place(entry, below):
                    left.append(f"{entry.name} has no place among logs, and was left")
                else:
                    left += _extract(archive, entry, folder)
    except Exception as error:  # whatever a tar that somebody forged makes of the library that reads it
        left.append(f"{packed.name} is broken, and the rest of it was left ({type(error).__name__}: {error})")
    return left


def _has_place(entry: tarfile.TarInfo, below: str) -> bool:
    is_below = entry.name.startswith(below) and ".." not in entry.name.split("/")
    return is_below and entry.offset_data + entry.size <= UNPACKED_BYTES


def _opened(packed: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(packed)) if packed.suffix == ".gz" else packed.open("rb")


def _extract(archive: tarfile.TarFile, entry: tarfile.TarInfo, folder: Path) -> list[str]:
    try:
        archive.extract(entry, folder, set_attrs=False, filter="data")
    except Exception as error:  # as above, of one file
        return [f"{entry.name} was left ({type(error).__name__}: {error})"]
    return []


def save_to_bucket(cluster: Cluster, under_way: console.Phase) -> None:
    """Have each host put its logs into the bucket; one that cannot be reached is named and left."""
    prefix = f"logs/{datetime.now(UTC):%Y%m%dT%H%M%SZ}"

    def save_one(host: Host) -> None:
        with Hosts(cluster, connect_seconds=SAVE_CONNECT_SECONDS) as hosts:
            if left := save(hosts, host, f"{prefix}/{host.name}"):
                not_kept.append(left)

    not_kept: list[str] = []
    lost = _failures(cluster, save_one)
    for name, why in lost.items():
        under_way.note(f"the logs of {name} were not saved: {why}")
    for left in not_kept:
        under_way.note(f"event logs and notebooks were not kept to the last minute: {left}")
    saved = len(cluster.hosts) - len(lost)
    under_way.result = (
        f"{saved} of {len(cluster.hosts)} hosts, in s3://{cluster.bucket}/{prefix}/" if saved else "none saved"
    )


def save(hosts: Remote, host: Host, prefix: str) -> str:
    """Have a host put its logs below a prefix of the bucket, and what outlives the cluster where that belongs.

    Gives what was left of the latter, empty where nothing was. Raises what talking to hosts raises.
    """
    told = orchard_run.ask(hosts, host, "save-logs", hosts.cluster.bucket, prefix, timeout=SAVE_SECONDS)
    # A worker of an earlier Orchard has nothing to keep, and says nothing of it.
    return kept_files.left_of(told) if host == hosts.cluster.master or "left" in told else ""


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
