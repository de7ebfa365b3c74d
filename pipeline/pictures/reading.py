"""Whose fault it is that a picture's bytes cannot be had: its own, which is a row, or the store's, which is none.

A row is for good. So only what a store says of one picture alone becomes one: gone, refused, of an impossible name.
Whatever else fails, fails the task, and is tried again.
"""

import errno
from collections.abc import Sequence

from pipeline.errors import InputError, StorageError
from pipeline.pictures.decode import BadPictureError, Reason
from pipeline.pictures.pack_reader import NotPackedError
from pipeline.storage.base import Pictures
from pipeline.storage.paths import UnsafeKeyError

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


def check_store(pictures: Pictures, not_had: Sequence[NotHadError], witness: str | None) -> None:
    """Raise StorageError where what could not be had of some pictures in a row is said of all of them.

    `witness` is one among them that was read well a moment ago, None where none was: then several that were refused
    are the store's, as is a place that cannot be listed.
    """
    if not not_had:
        return
    refused = sum(error.is_refused for error in not_had)
    try:
        if witness is not None:
            pictures.read(witness)
        else:
            pictures.check_readable()
    except StorageError:
        raise
    except (OSError, InputError) as error:
        raise StorageError(f"pictures could be read there, and now none can ({_brief(error)})", pictures.uri) from error
    if witness is None and refused > 1:
        detail = next(error.detail for error in not_had if error.is_refused)
        raise StorageError(f"not one picture of a task could be read, {refused} were refused ({detail})", pictures.uri)


def _brief(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).rstrip(".")
