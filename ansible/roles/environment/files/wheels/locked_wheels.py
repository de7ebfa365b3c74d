"""Has the wheels that locks name in a folder: from the cluster's bucket, else from the registry.

    locked_wheels.py bucket FOLDER LOCK...      takes what the bucket has; exit code 75 where some are not there
    locked_wheels.py registry FOLDER LOCK...    fetches by pip what the folder lacks, and leaves it in the bucket
    locked_wheels.py uv FOLDER PLACE            takes the program uv out of its wheel

ORCHARD_BUCKET and AWS_REGION name the bucket, AWS_ENDPOINT_URL_S3 another S3. Whoever may write there is not trusted:
no wheel is taken from anywhere whose SHA-256 is not among those that the lock has for its package. The bucket is a
shortcut: where it cannot be used, a line says so, and the registry is asked. The host's own Python runs this, as root.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Protocol

import pins
import pyspark_wheel
from host_bucket import Failed, HostBucket, role_keys
from pins import Pin

# Of one kind of host: what pip chose for one is what another of its kind needs.
PREFIX = f"wheels/cp{sys.version_info.major}{sys.version_info.minor}-{platform.machine()}"
KEY = re.compile(r"wheels/[\w.-]+/(?P<sha256>[0-9a-f]{64})/(?P<file>[\w.]+-[\w.+-]+\.whl)")
LARGEST = 1 << 30  # bytes of one wheel
AT_ONCE = 8
PIPS = 4
REGISTRY_SECONDS = 1800
# As sysexits.h has it: another way may do.
LEFT = 75


class WheelsError(Exception):
    """The wheels are not to be had; the message is one sentence with the next step."""


class Shelf(Protocol):
    """Where hosts leave wheels for one another. Methods raise one of `Failed`."""

    def keys(self, prefix: str) -> Iterable[str]:
        """Every key below a prefix."""

    def get(self, key: str, into: BinaryIO, most: int) -> str:
        """Write an object into a file, as far as it may be long; gives the SHA-256 of that."""

    def put(self, key: str, file: Path, sha256: str) -> None:
        """Put a file whose SHA-256 this is."""


def take(wanted: Sequence[Pin], folder: Path, shelf: Shelf) -> int:
    """Have in the folder what the shelf has of these; gives how many. Raises one of `Failed`."""
    lacking = _lacking(wanted, folder)
    found = {}
    for key in shelf.keys(f"{PREFIX}/"):
        named = KEY.fullmatch(key)
        pin = named and _pin_of(named["file"], lacking)
        if named and pin and named["sha256"] in pin.hashes:
            found[pin] = (key, folder / named["file"], named["sha256"])
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return sum(pool.map(lambda place: _take_one(shelf, *place), found.values()))


def _take_one(shelf: Shelf, key: str, file: Path, sha256: str) -> bool:
    part = file.with_suffix(".part")
    with part.open("wb") as into:
        is_right = shelf.get(key, into, LARGEST) == sha256
    if is_right:
        part.replace(file)
    else:
        print(f"{key} of the bucket is not what its name tells, and is left")
        part.unlink()
    return is_right


def fetch(wanted: Sequence[Pin], folder: Path, pip: Sequence[str]) -> list[Path]:
    """Have by pip what the folder lacks of these, pyspark as the wheel that its archive makes; gives the new files.

    Raises WheelsError.
    """
    lacking = _lacking(wanted, folder)
    before = set(folder.glob("*.whl"))
    shares = [share for part in range(PIPS) if (share := [pin for pin in lacking if pin.name != "pyspark"][part::PIPS])]
    shares += [[pin] for pin in lacking if pin.name == "pyspark"]
    with ThreadPoolExecutor(len(shares) or 1) as pool:
        list(pool.map(lambda share: _download(share, folder, pip), shares))
    for archive in folder.glob("pyspark-*.tar.gz"):
        pyspark_wheel.of_archive(archive, folder)
        archive.unlink()
    if still := _lacking(wanted, folder):
        raise WheelsError(
            f"The lock does not have the SHA-256 of what the registry has as {', '.join(pin.name for pin in still)}: "
            "make it again with `make lock`."
        )
    return sorted(set(folder.glob("*.whl")) - before)


def _download(share: Sequence[Pin], folder: Path, pip: Sequence[str]) -> None:
    lines = folder / f".{share[0].name}.txt"
    lines.write_text("".join(f"{pin.requirement()}\n" for pin in share))
    # pyspark is to be had as its source alone. Beside that, nothing that is fetched is run.
    words = ["download", "--quiet", "--no-deps", "--no-cache-dir", "--disable-pip-version-check", "--require-hashes"]
    words += [
        "--only-binary=:all:",
        "--no-binary=pyspark",
        "--no-build-isolation",
        f"--dest={folder}",
        "-r",
        str(lines),
    ]
    try:
        done = subprocess.run([*pip, *words], capture_output=True, text=True, timeout=REGISTRY_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise _unreachable(f"nothing came for {REGISTRY_SECONDS} s") from None
    finally:
        lines.unlink()
    if done.returncode:
        said = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        raise _unreachable(said[-1] if said else done.stderr.strip().rpartition("\n")[2])


def _unreachable(reason: str) -> WheelsError:
    return WheelsError(
        f"The packages are not to be had from the registry ({ascii(reason)[1:-1][:300].rstrip('.')}): let this host "
        "reach it, or see what has changed with `make lock`."
    )


def leave(files: Sequence[Path], shelf: Shelf) -> None:
    """Leave them for others. Raises one of `Failed`."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda file: _leave_one(shelf, file), files))


