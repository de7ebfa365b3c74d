"""What the job asks of the place where pictures are read and results are written, whatever its URI."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import IO, Protocol, TypeVar

import pyarrow as pa

NAMED = 5  # of names that a sentence is about
LISTING_SCHEMA = pa.schema([("path", pa.string()), ("bytes", pa.int64())])


class Sink(Protocol):
    """Takes batches of LISTING_SCHEMA, from one thread at a time."""

    def add(self, batch: pa.RecordBatch) -> None:
        """Take it."""

    def end(self) -> None:
        """Nothing more comes."""


SinkKind = TypeVar("SinkKind", bound=Sink)


class Pictures(Protocol):
    """Where pictures are listed and read. Keys use `/`; it can be pickled to the workers."""

    @property
    def uri(self) -> str:
        """The address that this was opened with, made absolute."""

    @property
    def label(self) -> str:
        """The label of pictures that lie in no folder: the last name of the address."""

    @property
    def left_out(self) -> Sequence[str]:
        """What the last listing met and left out: links that lead out of the folder, devices, pipes."""

    def list(self, prefix: str = "") -> Iterator[pa.RecordBatch]:
        """Every object below `prefix`, as batches of LISTING_SCHEMA in the order of the keys' UTF-8.

        A server of S3's that is none of AWS's may have another order. Raises InputError where the folder or bucket
        cannot be listed.
        """

    def list_into(self, sink: Callable[[], SinkKind]) -> Sequence[SinkKind]:
        """Every object, listed by several threads where that is quicker, each into a sink that `sink` made for it.

        Returns the sinks whose batches, one sink's after the other's, are those of `list`. Raises as `list`.
        """

    def read(self, key: str, listed: int | None = None) -> bytes:
        """The whole object, of which `listed` bytes were listed: other bytes than these are asked about once more.

        Raises FileNotFoundError or PermissionError for this object alone, StorageError where the store fails, OSError.
        """

    def check_readable(self) -> None:
        """Raise InputError where objects cannot be listed here."""


class Storage(Pictures, Protocol):
    """A folder or key prefix, whose keys are relative to it."""

    def __hash__(self) -> int:
        """Equal for storages of the same address, so that what was read of them can be kept."""

    def write(self, key: str, data: bytes) -> None:
        """Put the whole object or nothing: no reader ever sees half of it."""

    def writer(self, key: str) -> AbstractContextManager[IO[bytes]]:
        """A stream for one large object, which appears when the block ends well and not at all otherwise."""

    def read_range(self, key: str, start: int, length: int) -> bytes:
        """`length` bytes of an object from `start` on. Raises as `read`."""

    def size(self, key: str) -> int:
        """Bytes of an object. Raises as `read`."""

    def delete(self, key: str) -> None:
        """Take an object away; it is no error where there is none."""

    def exists(self, key: str) -> bool:
        """Whether that object is there."""

    def check_writable(self) -> None:
        """Raise InputError where objects cannot be written here."""


def listed_into_one(pictures: Pictures, sink: Callable[[], SinkKind]) -> list[SinkKind]:
    """`Pictures.list_into` by one thread."""
    one = sink()
    for batch in pictures.list():
        one.add(batch)
    one.end()
    return [one]


def is_local(uri: str) -> bool:
    """Whether the URI names a folder of this machine."""
    return "://" not in uri or uri.startswith("file://")


def join(uri: str, *names: str) -> str:
    """The URI of something below `uri`."""
    return "/".join([uri.rstrip("/"), *names])


def split_parent(uri: str) -> tuple[str, str]:
    """The URI's parent and its last name."""
    parent, _, name = uri.rstrip("/").rpartition("/")
    return parent or ("/" if uri.startswith("/") else "."), name


def left_out_sentence(left_out: Sequence[str]) -> str:
    """What a listing left out, in one line."""
    what = "links that lead out of the folder, devices or pipes"
    return f"Left out {len(left_out):,} that are no files of it, but {what} ({some_of(left_out)})."


def some_of(names: Sequence[str]) -> str:
    """The first few of these names."""
    return ", ".join(name.replace("\n", "\\n") for name in names[:NAMED]) + (", ..." if len(names) > NAMED else "")
