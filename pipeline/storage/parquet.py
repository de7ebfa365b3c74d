"""Tables as Parquet files in memory, and such files read in ranges."""

import io

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.storage.base import Storage

# What is read ahead of a column, of a file of which no more than a few rows are wanted at once.
_BUFFER_BYTES = 1024 * 1024


def parquet_bytes(table: pa.Table, dictionary: list[str] | bool = False) -> bytes:
    """The table as one Parquet file, zstd."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", use_dictionary=dictionary)
    return sink.getvalue()


def parquet_table(data: bytes) -> pa.Table:
    """The table of a Parquet file. Raises pyarrow.ArrowInvalid or OSError for anything else."""
    # Arrow's own threads may let go of Python's bytes while Python ends, and abort it (apache/arrow#34314).
    return pq.ParquetFile(pa.BufferReader(data), pre_buffer=False).read(use_threads=False)


def parquet_file(storage: Storage, key: str) -> pq.ParquetFile:
    """An object as a Parquet file that is read in ranges, a few rows at once. Raises as `Storage.read`."""
    source = pa.PythonFile(Ranges(storage, key, storage.size(key)), "r")
    return pq.ParquetFile(source, pre_buffer=False, buffer_size=_BUFFER_BYTES)


class Ranges(io.RawIOBase):
    """An object of `size` bytes as a file whose every read is a request for a range."""

    def __init__(self, storage: Storage, key: str, size: int) -> None:
        super().__init__()
        self._storage, self._key, self._size = storage, key, size
        self._position = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def read(self, length: int | None = -1) -> bytes:
        left = self._size - self._position
        wanted = left if length is None or length < 0 else min(length, left)
        data = self._storage.read_range(self._key, self._position, wanted) if wanted > 0 else b""
        self._position += len(data)
        return data
