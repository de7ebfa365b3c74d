"""The one place where a key becomes a path: what a bucket, a pack or a folder calls a thing leads nowhere else."""

import errno
import os
import re
import stat
from functools import lru_cache
from io import BufferedReader
from pathlib import Path

# A name with a drive before it (`C:`) is a path of its own on some systems; a backslash parts names there.
_DRIVE = re.compile(r"[A-Za-z]:")


class UnsafeKeyError(OSError):
    """A key that is no name of a file below its folder."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(errno.EINVAL, why, key)


def check_key(key: str) -> None:
    """Raise UnsafeKeyError for a key that cannot be, on every system, the path of a file below a folder."""
    if "\0" in key or "\\" in key:
        raise UnsafeKeyError(key, "a name with a backslash or a zero byte in it is no file's")
    for name in key.split("/"):
        if name in ("", ".", "..") or _DRIVE.match(name):
            raise UnsafeKeyError(key, "it leads out of its folder, or is no file's name")


def path_below(root: Path, key: str) -> Path:
    """The key's path below `root`, links resolved. Raises UnsafeKeyError where it would lie anywhere else."""
    check_key(key)
    top = root.resolve()
    path = (top / key).resolve()
    if not path.is_relative_to(top):
        raise UnsafeKeyError(key, "a link leads out of the folder")
    return path


def open_below(root: Path, key: str) -> BufferedReader:
    """The file of that key below `root`, for reading. Raises as `path_below` and `open_file`."""
    check_key(key)
    folder, _, name = key.rpartition("/")
    try:
        # Its folder was looked up with the first of its files; the last name is followed nowhere.
        return open_file(_folder_below(root, folder) / name)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
    return open_file(path_below(root, key))


@lru_cache(maxsize=4096)
def _folder_below(root: Path, folder: str) -> Path:
    return path_below(root, folder) if folder else root.resolve()


def open_file(path: Path) -> BufferedReader:
    """A file that `path_below` gave, for reading. Raises OSError, and UnsafeKeyError for a device, pipe or folder."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise UnsafeKeyError(str(path), "no ordinary file")