def _leave_one(shelf: Shelf, file: Path) -> None:
    digest = _sha256(file)
    shelf.put(f"{PREFIX}/{digest}/{file.name}", file, digest)


def _lacking(wanted: Sequence[Pin], folder: Path) -> list[Pin]:
    """Those of which no wheel with a right hash is there."""
    there = {pin for file in folder.glob("*.whl") if (pin := _pin_of(file.name, wanted)) and _is_right(file, pin)}
    return [pin for pin in wanted if pin not in there]


def _is_right(file: Path, pin: Pin) -> bool:
    return _sha256(file) in pin.hashes


def _pin_of(file: str, wanted: Sequence[Pin]) -> Pin | None:
    """Whose wheel that is by its name."""
    name, version, *_ = file.split("-")
    for pin in wanted:
        if (_plain(name), version) == (_plain(pin.name), pin.version):
            return pin
    return None


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def unpack_uv(folder: Path, place: Path) -> None:
    """Have the program uv there, out of its wheel."""
    [file] = folder.glob("uv-*.whl")
    with zipfile.ZipFile(file) as wheel:
        [name] = [name for name in wheel.namelist() if name.endswith(".data/scripts/uv")]
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_suffix(".part")
        with wheel.open(name) as source, part.open("wb") as into:
            shutil.copyfileobj(source, into)
    part.chmod(0o755)
    part.replace(place)


def _bucket() -> HostBucket | None:
    try:
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3", "")
        return HostBucket(os.environ["ORCHARD_BUCKET"], os.environ["AWS_REGION"], role_keys(), endpoint)
    except Failed as error:
        _say_unusable(error)
        return None


def _say_unusable(error: Exception) -> None:
    print(f"the bucket cannot be used for wheels ({ascii(str(error))[1:-1][:200]})")


def main(command: str, folder: Path, *words: str) -> int:
    """Gives the exit code. Raises WheelsError."""
    if command == "uv":
        unpack_uv(folder, Path(words[0]))
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [pin for lock in words for pin in pins.of_lock(Path(lock).read_text())]
    shelf = _bucket()
    try:
        if command == "bucket":
            count = take(wanted, folder, shelf) if shelf else 0
            print(f"{count} wheels came from the bucket")
        else:
            new = fetch(wanted, folder, [sys.executable, "-m", "pip"])
            print(f"{len(new)} wheels came from the registry")
            if shelf:
                leave(new, shelf)
    except Failed as error:
        _say_unusable(error)
    return LEFT if _lacking(wanted, folder) else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]))
    except WheelsError as error:
        sys.exit(str(error))
