"""pipeline.run_folder.parts."""

import numpy as np
import pytest

from pipeline.run_folder.parts import FeaturePart, PictureError, encode_features, vector_table, vectors_of, whole_part

PATHS = ["a/1.jpg", "a/2.jpg", "b/3.jpg"]


@pytest.fixture
def part() -> FeaturePart:
    """Two rows of features and one error, as a task writes them."""
    vectors = np.arange(6, dtype=np.float32).reshape(2, 3)
    table = vector_table(["a/1.jpg", "b/3.jpg"], ["a", "b"], "features", vectors)
    return FeaturePart(table, [PictureError("a/2.jpg", "empty", "0 bytes")], listed=3)


def test_a_part_carries_its_rows_and_its_errors(part: FeaturePart) -> None:
    whole = whole_part(encode_features(part), PATHS)
    assert whole is not None
    assert whole.errors == part.errors
    assert np.array_equal(vectors_of(whole.table, "features"), vectors_of(part.table, "features"))


def test_a_part_without_rows_is_whole_when_every_picture_is_an_error() -> None:
    errors = [PictureError(path, "empty", "0 bytes") for path in PATHS]
    empty = vector_table([], [], "features", np.empty((0, 3), np.float32))
    assert whole_part(encode_features(FeaturePart(empty, errors, 3)), PATHS) is not None


def test_a_part_of_other_pictures_or_a_cut_one_is_not_whole(part: FeaturePart) -> None:
    data = encode_features(part)
    assert whole_part(data, [*PATHS, "b/4.jpg"]) is None
    assert whole_part(data, ["a/1.jpg", "a/2.jpg", "b/other.jpg"]) is None
    assert whole_part(data[:-10], PATHS) is None
    assert whole_part(b"", PATHS) is None
