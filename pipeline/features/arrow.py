"""What a worker does for a Spark ML pipeline: Arrow batches with a column of pictures to the same with features."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.features.running import DECODERS, LOOKAHEAD, Decoded, Featured, run_through
from pipeline.network.engine import engine_for
from pipeline.network.keras_model import Network
from pipeline.parallel import run_ahead
from pipeline.pixels.bad_pictures import BadPictureError, Reason
from pipeline.pixels.decode import check_file, decode

KEEP, SKIP, ERROR = "keep", "skip", "error"
# Rows that are given back at once: 10 KB each, and a look at the first few rows computes no more than these.
ROWS = 64
# As Spark keeps a dense vector (VectorUDT).
_DENSE = 1
VECTOR = pa.struct(
    [
        pa.field("type", pa.int8(), nullable=False),
        pa.field("size", pa.int32()),
        pa.field("indices", pa.list_(pa.int32())),
        pa.field("values", pa.list_(pa.float64())),
    ]
)


def with_features(
    batches: Iterator[pa.RecordBatch], network: Network, column: int, made: tuple[str, str], invalid: str
) -> Iterator[pa.RecordBatch]:
    """Each batch, in slices, with two columns more: features as Spark's vectors, and why a row has none.

    `column` is the place of the pictures' bytes, `made` names the two. Of rows without features, `invalid` keeps those
    with a null, skips them, or ends it all: raises InputError.
    """
    engine = engine_for(network)
    seconds: dict[str, float] = defaultdict(float)
    for batch in batches:
        pictures = (cell.as_py() for cell in batch.column(column))
        decoded = run_ahead(lambda data: _decoded(data, network.image_size), pictures, DECODERS, LOOKAHEAD)
        for start in range(0, batch.num_rows, ROWS):
            some = batch.slice(start, ROWS)
            featured = run_through(engine, decoded, some.num_rows, seconds)
            if featured.bad and invalid == ERROR:
                raise InputError(_refusal(featured))
            yield _joined(some, featured, made, is_skipping=invalid == SKIP)


def _decoded(data: bytes | None, size: int) -> Decoded:
    try:
        if data is None:
            raise BadPictureError(Reason.EMPTY, "null")
        check_file(len(data))
        return decode(data, size)
    except BadPictureError as error:
        return error.kept()


def _refusal(featured: Featured) -> str:
    first = next(iter(featured.bad.values()))
    return f'A picture has no features ({_in_words(first)}); handleInvalid="keep" keeps its row, "skip" leaves it out.'


def _in_words(error: BadPictureError) -> str:
    return f"{error.reason.value}: {error.detail}"


def _joined(batch: pa.RecordBatch, featured: Featured, made: tuple[str, str], is_skipping: bool) -> pa.RecordBatch:
    rows = featured.kept if is_skipping else range(batch.num_rows)
    if is_skipping and featured.bad:
        batch = batch.take(pa.array(rows, pa.int32()))
    errors = [_in_words(featured.bad[row]) if row in featured.bad else None for row in rows]
    vectors = _vectors(featured.vectors, [row not in featured.bad for row in rows])
    columns = [*batch.columns, vectors, pa.array(errors, pa.string())]
    return pa.RecordBatch.from_arrays(columns, [*batch.schema.names, *made])


def _vectors(vectors: NDArray[np.float32], has_one: list[bool]) -> pa.StructArray:
    """Spark's dense vectors; a row that has none is null, and takes no room."""
    there, (_, width) = np.array(has_one, bool), vectors.shape
    offsets = np.concatenate([[0], np.cumsum(there) * width]).astype(np.int32)
    values = pa.ListArray.from_arrays(pa.array(offsets), pa.array(vectors.astype(np.float64).reshape(-1)))
    count = len(there)
    fields = [pa.array(np.full(count, _DENSE, np.int8)), pa.nulls(count, pa.int32()), pa.nulls(count, VECTOR[2].type)]
    return pa.StructArray.from_arrays([*fields, values], fields=list(VECTOR), mask=pa.array(~there))
