"""Adds to the hosts' locks the SHA-256 of pyspark's wheel, which hosts make of its archive and keep in the bucket.

The registry has the archive alone, and uv's lock its hash. The wheel is made here of the pyspark that is installed,
from that very archive, by the program that hosts have: theirs must be the same to the byte.
"""

import hashlib
import re
import tempfile
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pyspark_wheel

FOLDER = Path(__file__).parent
LOCKS = ("nodes.txt", "workers.txt")


def main() -> None:
    """Write the locks anew."""
    installed = distribution(pyspark_wheel.NAME)
    with tempfile.TemporaryDirectory() as folder:
        wheel = Path(folder) / pyspark_wheel.file_name(installed.version)
        pyspark_wheel.write(files_of(installed), installed.version, wheel)
        with wheel.open("rb") as content:
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    for lock in LOCKS:
        (FOLDER / lock).write_text(with_hash((FOLDER / lock).read_text(), installed.version, sha256))


def files_of(installed: Distribution) -> dict[str, pyspark_wheel.Opener]:
    """The files that the wheel is made of, as they are installed."""
    info = f"{pyspark_wheel.NAME}-{installed.version}.dist-info"
    own = {name: f"{info}/{place}" for name, place in pyspark_wheel.OF_INFO.items()}
    # Beside them lies what Python compiles.
    there = [str(file) for file in installed.files or [] if str(file).startswith("pyspark/") and file.hash]
    places = own | {name: name for name in there if not name.endswith(".pyc")}
    return {
        name: lambda place=place: Path(str(installed.locate_file(place))).open("rb")  # type: ignore[misc]  # as in pyspark_wheel
        for name, place in places.items()
    }


def with_hash(lock: str, version: str, sha256: str) -> str:
    """The lock with that hash beside the archive's, once."""
    pin = re.compile(
        rf"^{pyspark_wheel.NAME}=={re.escape(version)} (?:\\\n +--hash=sha256:[0-9a-f]+ ?)+$", re.MULTILINE
    )
    found = pin.search(lock)
    if found is None:
        raise SystemExit(f"The lock names another pyspark than {version}, which is installed: run `make setup` first.")
    if sha256 in found[0]:
        return lock
    return lock.replace(found[0], f"{found[0]} \\\n    --hash=sha256:{sha256}")


if __name__ == "__main__":
    main()
