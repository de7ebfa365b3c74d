"""Makes pyspark's wheel of its source archive, which is what the registry has: the same bytes wherever it is made.

Nothing of the archive is run: its files only change their folders, as its setup.py has it; copies of pyspark/bin beside
Python's own program are left out, for they find no Spark but in SPARK_HOME. The wheel is not compressed,
for jars are, and so depends on no version of zlib; names are sorted and times are fixed. So its SHA-256 can stand in a
lock beside the archive's, and whoever has the wheel from anywhere can tell whether it is that.
"""

import base64
import hashlib
import re
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

NAME = "pyspark"
ARCHIVE = re.compile(r"pyspark-(?P<version>[0-9][0-9a-z.]*)\.tar\.gz")
# Folders of the archive, and which they are in the wheel.
FOLDERS = {
    "deps/jars/": "pyspark/jars/",
    "deps/bin/": "pyspark/bin/",
    "deps/sbin/": "pyspark/sbin/",
    "deps/data/": "pyspark/data/",
    "deps/licenses/": "pyspark/licenses/",
    "deps/examples/": "pyspark/examples/src/main/python/",
    "lib/": "pyspark/python/lib/",
    "pyspark/": "pyspark/",
}
# Of the archive's own files those that say what it is, and where they are in the wheel's.
OF_INFO = {"METADATA": "METADATA", "LICENSE": "licenses/LICENSE", "NOTICE": "licenses/NOTICE"}
RUNNABLE = ("pyspark/bin/", "pyspark/sbin/")
WHEEL = "Wheel-Version: 1.0\nGenerator: orchard\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
LONG_AGO = (1980, 1, 1, 0, 0, 0)
CHUNK = 1 << 20

Opener = Callable[[], BinaryIO]


def file_name(version: str) -> str:
    """The wheel's file."""
    return f"{NAME}-{version}-py3-none-any.whl"


def of_archive(archive: Path, folder: Path) -> Path:
    """Make the wheel of an archive, whose hash is known, into the folder; gives the wheel."""
    named = ARCHIVE.fullmatch(archive.name)
    assert named
    version, scratch = named["version"], folder / f".{archive.name}"
    try:
        files = dict(_unpack(archive, f"{NAME}-{version}/", scratch))
        made = folder / file_name(version)
        write(files, version, made.with_suffix(".part"))
        return made.with_suffix(".part").replace(made)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write(files: dict[str, Opener], version: str, target: Path) -> None:
    """Write the wheel of these files, whose names are those in `pyspark/` and of METADATA, LICENSE and NOTICE."""
    info = f"{NAME}-{version}.dist-info"
    inner = {name: opener for name, opener in files.items() if name.startswith("pyspark/")}
    inner |= {f"{info}/{place}": files[name] for name, place in OF_INFO.items()}
    record = []
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as wheel:
        for name in sorted(inner):
            with inner[name]() as file:
                record.append(_add(wheel, name, file))
        record.append(_add_text(wheel, f"{info}/WHEEL", WHEEL))
        _add_text(wheel, f"{info}/RECORD", "".join([*record, f"{info}/RECORD,,\n"]))


def _add(wheel: zipfile.ZipFile, name: str, file: BinaryIO) -> str:
    """Put a file into the wheel; gives its line of RECORD."""
    digest, size = hashlib.sha256(), 0
    with wheel.open(_entry(name), "w", force_zip64=False) as into:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            into.write(chunk)
            size += len(chunk)
    return _line(name, digest.digest(), size)


def _add_text(wheel: zipfile.ZipFile, name: str, text: str) -> str:
    wheel.writestr(_entry(name), text)
    return _line(name, hashlib.sha256(text.encode()).digest(), len(text.encode()))


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, LONG_AGO)
    entry.create_system = 3  # Unix, whatever machine this is
    entry.external_attr = (0o100755 if name.startswith(RUNNABLE) else 0o100644) << 16
    return entry


def _line(name: str, digest: bytes, size: int) -> str:
    return f"{name},sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()},{size}\n"


def _unpack(archive: Path, top: str, scratch: Path) -> Iterator[tuple[str, Opener]]:
    """The archive's files by their names in the wheel, laid into a folder under numbers, whatever they are called."""
    scratch.mkdir()
    with tarfile.open(archive) as tar:
        for number, member in enumerate(tar):
            name = _place(member.name.removeprefix(top))
            source = tar.extractfile(member) if name and member.isfile() else None
            if not name or source is None:
                continue
            laid = scratch / str(number)
            with laid.open("wb") as into:
                shutil.copyfileobj(source, into, CHUNK)
            yield name, lambda laid=laid: laid.open("rb")  # type: ignore[misc]  # mypy infers no type of a lambda's default


def _place(name: str) -> str | None:
    """Where a file of the archive is in the wheel; None where it is not in it."""
    for folder, place in FOLDERS.items():
        if name.startswith(folder):
            return place + name.removeprefix(folder)
    return {"PKG-INFO": "METADATA", "LICENSE": "LICENSE", "NOTICE": "NOTICE"}.get(name)
