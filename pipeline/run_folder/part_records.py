"""parts.parquet: what the tasks of a run came to, a row for each, with the checksums of its parts."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

import pyarrow as pa

from pipeline.run_folder.layout import PARTS_KEY
from pipeline.run_folder.record import RunRecord
from pipeline.storage.base import Storage
from pipeline.storage.parquet import parquet_bytes, parquet_table

_SCHEMA = pa.schema(
    [
        ("task", pa.int32()),
        ("rows", pa.int64()),
        ("errors", pa.int64()),
        ("features", pa.string()),
        ("features_bytes", pa.int64()),
        ("pca", pa.string()),
        ("pca_bytes", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Part:
    """A task's parts: rows with features, pictures without, SHA-256 and bytes of both files.

    A run that ended before its projection has no `pca`, one of before this was kept has no bytes (0).
    """

    task: int
    rows: int
    errors: int
    features: str
    features_bytes: int = 0
    pca: str | None = None
    pca_bytes: int = 0


def write_parts(run: Storage, parts: Sequence[Part]) -> None:
    """Store parts.parquet."""
    assert [field.name for field in fields(Part)] == _SCHEMA.names
    columns = zip(*map(astuple, parts), strict=True)
    table = pa.table([pa.array(column, kind) for column, kind in zip(columns, _SCHEMA.types, strict=True)], _SCHEMA)
    run.write(PARTS_KEY, parquet_bytes(table))


def read_parts(run: Storage, record: RunRecord) -> tuple[Part, ...]:
    """The parts of a run that has ended; those of format 1 stand in its record.

    Raises FileNotFoundError, KeyError, TypeError or ArrowException where they are missing or something else.
    """
    if record.format == 1:
        return tuple(Part(**part) for part in record.parts)
    table = parquet_table(run.read(PARTS_KEY))
    return tuple(map(Part, *(table[name].to_pylist() for name in _SCHEMA.names)))
