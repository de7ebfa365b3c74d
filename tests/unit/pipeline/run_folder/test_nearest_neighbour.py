"""pipeline.run_folder.nearest_neighbour against scikit-learn."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from pipeline.run_folder import nearest_neighbour
from pipeline.run_folder.nearest_neighbour import same_label_as_nearest


def test_rows_agree_with_their_neighbours_as_in_a_leave_one_out_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest_neighbour, "_ROWS_AT_ONCE", 64)
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 4, 300).astype(str)
    vectors = (rng.normal(size=(300, 5)) + labels.astype(int)[:, None]).astype(np.float32)
    nearest = KNeighborsClassifier(2).fit(vectors, labels).kneighbors(vectors, return_distance=False)[:, 1]
    same = same_label_as_nearest(vectors, labels)
    assert np.array_equal(same, labels[nearest] == labels)
    assert 0.3 < same.mean() < 1


def test_one_row_has_no_neighbour() -> None:
    assert not same_label_as_nearest(np.ones((1, 3), np.float32), np.array(["a"])).any()
