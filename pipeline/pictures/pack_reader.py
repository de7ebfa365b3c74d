"""Pictures packed into Parquet shards: later runs read tens of objects where there were tens of thousands.

Below the pack's URI lie `shards/part-00000.parquet` ... with the columns `path`, `label`, `bytes`, in small row groups,
and `pack-index.parquet`, written last: which row group holds which picture. Without the index there is no pack.
"""

import errno
import json
import re
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import lru_cache
from threading import Lock

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import InputError, StorageError
from pipeline.pixels.memory import FILES_BYTES
from pipeline.storage.base import LISTING_SCHEMA, Pictures, SinkKind, Storage, join, listed_into_one
from pipeline.storage.parquet import Ranges, parquet_bytes, parquet_file
from pipeline.storage.paths import check_key

INDEX_KEY = "pack-index.parquet"
SHARDS = "shards/"
# Readers of one task stand in one row group or the next. A group is about 1 MiB, or one large picture; in packs of
# earlier versions it may end with one.
GROUPS_KEPT = 4
LARGE_PICTURE = 1024 * 1024
# Of the index.
ROWS_AT_ONCE = 65_536
INDEX_SCHEMA = pa.schema([*LISTING_SCHEMA, ("label", pa.string()), ("shard", pa.int32()), ("row_group", pa.int32())])
_ABOUT = b"orchard.pack"


@dataclass(frozen=True)
class Pack:
    """What the index says of the whole: the label of pictures that lay in no folder, and each shard's bytes."""

    label: str
    shard_bytes: list[int]


class NotPackedError(PermissionError):
    """A picture that could not be read when the pack was made: so it stays."""


@dataclass(frozen=True)
class RowGroup:
    """Where a row group lies, which path it begins with, its pictures' bytes. Paths are sorted all through the pack."""

    first_path: str
    shard: int
    number: int
    bytes: int


def shard_key(shard: int) -> str:
    """The key of a shard."""
    return f"{SHARDS}part-{shard:05d}.parquet"


def is_shard_key(key: str) -> bool:
    """Whether a key is a shard's."""
    return re.fullmatch(rf"{SHARDS}part-\d{{5,}}\.parquet", key) is not None


def encode_index(index: pa.Table, pack: Pack) -> bytes:
    """The index as a Parquet file."""
    about = json.dumps({"label": pack.label, "shard_bytes": pack.shard_bytes}).encode()
    return parquet_bytes(index.replace_schema_metadata({_ABOUT: about}), dictionary=["label", "shard", "row_group"])


@dataclass(frozen=True)
class PackedPictures:
    """The pictures of a pack, listed and read by their paths as if they lay there one by one."""

    storage: Storage
    pack: Pack
    groups: tuple[RowGroup, ...]

    @classmethod
    def at(cls, storage: Storage) -> "PackedPictures":
        """The pack in this storage. Raises InputError where it is damaged."""
        try:
            file = parquet_file(storage, INDEX_KEY)
            pack = Pack(**json.loads(file.schema_arrow.metadata[_ABOUT]))
            groups = tuple(_groups(file))
        except StorageError:
            raise
        except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{join(storage.uri, INDEX_KEY)} is broken ({error}); pack the pictures again.") from error
        _check_shards(storage, pack)
        return cls(storage, pack, groups)

    @property
    def uri(self) -> str:
        return self.storage.uri

    @property
    def label(self) -> str:
        return self.pack.label

    @property
    def left_out(self) -> Sequence[str]:
        return ()

    def list(self, prefix: str = "") -> Iterator[pa.RecordBatch]:
        """Every picture whose path begins with `prefix`, from the index."""
        for batch in parquet_file(self.storage, INDEX_KEY).iter_batches(ROWS_AT_ONCE, columns=LISTING_SCHEMA.names):
            yield batch.filter(pc.starts_with(batch["path"], prefix)).replace_schema_metadata()

    def list_into(self, sink: Callable[[], SinkKind]) -> Sequence[SinkKind]:
        return listed_into_one(self, sink)

    def check_readable(self) -> None:
        self.storage.check_readable()

    def read(self, key: str, listed: int | None = None) -> bytes:
        """A picture, from the row group that holds it. Raises as `Pictures.read`, and NotPackedError."""
        del listed  # a range is as long as was asked, or tried again
        check_key(key)
        group = self.group_of(key)
        if group is None:
            raise FileNotFoundError(2, "no such picture in the pack", key)
        name = self.uri, group.shard, group.number
        pictures = _kept_groups.get(name, group.bytes, lambda: self._read_group(group))
        if key not in pictures:
            raise FileNotFoundError(2, "no such picture in the pack", key)
        data = pictures[key]
        if data is None:
            raise NotPackedError(errno.EACCES, "could not be read when it was packed", key)
        if len(data) > LARGE_PICTURE:
            # The last of its group, or all of it: nobody comes for it again.
            _kept_groups.forget(name)
        return data

    def group_of(self, key: str) -> RowGroup | None:
        """The row group that would hold this picture; None before the first."""
        place = bisect_right(self.groups, key, key=lambda group: group.first_path) - 1
        return self.groups[place] if place >= 0 else None

    def _read_group(self, group: RowGroup) -> dict[str, bytes | None]:
        key, size = shard_key(group.shard), self.pack.shard_bytes[group.shard]
        try:
            shard = pa.PythonFile(Ranges(self.storage, key, size), "r")
            # Unbuffered, each column of the group is read by one request.
            file = pq.ParquetFile(shard, metadata=_footer(self.storage, key, size), pre_buffer=False)
            table = file.read_row_group(group.number, columns=["path", "bytes"], use_threads=False)
        except StorageError:
            raise
        except (OSError, pa.ArrowException) as error:
            # A shard is many pictures: gone, refused or broken, it is no single one's fault.
            why = getattr(error, "strerror", None) or str(error)
            raise StorageError(f"the pack's shard cannot be read ({why})", join(self.uri, key)) from error
        pictures = dict(zip(table["path"].to_pylist(), table["bytes"].to_pylist(), strict=True))
        del table, file
        if group.bytes > LARGE_PICTURE:
            # Arrow keeps what is freed, for each thread that has read.
            pa.default_memory_pool().release_unused()
        return pictures


