"""pipeline.features.arrow: what a worker gives back for a batch of pictures."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.features import arrow
from pipeline.features.arrow import ERROR, KEEP, SKIP, VECTOR, with_features
from pipeline.network.engine import engine_for
from pipeline.network.keras_model import Network
from pipeline.pixels.bad_pictures import BadPictureError
from pipeline.pixels.decode import MAX_FILE_BYTES, decode
from tests.pictures import encoded

MADE = ("features", "error")
PICTURES = [encoded(size=(30 + number, 40)) for number in range(5)]
MIXED = [PICTURES[0], b"words", PICTURES[1], None, PICTURES[2]]
REASONS = [None, "not an image: 5 bytes, no known picture format", None, "empty: null", None]


def batch_of(pictures: list[bytes | None]) -> pa.RecordBatch:
    return pa.record_batch({"id": list(range(len(pictures))), "content": pa.array(pictures, pa.binary())})


def rows_of(batches: Iterator[pa.RecordBatch]) -> list[dict[str, object]]:
    return [row for batch in batches for row in batch.to_pylist()]


def features_of(picture: bytes, network: Network) -> NDArray[np.float32]:
    """By the engine itself, alone."""
    return engine_for(network).features(decode(picture, network.image_size)[None])[0]


def test_each_row_keeps_its_columns_and_gains_the_engine_s_features(tiny_network: Network) -> None:
    rows = rows_of(with_features(iter([batch_of(list(PICTURES))]), tiny_network, 1, MADE, KEEP))
    assert [row["id"] for row in rows] == [0, 1, 2, 3, 4]
    for row, picture in zip(rows, PICTURES, strict=True):
        vector = row["features"]
        assert isinstance(vector, dict)
        assert np.array_equal(np.array(vector["values"]), features_of(picture, tiny_network))
        assert (vector["type"], vector["size"], vector["indices"], row["error"]) == (1, None, None, None)
        assert row["content"] == picture


def test_a_picture_without_features_is_a_null_with_its_reason(tiny_network: Network) -> None:
    rows = rows_of(with_features(iter([batch_of(MIXED)]), tiny_network, 1, MADE, KEEP))
    assert [row["error"] for row in rows] == REASONS
    assert [row["features"] is None for row in rows] == [reason is not None for reason in REASONS]
    assert np.array_equal(rows[4]["features"]["values"], features_of(PICTURES[2], tiny_network))  # type: ignore[index]


def test_such_rows_are_left_out_where_skip_is_asked_for(tiny_network: Network) -> None:
    rows = rows_of(with_features(iter([batch_of(MIXED), batch_of([b""])]), tiny_network, 1, MADE, SKIP))
    assert [row["id"] for row in rows] == [0, 2, 4]
    assert np.array_equal(rows[2]["features"]["values"], features_of(PICTURES[2], tiny_network))  # type: ignore[index]


def test_the_first_such_row_ends_it_in_one_sentence_where_error_is_asked_for(tiny_network: Network) -> None:
    with pytest.raises(InputError, match=r'no features \(not an image: .*\); handleInvalid="keep" keeps .*\.'):
        rows_of(with_features(iter([batch_of(MIXED)]), tiny_network, 1, MADE, ERROR))


def test_batches_come_back_in_slices_and_in_order(tiny_network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow, "ROWS", 2)
    batches = [batch_of(list(PICTURES)), batch_of([]), batch_of([b"words"])]
    given = list(with_features(iter(batches), tiny_network, 1, MADE, KEEP))
    assert [batch.num_rows for batch in given] == [2, 2, 1, 1]
    assert [row["id"] for row in rows_of(iter(given))] == [0, 1, 2, 3, 4, 0]
    assert {batch.schema.field("features").type for batch in given} == {VECTOR}


def test_a_look_at_the_first_rows_decodes_no_more_than_the_lookahead(
    tiny_network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []
    monkeypatch.setattr(arrow, "ROWS", 1)
    monkeypatch.setattr(arrow, "LOOKAHEAD", 3)
    monkeypatch.setattr(arrow, "decode", lambda data, size: decoded.append(1) or decode(data, size))
    next(with_features(iter([batch_of([PICTURES[0]] * 50)]), tiny_network, 1, MADE, KEEP))
    assert len(decoded) <= 4


def test_a_file_that_the_job_would_not_read_is_not_decoded(
    tiny_network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.pixels.decode.MAX_FILE_BYTES", 100)
    assert MAX_FILE_BYTES > 100
    rows = rows_of(with_features(iter([batch_of([PICTURES[0]])]), tiny_network, 1, MADE, KEEP))
    assert rows[0]["error"] == f"too large: {len(PICTURES[0])} bytes, 100 are allowed"


def test_rows_without_features_keep_no_pictures_in_memory() -> None:
    bad = arrow._decoded(encoded()[:900], 32)
    assert isinstance(bad, BadPictureError)
    assert bad.__traceback__ is None
