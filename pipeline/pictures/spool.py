"""Lists of pictures in a file of this machine, written once and read as often as is wanted, some rows at once."""

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Lock

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.pictures.costs import costs
from pipeline.settings import EXACT
from pipeline.storage.local import full_disk_as_such

SPOOL_SCHEMA = pa.schema([("path", pa.string()), ("label", pa.string()), ("bytes", pa.int64())])
ROWS_AT_ONCE = 16_384
_OPTIONS = pa.ipc.IpcWriteOptions(compression="zstd")


class SpoolFile:
    """A file without a name, which ends with this process at the latest; many spools lie in it."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  it is closed with this
        self._lock = Lock()
        self._end = 0

    def put(self, data: pa.Buffer) -> int:
        """Write a block; returns where it begins. Raises DiskFullError."""
        with self._lock:
            start, self._end = self._end, self._end + data.size
        with full_disk_as_such(tempfile.gettempdir()):
            written = 0
            while written < data.size:
                written += os.pwrite(self._file.fileno(), memoryview(data)[written:], start + written)
        return start

    def get(self, start: int, length: int) -> bytes:
        """A block as it was put."""
        return os.pread(self._file.fileno(), length, start)

    def close(self) -> None:
        """Take it away."""
        self._file.close()


@dataclass
class Spool:
    """Rows of SPOOL_SCHEMA in the order in which they came, and what is known of them all once `end` was called.

    `counts` are pictures by label, `bytes` are those of all, `cost` is what all cost (`costs`) decoded this `way`.
    """

    file: SpoolFile
    way: str = EXACT
    rows: int = 0
    bytes: int = 0
    cost: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    first: tuple[str, int] | None = None
    last_path: str = ""
    is_sorted: bool = True
    _blocks: list[tuple[int, int]] = field(default_factory=list)
    _waiting: list[pa.RecordBatch] = field(default_factory=list)
    _waiting_rows: int = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Take some rows."""
        if not batch.num_rows:
            return
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        if self._waiting_rows >= ROWS_AT_ONCE:
            self.end()

    def end(self) -> None:
        """Nothing more comes, or nothing for a while: what was taken lies in the file."""
        if self._waiting:
            block = pa.Table.from_batches(self._waiting).combine_chunks().to_batches()[0]
            self._waiting, self._waiting_rows = [], 0
            self._look_at(block)
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, block.schema, options=_OPTIONS) as stream:
                stream.write_batch(block)
            data = sink.getvalue()
            self._blocks.append((self.file.put(data), data.size))

    def _look_at(self, block: pa.RecordBatch) -> None:
        paths, sizes = block["path"], block["bytes"]
        if self.first is None:
            self.first = paths[0].as_py(), int(costs(paths[:1], sizes[:1], self.way)[0])
        in_order = pc.all(pc.less_equal(paths[:-1], paths[1:]), min_count=0).as_py()
        self.is_sorted &= in_order and self.last_path <= paths[0].as_py()
        self.last_path = paths[-1].as_py()
        self.rows += block.num_rows
        self.bytes += pc.sum(sizes).as_py()
        self.cost += int(costs(paths, sizes, self.way).sum())
        for entry in pc.value_counts(block["label"]):
            label, count = entry.values()
            self.counts[label.as_py()] += count.as_py()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All rows, as often as is asked."""
        for start, length in self._blocks:
            yield from pa.ipc.open_stream(self.file.get(start, length))
