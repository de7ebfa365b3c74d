"""Pictures and results in folders of this machine."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlparse

import pyarrow as pa

from pipeline.errors import InputError
from pipeline.storage.base import LISTING_SCHEMA


def _refuse_closed(error: OSError) -> None:
    """A folder that may not be read would be left out without a word. Raises InputError; others may have vanished."""
    if isinstance(error, PermissionError):
        raise InputError(f"{error.filename} may not be read by this user; mend its permissions (chmod u+rx).")


@dataclass(frozen=True)
class LocalStorage:
    """A folder."""

    uri: str
    root: Path

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
        """One batch a folder; folders behind links are followed once."""
        self.check_readable()
        seen: set[str] = set()
        for folder, folders, files in os.walk(self.root / prefix, followlinks=True, onerror=_refuse_closed):
            real = os.path.realpath(folder)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            yield self._batch(folder, files)

    def _batch(self, folder: str, files: Sequence[str]) -> pa.RecordBatch:
        paths, sizes = [], []
        for name in files:
            full = os.path.join(folder, name)  # noqa: PTH118  # a million Path objects cost seconds
            with suppress(OSError):
                sizes.append(os.stat(full).st_size)  # noqa: PTH116
                # A name that is no UTF-8 cannot stand in Parquet; escaped, it ends as an error row.
                key = os.path.relpath(full, self.root).encode("utf-8", "backslashreplace").decode()
                paths.append(key)
        return pa.RecordBatch.from_arrays(
            [pa.array(paths, pa.string()), pa.array(sizes, pa.int64())], schema=LISTING_SCHEMA
        )

    def read(self, key: str) -> bytes:
        return (self.root / key).read_bytes()

    def read_range(self, key: str, start: int, length: int) -> bytes:
        with (self.root / key).open("rb") as stream:
            stream.seek(start)
            return stream.read(length)

    def size(self, key: str) -> int:
        return (self.root / key).stat().st_size

    def write(self, key: str, data: bytes) -> None:
        with self.writer(key) as stream:
            stream.write(data)

    @contextmanager
    def writer(self, key: str) -> Iterator[IO[bytes]]:
        target = self.root / key
        target.parent.mkdir(parents=True, exist_ok=True)
        # Written beside the target and renamed: the name appears with the whole content or not at all.
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                yield stream
            Path(temporary).chmod(0o644)
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def delete(self, key: str) -> None:
        (self.root / key).unlink(missing_ok=True)

    def exists(self, key: str) -> bool:
        return (self.root / key).exists()

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
