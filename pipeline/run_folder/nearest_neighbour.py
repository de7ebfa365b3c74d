"""How well the reduced vectors keep the classes apart: leave-one-out nearest neighbour."""

import numpy as np
from numpy.typing import NDArray

# Rows compared at once against all: bounds the distance matrix to 100 MB at 25,000 rows.
_ROWS_AT_ONCE = 1024


def same_label_as_nearest(vectors: NDArray[np.float32], labels: NDArray[np.str_]) -> NDArray[np.bool_]:
    """For each row of (n, k) whether the nearest other row (Euclidean) has its label; all False for one row."""
    if len(vectors) < 2:
        return np.zeros(len(vectors), np.bool_)
    squares = np.einsum("ij,ij->i", vectors, vectors)
    nearest = np.empty(len(vectors), np.int64)
    for start in range(0, len(vectors), _ROWS_AT_ONCE):
        rows = slice(start, min(start + _ROWS_AT_ONCE, len(vectors)))
        # |a - b|^2 less |a|^2, which is the same for all b
        distances = squares - 2 * (vectors[rows] @ vectors.T)
        distances[np.arange(rows.stop - start), np.arange(start, rows.stop)] = np.inf
        nearest[rows] = distances.argmin(axis=1)
    same: NDArray[np.bool_] = labels[nearest] == labels
    return same
