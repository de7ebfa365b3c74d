"""Packs pictures into Parquet shards; see `pipeline.pictures.pack_reader` for how they lie there."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby, islice
from math import ceil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import InputError
from pipeline.parallel import run_ahead
from pipeline.pictures.listing import PictureList, listed
from pipeline.pictures.pack_reader import (
    INDEX_KEY,
    INDEX_SCHEMA,
    LARGE_PICTURE,
    SHARDS,
    Pack,
    encode_index,
    is_shard_key,
    shard_key,
)
from pipeline.pictures.reading import NotHadError, Witnesses, check_store, read_failure
from pipeline.pixels.bad_pictures import BadPictureError, Reason
from pipeline.pixels.decode import check_file
from pipeline.progress import Narrator
from pipeline.storage.base import Pictures, Storage

# Shards of about equal size, at most this: two or more are then of at least 64 MB each.
LARGEST_SHARD = 127 * 1024 * 1024
# What a task reads at once: enough that the request costs little, little enough that a few fit in memory.
ROW_GROUP_BYTES = 1024 * 1024
READERS = 32
SHARD_SCHEMA = pa.schema([("path", pa.string()), ("label", pa.string()), ("bytes", pa.binary())])


@dataclass(frozen=True)
class Picture:
    """A picture on its way into a shard: `data` is None where it could not be read, and `failure` says why."""

    path: str
    label: str
    size: int
    data: bytes | None
    failure: BadPictureError | None = None

    @property
    def has_vanished(self) -> bool:
        """Whether it was gone when it was to be read."""
        return self.failure is not None and self.failure.reason is Reason.VANISHED


@dataclass
class Packing:
    """What has been packed so far: the index, shard by shard their bytes, and the wall-clock seconds at the end."""

    listed: int
    index: list[pa.Table] = field(default_factory=list)
    shard_bytes: list[int] = field(default_factory=list)
    unreadable: int = 0
    seconds: float = 0.0

    @property
    def packed(self) -> int:
        """Pictures in the shards."""
        return sum(table.num_rows for table in self.index)

    def sentence(self, target: str) -> str:
        """What was done, in one line."""
        gone = self.listed - self.packed
        vanished = f" {gone:,} vanished meanwhile." if gone else ""
        unreadable = f" {self.unreadable:,} could not be read: a run will say so." if self.unreadable else ""
        shards = "1 shard" if len(self.shard_bytes) == 1 else f"{len(self.shard_bytes):,} shards"
        return (
            f"Packed {self.packed:,} pictures into {shards} ({sum(self.shard_bytes):,} bytes) "
            f"at {target} in {self.seconds:.1f} s.{vanished}{unreadable}"
        )


def pack(source: Pictures, target: Storage, narrator: Narrator) -> Packing:
    """Pack every picture of the source. The index comes last: a pack that was interrupted is none.

    Raises InputError where the source holds no picture or the target a pack already, StorageError.
    """
    started = time.perf_counter()
    if source.uri == target.uri:
        raise InputError(f"{target.uri} is where the pictures lie; give another place for the pack.")
    with listed(source) as pictures:
        target.check_writable()
        if target.exists(INDEX_KEY):
            raise InputError(f"{target.uri} holds a pack already; give another place for the new one.")
        packing = Packing(pictures.rows)
        with narrator.counted("pack", "Packing", pictures.rows, "pictures", "images/s") as phase:
            _write_shards(source, target, pictures, packing, phase.report)
    _delete_shards_from(target, len(packing.shard_bytes))
    index = pa.concat_tables([INDEX_SCHEMA.empty_table(), *packing.index])
    target.write(INDEX_KEY, encode_index(index, Pack(source.label, packing.shard_bytes)))
    packing.seconds = time.perf_counter() - started
    return packing


def _write_shards(
    source: Pictures, target: Storage, pictures: PictureList, packing: Packing, report: Callable[[int], None]
) -> None:
    sizes, others = _sizes_and_witnesses(pictures)
    columns = ([batch[name].to_pylist() for name in ("path", "label", "bytes")] for batch in pictures.batches())
    rows = (row for batch in columns for row in zip(*batch, strict=True))
    reading = run_ahead(partial(_read, source), rows, READERS, 2 * READERS)
    done = 0
    for shard, groups in groupby(_plan(sizes), key=lambda group: group[0]):
        with (
            target.writer(shard_key(shard)) as stream,
            # Pictures are compressed already.
            pq.ParquetWriter(stream, SHARD_SCHEMA, compression="none", use_dictionary=["label"]) as writer,
        ):
            written = 0
            for _, count in groups:
                group = list(islice(reading, count))
                _check_store(source, group, others)
                written += _write_group(writer, group, packing, (shard, written))
                done += count
                report(done)
        packing.shard_bytes.append(target.size(shard_key(shard)))


def _sizes_and_witnesses(pictures: PictureList) -> tuple["np.ndarray[tuple[int], np.dtype[np.int64]]", list[str]]:
    sizes, found = [], Witnesses(pictures.rows)
    for batch in pictures.batches():
        found.look(batch)
        sizes.append(batch["bytes"].to_numpy())
    return np.concatenate(sizes), found.paths


def _plan(sizes: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> Iterator[tuple[int, int]]:
    """For each row group in the list's order its shard and its number of pictures."""
    starts = sizes.cumsum() - sizes
    total = int(sizes.sum())
    shards = starts * max(ceil(total / LARGEST_SHARD), 1) // max(total, 1)
    is_large = sizes > LARGE_PICTURE  # alone in its group: nobody has to fetch it for a small one
    changes = (np.diff(shards) != 0) | (np.diff(starts // ROW_GROUP_BYTES) != 0) | is_large[1:] | is_large[:-1]
    firsts = np.flatnonzero(np.r_[True, changes])
    yield from zip(shards[firsts].tolist(), np.diff(np.r_[firsts, len(sizes)]).tolist(), strict=True)


def _check_store(source: Pictures, group: list[Picture], others: Sequence[str]) -> None:
    not_had = [picture.failure for picture in group if isinstance(picture.failure, NotHadError)]
    witness = next((picture.path for picture in group if picture.data is not None), None)
    check_store(source, not_had, witness, others)


def _write_group(writer: pq.ParquetWriter, group: list[Picture], packing: Packing, place: tuple[int, int]) -> int:
    """Write a row group and its rows of the index; returns how many groups were written, 0 where all have vanished."""
    kept = [picture for picture in group if not picture.has_vanished]
    if not kept:
        return 0
    rows = [(picture.path, picture.label, picture.data) for picture in kept]
    writer.write_table(pa.table(list(map(list, zip(*rows, strict=True))), schema=SHARD_SCHEMA), len(kept))
    entries = [(picture.path, picture.size, picture.label, *place) for picture in kept]
    packing.index.append(pa.table(list(map(list, zip(*entries, strict=True))), schema=INDEX_SCHEMA))
    packing.unreadable += sum(picture.data is None for picture in kept)
    return 1


def _read(source: Pictures, row: tuple[str, str, int]) -> Picture:
    path, label, size = row
    try:
        check_file(size)
        data = source.read(path, size)
    except BadPictureError as error:
        return Picture(path, label, size, None, error)
    except OSError as error:
        return Picture(path, label, size, None, read_failure(error))
    return Picture(path, label, len(data), data)


def _delete_shards_from(target: Storage, first: int) -> None:
    """Take away what an interrupted pack of more pictures has left."""
    wanted = {shard_key(shard) for shard in range(first)}
    for batch in target.list(SHARDS):
        for key in batch["path"].to_pylist():
            # Whatever else lies there is somebody's.
            if is_shard_key(key) and key not in wanted:
                target.delete(key)
