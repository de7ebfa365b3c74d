"""errors.parquet: gathered from the parts of tasks that had errors, and read back, a few rows in memory at a time."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.parallel import run_ahead
from pipeline.run_folder.layout import ERRORS_KEY, feature_key
from pipeline.run_folder.parts import ERRORS_METADATA
from pipeline.storage.base import Storage
from pipeline.storage.parquet import Ranges, parquet_file

_SCHEMA = pa.schema([("path", pa.string()), ("reason", pa.string()), ("detail", pa.string())])
_READERS = 16
_ROWS_AT_ONCE = 16_384


def gather_errors(run: Storage, tasks: Sequence[tuple[int, int]]) -> None:
    """Store errors.parquet, also when it is empty: the errors of each task named, by number and its part's bytes."""

    def errors(task: tuple[int, int]) -> pa.Table:
        return _errors_of(run, *task)

    with (
        run.writer(ERRORS_KEY) as stream,
        pq.ParquetWriter(stream, _SCHEMA, compression="zstd", use_dictionary=["reason"]) as writer,
    ):
        waiting = [_SCHEMA.empty_table()]
        for table in run_ahead(errors, tasks, _READERS, 2 * _READERS):
            waiting.append(table)
            if sum(map(len, waiting)) >= _ROWS_AT_ONCE:
                writer.write_table(pa.concat_tables(waiting).combine_chunks())
                waiting = []
        if waiting:
            writer.write_table(pa.concat_tables(waiting).combine_chunks())


def _errors_of(run: Storage, task: int, size: int) -> pa.Table:
    """The errors are in a part's footer, which is read without its vectors."""
    metadata = pq.read_metadata(pa.PythonFile(Ranges(run, feature_key(task), size), "r")).metadata
    rows = [dict(zip(_SCHEMA.names, row, strict=True)) for row in json.loads(metadata[ERRORS_METADATA])]
    return pa.Table.from_pylist(rows, _SCHEMA)


def read_errors(run: Storage) -> Iterator[pa.RecordBatch]:
    """errors.parquet in batches. Raises FileNotFoundError, ArrowException."""
    yield from parquet_file(run, ERRORS_KEY).iter_batches(_ROWS_AT_ONCE)


def first_errors(run: Storage, count: int) -> list[dict[str, str]]:
    """The first rows of errors.parquet. Raises as `read_errors`."""
    first = next(read_errors(run), None)
    return [] if first is None else first.slice(0, count).to_pylist()


def counted_reasons(run: Storage) -> Counter[str]:
    """How many rows of errors.parquet have which reason. Raises as `read_errors`, and KeyError."""
    reasons = Counter[str]()
    for batch in read_errors(run):
        reasons.update(batch["reason"].to_pylist())
    return reasons
