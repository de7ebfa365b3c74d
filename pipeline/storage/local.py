"""Pictures and results in folders of this machine."""

import errno
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlparse

import pyarrow as pa

from pipeline.errors import DiskFullError, InputError
from pipeline.storage.base import LISTING_SCHEMA, SinkKind, listed_into_one
from pipeline.storage.paths import open_below, path_below

ROWS_AT_ONCE = 16_384


def _refuse_closed(error: OSError) -> None:
    """A folder that may not be read would be left out without a word. Raises InputError; others may have vanished."""
    if isinstance(error, PermissionError):
        raise InputError(f"{error.filename} may not be read by this user; mend its permissions (chmod u+rx).")


@contextmanager
def full_disk_as_such(where: Path | str = "") -> Iterator[None]:
    """Raises DiskFullError where the block finds no room on the disk, or its user's share of it used up."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(str(where) or str(error.filename or "")) from error
        raise


# What this user keeps from others, asked before there are threads: asking is setting.
_umask = os.umask(0)
os.umask(_umask)


def _is_below(real: str, top: str) -> bool:
    return real == top or real.startswith(top.rstrip("/") + "/")


def _as_utf8(name: str) -> bytes:
    return name.encode("utf-8", "backslashreplace")


def _in_order(folder: str) -> Iterator[str]:
    """The paths of what is in a folder, in the order of all keys below it: there a folder's name ends in a slash."""
    names = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                is_folder = False
                with suppress(OSError):
                    is_folder = entry.is_dir()
                names.append(f"{entry.name}/" if is_folder else entry.name)
    except OSError as error:
        _refuse_closed(error)
    names.sort(key=_as_utf8)
    return (folder + name for name in names)


@dataclass(frozen=True)
class LocalStorage:
    """A folder. `left_out` is what the last listing met and did not list, for it is no file of this folder."""

    uri: str
    root: Path
    left_out: list[str] = field(default_factory=list, compare=False, repr=False)

    @classmethod
    def at(cls, uri: str) -> "LocalStorage":
        """The folder named by a path or a `file://` URI (whose path is percent-encoded)."""
        path = unquote(urlparse(uri).path) if uri.startswith("file://") else uri
        root = Path(os.path.normpath(Path(path).expanduser().absolute()))
        return cls(str(root), root)

    @property
    def label(self) -> str:
        return self.root.name

    def list(self, prefix: str = "") -> Iterator[pa.RecordBatch]:
        """Folders behind links are followed once, and not out of this one; no device is listed."""
        self.check_readable()
        self.left_out.clear()
        files = self._files(f"{self.root / prefix}/".replace("//", "/"))
        while rows := tuple(islice(files, ROWS_AT_ONCE)):
            paths, sizes = zip(*rows, strict=True)
            arrays = [pa.array(paths, pa.string()), pa.array(sizes, pa.int64())]
            yield pa.RecordBatch.from_arrays(arrays, schema=LISTING_SCHEMA)

    def list_into(self, sink: Callable[[], SinkKind]) -> Sequence[SinkKind]:
        return listed_into_one(self, sink)

    def _files(self, folder: str) -> Iterator[tuple[str, int]]:
        """Key and bytes of each file below the folder, in the keys' order. Here a folder's path ends in a slash."""
        top, seen = os.path.realpath(self.root), set[str]()
        open_folders = [iter([folder])]
        while open_folders:
            if (full := next(open_folders[-1], None)) is None:
                open_folders.pop()
            elif not full.endswith("/"):
                if (size := self._size_of(full, top)) is not None:
                    yield self._key(full), size
            elif (real := os.path.realpath(full)) not in seen:
                if _is_below(real, top):
                    seen.add(real)
                    open_folders.append(_in_order(full))
                else:
                    self.left_out.append(self._key(full))

    def _size_of(self, full: str, top: str) -> int | None:
        """The file's bytes; None, and left out, for what is no file of this folder."""
        with suppress(OSError):
            found = os.lstat(full)
            is_within = True
            if stat.S_ISLNK(found.st_mode):
                found, is_within = os.stat(full), _is_below(os.path.realpath(full), top)  # noqa: PTH116
            if is_within and stat.S_ISREG(found.st_mode):
                return found.st_size
            self.left_out.append(self._key(full))
        return None

    def _key(self, full: str) -> str:
        # A name that is no UTF-8 cannot stand in Parquet; escaped, it ends as an error row.
        return _as_utf8(full.removeprefix(f"{self.root}/".replace("//", "/")).rstrip("/")).decode()

    def read(self, key: str, listed: int | None = None) -> bytes:
        del listed  # a file has no answer that could be cut short
        with self.open(key) as stream:
            return stream.read()

    def read_range(self, key: str, start: int, length: int) -> bytes:
        with self.open(key) as stream:
            stream.seek(start)
            return stream.read(length)

    def open(self, key: str) -> BufferedReader:
        """The file of that key, for reading. Raises as `read`."""
        return open_below(self.root, key)

    def size(self, key: str) -> int:
        return path_below(self.root, key).stat().st_size

    def write(self, key: str, data: bytes) -> None:
        with self.writer(key) as stream:
            stream.write(data)

    @contextmanager
    def writer(self, key: str) -> Iterator[IO[bytes]]:
        target = path_below(self.root, key)
        with full_disk_as_such(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            # Written beside the target and renamed: the name appears with the whole content or not at all.
            handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".orchard-")
            try:
                with os.fdopen(handle, "wb") as stream:
                    yield stream
                Path(temporary).chmod(0o666 & ~_umask)
                Path(temporary).replace(target)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise

    def delete(self, key: str) -> None:
        path_below(self.root, key).unlink(missing_ok=True)

    def exists(self, key: str) -> bool:
        return path_below(self.root, key).exists()

    def check_readable(self) -> None:
        if not self.root.is_dir():
            raise InputError(f"{self.root} is not a folder; give the folder that holds the pictures.")
        if not os.access(self.root, os.R_OK | os.X_OK):
            raise InputError(f"{self.root} may not be read by this user; mend its permissions (chmod u+rx).")

    def check_writable(self) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            raise InputError(f"{self.root} cannot be written ({error.strerror}); name another folder.") from error
