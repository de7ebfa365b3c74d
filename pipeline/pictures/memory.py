"""The memory that the pictures of one worker may take at a time: shared by its threads, and given back when it is free.

A slot's 768 MiB (Ansible's spark_python_memory_mb) are 260 for Python, the network and the decoded pictures that wait;
64 for files, which a client may hold twice while it reads; 320 for decoders. A picture that needs more has the worker
to itself, and no other such picture is decoded on the host meanwhile.
"""

import ctypes
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from threading import Condition

MIB = 1024 * 1024
FILES_BYTES = 64 * MIB
DECODERS_BYTES = 320 * MIB
# From here on an allocation is a mapping of its own, and goes back to the kernel with its picture.
MAPPED_BYTES = MIB
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


@contextmanager
def room_to_decode(needed: int, file: int) -> Iterator[None]:
    """Room for a picture that takes `needed` bytes beside the `file` bytes that it comes in."""
    if needed > MAPPED_BYTES:
        _give_back_what_is_freed()
    if needed + file <= DECODERS_BYTES + FILES_BYTES and needed <= DECODERS_BYTES:
        with _decoders.taken(needed):
            yield
    else:
        with _decoders.taken(DECODERS_BYTES), _alone_on_this_host():
            yield


@lru_cache(maxsize=1)
def _give_back_what_is_freed() -> None:
    """Left to itself glibc keeps what a picture has freed, up to 32 MiB a block, for each thread that decoded one."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES)


@contextmanager
def _alone_on_this_host() -> Iterator[None]:
    """Wait until no other worker of this user decodes such a picture."""
    lock = _lock_of_this_host()
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


def _lock_of_this_host() -> int | None:
    """A file that this process alone has locked until it closes it or ends; None where there can be none.

    Somebody else's file or a full disk holds no picture up: each worker then bounds itself alone.
    """
    path = Path(tempfile.gettempdir()) / f"orchard-{os.getuid()}-large-picture.lock"
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError:
        return None
    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX)
    return file
