"""Room on this machine's disk for what a long command writes at its end, whoever fills the disk meanwhile.

Terraform empties its state's file before it writes it anew, and what it says goes into a file, too: on a full disk both
are lost, with all that AWS has made by then. So some bytes are kept from everybody, and it is stopped in time.
"""

import os
import shutil
import tempfile
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Self

from scripts.errors import FullDiskError

MIB = 1024 * 1024
# With less a command is not begun, or is asked to stop.
LEAST_BYTES = 32 * MIB
# A state and its backup are half a MiB, the log of an `up` is two.
KEPT_BYTES = 8 * MIB
# With less whoever fills the disk has come to its end, and what was kept is given to the command.
NOTHING_BYTES = MIB
LOOK_SECONDS = 0.1


class Room:
    """KEPT_BYTES on a folder's disk for the time of a `with` block. Raises FullDiskError where there are not as many.

    They come back as soon as nothing else is left, so that they are the command's that is at work.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._is_over = Event()
        self._watch = Thread(target=self._give_back_in_need, name="room", daemon=True)

    def __enter__(self) -> Self:
        self._kept = tempfile.TemporaryFile(dir=self._folder)
        if self.is_short():
            self._kept.close()
            raise FullDiskError
        # Zeros are no room on disks that compress.
        self._kept.write(os.urandom(KEPT_BYTES))
        self._kept.flush()
        self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._watch.join()
        self._kept.close()

    def is_short(self) -> bool:
        """Whether a command had better stop. Where nothing at all is left, what was kept is given back."""
        free = shutil.disk_usage(self._folder).free
        if free < NOTHING_BYTES:
            self._kept.close()
        return free < LEAST_BYTES

    def _give_back_in_need(self) -> None:
        # Whoever waits for a command that was asked to stop does not look any more.
        while not self._is_over.wait(LOOK_SECONDS):
            self.is_short()
