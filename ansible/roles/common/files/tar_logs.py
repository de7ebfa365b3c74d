#!/usr/bin/python3 -I
"""Packs what a folder's programs have written, as the user who runs this, and bounded: a tar on standard output.

    tar_logs.py FOLDER PATTERN

The folder is the service user's, and so is whatever an executor plants there: root has this done by that same user,
who can be led nowhere that an executor cannot go. Ordinary files alone are packed; `left-out.txt` names the rest.
"""

import io
import os
import stat
import sys
import tarfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import BinaryIO

# A part of an event log has 128 MiB (spark.eventLog.rolling.maxFileSize), an executor's file 64 (Ansible's setting).
FILE_BYTES = 160 * 1024 * 1024
TOTAL_BYTES = 1024 * 1024 * 1024
FILES = 20_000
NAMED = 1000  # of those that are left out
LEFT_OUT = "left-out.txt"


class Exactly:
    """A file as so many bytes, whatever becomes of it meanwhile: what is missing reads as zeros."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size

    def read(self, size: int) -> bytes:
        """The next bytes."""
        wanted = min(size, self._left)
        self._left -= wanted
        return self._file.read(wanted).ljust(wanted, b"\0")


def write(folder: Path, pattern: str, target: BinaryIO) -> None:
    """Write the tar: names are relative to the folder's parent."""
    left_out: list[str] = []
    packed = count = 0
    with tarfile.open(fileobj=target, mode="w|gz") as tar:
        for path in files(folder, pattern):
            name = str(path.relative_to(folder.parent))
            opened = ordinary(path)
            if opened is None:
                left_out.append(f"{name}: no ordinary file")
                continue
            with opened:
                size = os.fstat(opened.fileno()).st_size
                if size > FILE_BYTES or packed + size > TOTAL_BYTES or count >= FILES:
                    left_out.append(f"{name}: {size} bytes")
                    continue
                entry = tarfile.TarInfo(name)
                entry.size, entry.mtime = size, int(os.fstat(opened.fileno()).st_mtime)
                tar.addfile(entry, Exactly(opened, size))  # type: ignore[arg-type]  # it reads, and no more is asked
            packed, count = packed + size, count + 1
        if left_out:
            listed = [f"{len(left_out)} left out"] + [ascii(line) for line in left_out[:NAMED]]
            content = ("\n".join(listed) + "\n").encode()
            entry = tarfile.TarInfo(f"{folder.name}/{LEFT_OUT}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def files(folder: Path, pattern: str) -> Iterator[Path]:
    """Whatever matches below the folder, and is no folder itself. No link is followed."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(parent, name) for name in sorted(names) if fnmatch(name, pattern))


def ordinary(path: Path) -> BinaryIO | None:
    """An ordinary file, open; None for a link, a pipe, a device and what has gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    return None


if __name__ == "__main__":
    write(Path(sys.argv[1]), sys.argv[2], sys.stdout.buffer)
