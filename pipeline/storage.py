"""One small interface to where pictures are read and results are written, whatever the URI."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import IO, Protocol

import pyarrow as pa

from pipeline.errors import InputError

LISTING_SCHEMA = pa.schema([("path", pa.string()), ("bytes", pa.int64())])


class Storage(Protocol):
    """A folder or key prefix. Keys are relative to it and use `/`; it can be pickled to the workers."""

    @property
    def uri(self) -> str:
        """The address that this storage was opened with, made absolute."""

    def list(self, prefix: str = "") -> Iterator[pa.RecordBatch]:
        """Every object below `prefix`, as batches of LISTING_SCHEMA in no promised order.

        Raises InputError where the folder or bucket cannot be listed.
        """

    def read(self, key: str) -> bytes:
        """The whole object. Raises FileNotFoundError, PermissionError or OSError."""

    def write(self, key: str, data: bytes) -> None:
        """Put the whole object or nothing: no reader ever sees half of it."""

    def writer(self, key: str) -> AbstractContextManager[IO[bytes]]:
        """A stream for one large object, which appears when the block ends well and not at all otherwise."""

    def read_range(self, key: str, start: int, length: int) -> bytes:
        """`length` bytes of an object from `start` on. Raises as `read`."""

    def size(self, key: str) -> int:
        """Bytes of an object. Raises as `read`."""

    def exists(self, key: str) -> bool:
        """Whether that object is there."""

    def check_writable(self) -> None:
        """Raise InputError where objects cannot be written here."""


def is_local(uri: str) -> bool:
    """Whether the URI names a folder of this machine."""
    return "://" not in uri or uri.startswith("file://")


def open_storage(uri: str) -> Storage:
    """The storage that serves this URI: a folder, `file://` or `s3://`. Raises InputError for another scheme."""
    if is_local(uri):
        from pipeline.storage_local import LocalStorage

        return LocalStorage.at(uri)
    if uri.startswith("s3://"):
        from pipeline.storage_s3 import S3Storage

        return S3Storage.at(uri)
    scheme = uri.split("://", 1)[0]
    raise InputError(f"{uri}: the scheme {scheme}:// is not known; give a folder, file:// or s3://bucket/prefix.")


def join(uri: str, *names: str) -> str:
    """The URI of something below `uri`."""
    return "/".join([uri.rstrip("/"), *names])


def split_parent(uri: str) -> tuple[str, str]:
    """The URI's parent and its last name."""
    parent, _, name = uri.rstrip("/").rpartition("/")
    return parent or ("/" if uri.startswith("/") else "."), name
