"""Whose fault it is that a picture's bytes cannot be had: its own, which is a row, or the store's, which is none.

A row is for good. So only what a store says of one picture alone becomes one: gone, refused, of an impossible name.
Whatever else fails, fails the task, and is tried again.
"""

import errno
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from pipeline.errors import InputError, StorageError
from pipeline.pictures.pack_reader import NotPackedError
from pipeline.pixels.bad_pictures import BadPictureError, Reason
from pipeline.pixels.bounds import MAX_FILE_BYTES
from pipeline.storage.base import Pictures
from pipeline.storage.paths import UnsafeKeyError

# So many that a few which are gone or refused for themselves say nothing; one that can be read is enough.
MOST_WITNESSES = 32
# What a folder of this machine says of one file. A disk that fails, a server that is silent, too many open files are
# none of it: they pass, or they are everybody's.
_OF_ONE_FILE = {
    errno.ENOENT,
    errno.EACCES,
    errno.EPERM,
    errno.EINVAL,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
}


class NotHadError(BadPictureError):
    """A picture that the store says is gone, or that it refuses: true only where it does not say so of all."""

    @property
    def is_refused(self) -> bool:
        """Whether it is there and may not be read."""
        return self.reason is Reason.UNREADABLE


def read_failure(error: OSError) -> BadPictureError:
    """The error row for a picture whose bytes could not be had. Raises StorageError where that is not its own fault."""
    if isinstance(error, StorageError):
        raise error
    if error.errno not in _OF_ONE_FILE:
        raise StorageError(error.strerror or str(error), error.filename or "") from error
    if isinstance(error, FileNotFoundError):
        return NotHadError(Reason.VANISHED, "listed, but no longer there")
    is_known = isinstance(error, UnsafeKeyError | NotPackedError)
    return (BadPictureError if is_known else NotHadError)(Reason.UNREADABLE, error.strerror or str(error))


class Witnesses:
    """The pictures to try where none of a task's can be had: of each share of a list of `rows` the smallest one."""

    def __init__(self, rows: int) -> None:
        self._rows, self._seen = rows, 0
        self._smallest: dict[int, tuple[int, str]] = {}

    def look(self, listed: pa.Table | pa.RecordBatch) -> None:
        """Look at the next rows of the list."""
        sizes = listed["bytes"].to_numpy()
        shares = (np.arange(self._seen, self._seen + len(sizes)) * MOST_WITNESSES) // max(self._rows, 1)
        self._seen += len(sizes)
        for share in np.unique(shares).tolist():
            rows = np.flatnonzero(shares == share)
            row = int(rows[sizes[rows].argmin()])
            # No more than what a worker would read anyway.
            if sizes[row] <= MAX_FILE_BYTES and (share not in self._smallest or sizes[row] < self._smallest[share][0]):
                self._smallest[share] = int(sizes[row]), listed["path"][row].as_py()

    @property
    def paths(self) -> list[str]:
        """What was found, in the list's order."""
        return [self._smallest[share][1] for share in sorted(self._smallest)]


def witnesses(listed: pa.Table) -> tuple[str, ...]:
    """The witnesses of a whole list."""
    found = Witnesses(listed.num_rows)
    found.look(listed)
    return tuple(found.paths)


def check_store(
    pictures: Pictures, not_had: Sequence[NotHadError], witness: str | None, others: Sequence[str] = ()
) -> None:
    """Raise StorageError where what could not be had of some pictures in a row is said of all of them.

    `witness` is one among them that was read well a moment ago. Where none was, one of `others` has to be, which stand
    all over the list; without any, several that were refused are the store's, as is a place that cannot be listed.
    """
    if not not_had:
        return
    try:
        if witness is not None:
            pictures.read(witness)
            return
        if any(_is_had(pictures, path) for path in others):
            return
        pictures.check_readable()
    except StorageError:
        raise
    except (OSError, InputError) as error:
        raise StorageError(f"pictures could be read there, and now none can ({_brief(error)})", pictures.uri) from error
    refused = [error.detail for error in not_had if error.is_refused]
    if others or len(refused) > 1:
        raise StorageError(f"not one picture of a task could be read, {_told(refused, not_had, others)}", pictures.uri)


def _is_had(pictures: Pictures, path: str) -> bool:
    """Whether that picture can be read. Raises StorageError where it is not the picture's own fault."""
    try:
        pictures.read(path)
    except OSError as error:
        read_failure(error)
        return False
    return True


def _told(refused: Sequence[str], not_had: Sequence[NotHadError], others: Sequence[str]) -> str:
    told = f"{len(refused)} were refused ({refused[0]})" if refused else f"{len(not_had)} are gone"
    return f"{told}, and none of {len(others)} elsewhere in the list can" if others else told


def _brief(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).rstrip(".")
