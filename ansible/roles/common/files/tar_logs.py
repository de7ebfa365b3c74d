#!/usr/bin/python3 -I
"""Packs what a folder's programs have written, as the user who runs this, and bounded: a tar on standard output.

    tar_logs.py FOLDER PATTERN

The folder is the service user's, and so is whatever an executor plants there: root has this done by that same user,
who can be led nowhere that an executor cannot go. Ordinary files alone are packed; `left-out.txt` names the rest.
"""

import gzip
import io
import os
import stat
import sys
import tarfile
import time
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import BinaryIO

# A part of an event log has 128 MiB where a program sets nothing else, an executor's file 64 (Ansible's setting).
FILE_BYTES = 160 * 1024 * 1024
TOTAL_BYTES = 1024 * 1024 * 1024
FILES = 20_000
LOOKED_AT = 200_000  # names in all folders
SECONDS = 40  # what is not packed by then is left: more than one may have much to say
NAMED = 1000  # of those that are left out
LEFT_OUT = "left-out.txt"


class OutOfTimeError(Exception):
    """The rest is left."""


class Exactly:
    """A file as so many bytes, whatever becomes of it meanwhile: what is missing, or comes too late, is zeros."""

    def __init__(self, file: BinaryIO, size: int, until: float) -> None:
        self._file, self._left, self._until = file, size, until

    def read(self, size: int) -> bytes:
        """The next bytes."""
        wanted = min(size, self._left)
        self._left -= wanted
        data = b"" if time.monotonic() > self._until else self._file.read(wanted)
        return data.ljust(wanted, b"\0")


class LeftOut:
    """What is not packed: how many, and the first names."""

    def __init__(self) -> None:
        self.count = 0
        self.lines: list[str] = []

    def add(self, line: str) -> None:
        """Count one, and name it."""
        self.count += 1
        if len(self.lines) < NAMED:
            self.lines.append(ascii(line))


def write(folder: Path, pattern: str, target: BinaryIO) -> None:
    """Write the tar: names are relative to the folder's parent."""
    left_out, until = LeftOut(), time.monotonic() + SECONDS
    # Level 1: the best takes a minute for some contents of no more than some megabytes.
    with (
        gzip.GzipFile(fileobj=target, mode="wb", compresslevel=1) as packed,
        tarfile.open(fileobj=packed, mode="w|") as tar,
    ):
        try:
            pack(tar, folder, pattern, left_out, until)
        except OutOfTimeError as reason:
            left_out.add(str(reason))
        if left_out.count:
            content = "\n".join([f"{left_out.count} left out", *left_out.lines, ""]).encode()
            entry = tarfile.TarInfo(f"{folder.name}/{LEFT_OUT}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def pack(tar: tarfile.TarFile, folder: Path, pattern: str, left_out: LeftOut, until: float) -> None:
    """Add the files that match. Raises OutOfTimeError."""
    packed = count = 0
    for path in files(folder, pattern):
        if time.monotonic() > until:
            raise OutOfTimeError(f"all from {path} on: {SECONDS} s were over")
        name = os.path.relpath(path, folder.parent)
        opened = ordinary(path)
        if opened is None:
            left_out.add(f"{name}: no ordinary file")
            continue
        with opened:
            found = os.fstat(opened.fileno())
            if found.st_size > FILE_BYTES or packed + found.st_size > TOTAL_BYTES or count >= FILES:
                left_out.add(f"{name}: {found.st_size} bytes")
                continue
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = found.st_size, int(found.st_mtime)
            tar.addfile(entry, Exactly(opened, found.st_size, until))  # type: ignore[arg-type]  # no more is asked of it
        packed, count = packed + found.st_size, count + 1


def files(folder: Path, pattern: str) -> Iterator[str]:
    """Whatever matches below the folder and is no folder itself, however deep. No link is followed."""
    waiting, looked_at = [str(folder)], 0
    while waiting:
        try:
            entries = os.scandir(waiting.pop())
        except OSError:
            continue  # gone, closed, or deeper than a path can be
        with entries:
            for entry in entries:
                looked_at += 1
                if looked_at > LOOKED_AT:
                    raise OutOfTimeError(f"all but the first {LOOKED_AT} names")
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif fnmatch(entry.name, pattern):
                    yield entry.path


def ordinary(path: str) -> BinaryIO | None:
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