def bytes_to_read(pictures: Pictures, key: str, listed: int) -> int:
    """What of memory reading a picture of `listed` bytes takes: a packed one comes with its row group."""
    group = pictures.group_of(key) if isinstance(pictures, PackedPictures) else None
    return group.bytes if group else listed


def _groups(index: pq.ParquetFile) -> Iterator[RowGroup]:
    """The pack's row groups, in the order of the index."""
    last: RowGroup | None = None
    for batch in index.iter_batches(ROWS_AT_ONCE, columns=["path", "bytes", "shard", "row_group"]):
        places = np.stack([batch["shard"].to_numpy(), batch["row_group"].to_numpy()])
        firsts = np.flatnonzero(np.r_[True, (np.diff(places) != 0).any(axis=0)])
        paths = batch["path"].take(pa.array(firsts)).to_pylist()
        sizes = np.add.reduceat(batch["bytes"].to_numpy(), firsts).tolist()
        for group in map(RowGroup, paths, *places[:, firsts].tolist(), sizes):
            if last is None or (last.shard, last.number) != (group.shard, group.number):
                yield from () if last is None else (last,)
                last = group
            else:
                last = replace(last, bytes=last.bytes + group.bytes)
    yield from () if last is None else (last,)


def _check_shards(storage: Storage, pack: Pack) -> None:
    there = {
        path: size for batch in storage.list(SHARDS) for path, size in zip(*batch.to_pydict().values(), strict=True)
    }
    for shard, size in enumerate(pack.shard_bytes):
        # A list may be of a moment ago; the object itself is not.
        if there.get(shard_key(shard)) != size and _size(storage, shard_key(shard)) != size:
            raise InputError(
                f"{join(storage.uri, shard_key(shard))} is not as {INDEX_KEY} says; pack the pictures again."
            )


def _size(storage: Storage, key: str) -> int | None:
    try:
        return storage.size(key)
    except FileNotFoundError:
        return None


@lru_cache(maxsize=16)
def _footer(storage: Storage, key: str, size: int) -> pq.FileMetaData:
    return pq.read_metadata(pa.PythonFile(Ranges(storage, key, size), "r"))


@dataclass(frozen=True)
class _Group:
    """A row group that is kept, or is being read, and its pictures' bytes."""

    size: int
    pictures: Future[dict[str, bytes | None]] = field(default_factory=Future)


class _GroupCache:
    """The row groups that were read last, so many and of so many bytes, or one that is larger.

    Readers that want the same one wait for the first of them to read it.
    """

    def __init__(self, kept: int, kept_bytes: int = FILES_BYTES) -> None:
        self._kept, self._kept_bytes = kept, kept_bytes
        self._lock = Lock()
        self._groups: OrderedDict[tuple[str, int, int], _Group] = OrderedDict()

    def get(
        self, name: tuple[str, int, int], size: int, read: Callable[[], dict[str, bytes | None]]
    ) -> dict[str, bytes | None]:
        """The group of this name and size, read where it is not kept. A failed reading is not kept."""
        with self._lock:
            group = self._groups.get(name)
            mine = group is None
            if group is None:
                group = self._groups[name] = _Group(size)
            self._groups.move_to_end(name)
            self._make_room()
        future = group.pictures
        if mine:
            try:
                future.set_result(read())
            except BaseException as error:
                self.forget(name)
                future.set_exception(error)
        return future.result()

    def _make_room(self) -> None:
        while len(self._groups) > self._kept or (
            len(self._groups) > 1 and sum(group.size for group in self._groups.values()) > self._kept_bytes
        ):
            self._groups.popitem(last=False)

    def forget(self, name: tuple[str, int, int]) -> None:
        """Keep that group no longer."""
        with self._lock:
            self._groups.pop(name, None)


_kept_groups = _GroupCache(GROUPS_KEPT)
