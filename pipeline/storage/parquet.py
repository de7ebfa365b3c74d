"""Tables as Parquet files in memory."""

import io

import pyarrow as pa
import pyarrow.parquet as pq


def parquet_bytes(table: pa.Table, dictionary: list[str] | bool = False) -> bytes:
    """The table as one Parquet file, zstd."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", use_dictionary=dictionary)
    return sink.getvalue()


def parquet_table(data: bytes) -> pa.Table:
    """The table of a Parquet file. Raises pyarrow.ArrowInvalid or OSError for anything else."""
    # Arrow's own threads may let go of Python's bytes while Python ends, and abort it (apache/arrow#34314).
    return pq.ParquetFile(pa.BufferReader(data), pre_buffer=False).read(use_threads=False)
