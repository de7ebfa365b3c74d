"""The Parquet parts of a run: what a task writes, under a name that depends only on its place in the list."""

import hashlib
import json
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.run_folder.layout import feature_key, pca_key
from pipeline.run_folder.thumbnails import metadata_of, thumbnails_in
from pipeline.storage.base import Storage
from pipeline.storage.parquet import parquet_bytes, parquet_table

ERRORS_METADATA = b"orchard.errors"
_LISTED_KEY = b"orchard.listed"


@dataclass(frozen=True)
class PictureError:
    """A row of errors.parquet."""

    path: str
    reason: str
    detail: str


@dataclass(frozen=True)
class FeaturePart:
    """A task's whole result. Errors and thumbnails travel in the part's metadata, so that one PUT commits all."""

    table: pa.Table
    errors: list[PictureError]
    listed: int
    thumbnails: dict[str, bytes] = field(default_factory=dict)


def vector_table(paths: list[str], labels: list[str], column: str, vectors: NDArray[np.float32]) -> pa.Table:
    """Rows of `path`, `label` and a list<float32> column; Spark does not read Arrow's fixed-size lists."""
    rows, width = vectors.shape
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * width)
    lists = pa.ListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(vectors, np.float32).reshape(-1)))
    return pa.table({"path": pa.array(paths, pa.string()), "label": pa.array(labels, pa.string()), column: lists})


def vectors_of(table: pa.Table, column: str) -> NDArray[np.float32]:
    """The list<float32> column as an array of shape (rows, width), width 0 for no rows."""
    if not table.num_rows:
        return np.empty((0, 0), np.float32)
    chunk = table[column].combine_chunks()
    flat: NDArray[np.float32] = chunk.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(table.num_rows, -1)


def encode_features(part: FeaturePart) -> bytes:
    """The part as a Parquet file."""
    errors = [[error.path, error.reason, error.detail] for error in part.errors]
    metadata = {ERRORS_METADATA: json.dumps(errors).encode(), _LISTED_KEY: str(part.listed).encode()}
    metadata |= metadata_of(part.thumbnails)
    return parquet_bytes(part.table.replace_schema_metadata(metadata), dictionary=["label"])


def decode_features(data: bytes) -> FeaturePart:
    """The part as `encode_features` made it. Raises pyarrow.ArrowInvalid or KeyError for anything else."""
    table = parquet_table(data)
    metadata = table.schema.metadata or {}
    errors = [PictureError(*row) for row in json.loads(metadata[ERRORS_METADATA])]
    return FeaturePart(table, errors, int(metadata[_LISTED_KEY]), thumbnails_in(table))


def read_features(storage: Storage, task: int) -> FeaturePart:
    """A task's part, read back."""
    return decode_features(storage.read(feature_key(task)))


def read_pca(storage: Storage, task: int) -> pa.Table:
    """A task's projection part."""
    return parquet_table(storage.read(pca_key(task)))


def whole_part(data: bytes, listed: list[str]) -> FeaturePart | None:
    """The part where these bytes account for every listed picture, in the list's order; else None."""
    try:
        part = decode_features(data)
    except (KeyError, ValueError, OSError, pa.ArrowException):
        return None
    bad = {error.path for error in part.errors}
    good = [path for path in listed if path not in bad]
    return part if part.listed == len(listed) and part.table["path"].to_pylist() == good else None


def sha256(data: bytes) -> str:
    """The checksum under which a run knows a part."""
    return hashlib.sha256(data).hexdigest()
