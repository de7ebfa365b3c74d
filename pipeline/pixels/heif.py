"""HEIC, as iPhones store photos: decoded in a process of its own, which may take so much memory and time, and may die.

Its header may tell another size than its HEVC stream has, so that nothing but the process's own bound holds.
"""

import atexit
import os
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from threading import Lock, Timer

import numpy as np
from numpy.typing import NDArray

from pipeline.pixels import bounds, memory
from pipeline.pixels.bad_pictures import BadPictureError, Reason
from pipeline.pixels.bounds import TooLargeError

FORMAT = "HEIF"
DECODER = (sys.executable, "-m", "pipeline.pixels.heif_decoder")
# The largest that is allowed takes some ten seconds of one core.
SECONDS = 60.0
# Length of the data, width and height that are wanted, bytes that may be taken; then what became of it, and its length.
ASKED, ANSWERED = struct.Struct(">QIQ"), struct.Struct(">BQ")
PIXELS, BAD = 0, 1
# ISO/IEC 23008-12, annex B.4: what HEVC's brands are called; AVIF's files are none of these.
_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_GENERAL = {b"mif1", b"msf1"}
# The box that tells an item's width and height (ISO/IEC 23008-12, 6.5.3), of each of its tiles, too.
_SIZES = re.compile(rb"ispe\0\0\0\0(....)(....)", re.DOTALL)


def is_heif(data: bytes) -> bool:
    """Whether it is a HEVC picture by its first box (ISO/IEC 14496-12, 4.3)."""
    if data[4:8] != b"ftyp":
        return False
    end = min(int.from_bytes(data[:4], "big"), 256)
    brands = {data[at : at + 4] for at in range(16, end, 4)}
    return data[8:12] in _BRANDS or (data[8:12] in _GENERAL and bool(brands & _BRANDS))


def decode_heif(
    data: bytes, size: int, max_pixels: int = bounds.MAX_PIXELS, alive: Callable[[], None] = memory.nothing
) -> NDArray[np.uint8]:
    """As `decode.decode` of such a file. It is upright always: its turn is part of it. Raises BadPictureError."""
    try:
        needed = bounds.check_heif(_largest(data), max_pixels)
    except TooLargeError as error:
        raise BadPictureError(Reason.TOO_LARGE, str(error)) from None
    with memory.room_to_decode(needed, len(data), alive):
        return _decoder.decoded(data, size, needed)


def _largest(data: bytes) -> tuple[int, int]:
    told = [(int.from_bytes(width, "big"), int.from_bytes(height, "big")) for width, height in _SIZES.findall(data)]
    return max(told, key=lambda shape: shape[0] * shape[1], default=(0, 0))


class _Decoder:
    """The process, begun with the first picture. It gets one at a time; where it dies, another takes its place."""

    def __init__(self) -> None:
        self._turn = Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def forget(self) -> None:
        """In a process that has forked off: the pipes are its parent's."""
        self._turn, self._process = Lock(), None

    def decoded(self, data: bytes, size: int, needed: int) -> NDArray[np.uint8]:
        """Its pixels. Raises BadPictureError."""
        with self._turn:
            process = self._begun()
            timer = Timer(SECONDS, process.kill)
            timer.start()
            try:
                status, content = _exchange(process, data, size, needed)
            except (OSError, EOFError):
                raise BadPictureError(Reason.UNDECODABLE, self._end(process)) from None
            finally:
                timer.cancel()
        if status == PIXELS:
            return np.frombuffer(content, np.uint8).reshape(size, size, 3)
        reason, _, detail = content.decode().partition("\n")
        raise BadPictureError(Reason(reason), detail)

    def _begun(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                list(DECODER), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            atexit.register(self._end, self._process)
        return self._process

    def _end(self, process: subprocess.Popen[bytes]) -> str:
        self._process = None
        atexit.unregister(self._end)
        for stream in (process.stdin, process.stdout):
            with suppress(OSError):
                if stream:
                    stream.close()
        process.kill()
        code = process.wait()
        return f"its decoder has ended ({code}), by a fault of its own, for want of memory, or after {SECONDS:.0f} s"


def _exchange(process: subprocess.Popen[bytes], data: bytes, size: int, needed: int) -> tuple[int, bytes]:
    # Both are pipes.
    assert process.stdin
    assert process.stdout
    process.stdin.write(ASKED.pack(len(data), size, needed))
    process.stdin.write(data)
    process.stdin.flush()
    head = process.stdout.read(ANSWERED.size)
    if len(head) < ANSWERED.size:
        raise EOFError
    status, length = ANSWERED.unpack(head)
    content = process.stdout.read(length)
    if len(content) < length:
        raise EOFError
    return status, content


_decoder = _Decoder()
os.register_at_fork(after_in_child=_decoder.forget)
