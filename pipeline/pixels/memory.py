"""The memory that the pictures of one worker may take at a time: shared by its threads, and given back when it is free.

A slot's 768 MiB (Ansible's spark_python_memory_mb) are 260 for Python, the network and the decoded pictures that wait;
64 for files, which a client may hold twice while it reads; 320 for decoders; 64 that Pillow keeps. A picture that needs
more has the worker to itself, and no other such picture is decoded on the host meanwhile. A holder who stands still is
passed by: two are then on the host, one of which does nothing.
"""

import ctypes
import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from threading import Condition

from PIL import Image

MIB = 1024 * 1024
FILES_BYTES = 64 * MIB
DECODERS_BYTES = 320 * MIB
# From here on an allocation is a mapping of its own, and goes back to the kernel with its picture.
MAPPED_BYTES = MIB
# What of that Pillow keeps for its next picture, as 16 of its blocks: the kernel's fresh pages, each filled with zeros
# first, are a fifth of the time of a photo of 12 megapixels (170 ms -> 135 ms).
KEPT_BYTES = 64 * MIB
_KEPT_BLOCKS = 16
# Far more than any picture takes (bounds.MAX_SCANNED_PIXELS), far less than hanging.SILENT_SECONDS.
HELD_SECONDS = 120.0
_LOOK_SECONDS = 0.1
# The second lock is for those who have passed by the first; past both each worker bounds itself alone.
_LOCKS = ("large-picture", "large-picture-2")
_M_MMAP_THRESHOLD = -3  # malloc.h


class Room:
    """So many bytes for all threads of a process. Whoever wants more than all of them has them all, alone."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._taken = 0
        self._changed = Condition()

    @contextmanager
    def taken(self, wanted: int) -> Iterator[None]:
        """Wait until `wanted` bytes are free, and have them for the block.

        Later comers may pass by one that waits: they are no more than run ahead of the network.
        """
        wanted = min(wanted, self.size)
        with self._changed:
            self._changed.wait_for(lambda: self._taken + wanted <= self.size)
            self._taken += wanted
        try:
            yield
        finally:
            with self._changed:
                self._taken -= wanted
                self._changed.notify_all()


files = Room(FILES_BYTES)
_decoders = Room(DECODERS_BYTES)
# Holders of the host's locks who have been passed by, each by the file and when it took it: no picture waits again.
_stood_still: set[tuple[int, int]] = set()


def nothing() -> None:
    """What is said while one waits where nobody listens."""


@contextmanager
def room_to_decode(needed: int, file: int, alive: Callable[[], None] = nothing) -> Iterator[None]:
    """Room for a picture that takes `needed` bytes beside the `file` bytes that it comes in.

    `alive` is called again and again while other workers of the host are waited for.
    """
    if needed > MAPPED_BYTES:
        _bound_what_is_kept()
    if needed + file <= DECODERS_BYTES + FILES_BYTES and needed <= DECODERS_BYTES:
        with _decoders.taken(needed):
            yield
    else:
        with _decoders.taken(DECODERS_BYTES), _alone_on_this_host(alive):
            yield


@lru_cache(maxsize=1)
def _bound_what_is_kept() -> None:
    """Left to itself glibc keeps what a picture has freed, up to 32 MiB a block, for each thread that decoded one.

    Here the threads share what is kept (Pillow's manual, "Block allocator").
    """
    blocks = Image.core  # type: ignore[attr-defined]  # in the manual, and in no stub
    blocks.set_block_size(KEPT_BYTES // _KEPT_BLOCKS)
    blocks.set_blocks_max(_KEPT_BLOCKS)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES)


@contextmanager
def _alone_on_this_host(alive: Callable[[], None]) -> Iterator[None]:
    """Wait until no other worker of this user decodes such a picture, or one has stood still at it."""
    lock = next((file for name in _LOCKS if (file := _lock_of_this_host(name, alive)) is not None), None)
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


def _lock_of_this_host(name: str, alive: Callable[[], None]) -> int | None:
    """A file that this process alone has locked until it closes it or ends; None where there can be none.

    Somebody else's file or a full disk holds no picture up: each worker then bounds itself alone.
    """
    path = Path(tempfile.gettempdir()) / f"orchard-{os.getuid()}-{name}.lock"
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError:
        return None
    with suppress(OSError):
        if _is_locked(file, alive):
            return file
    os.close(file)
    return None


def _is_locked(file: int, alive: Callable[[], None]) -> bool:
    """Wait for the lock; False where one and the same holder has it for HELD_SECONDS, or had before. Raises OSError."""
    holder, until = (0, 0), 0.0
    while not _take(file):
        found = os.fstat(file)
        if (now := (found.st_ino, found.st_mtime_ns)) != holder:
            holder, until = now, time.monotonic() + HELD_SECONDS
        elif time.monotonic() > until:
            _stood_still.add(holder)
        if holder in _stood_still:
            return False
        alive()
        time.sleep(_LOOK_SECONDS)  # a lock tells nobody that it is free
    return True


def _take(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    os.utime(file)  # by this those who wait know one holder from the next
    return True
