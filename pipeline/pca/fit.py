"""Principal component analysis from per-partition sums, equal to scikit-learn's on the same rows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError


@dataclass
class Moments:
    """Count, sums (d,) and Gram matrix (d, d) in float64 of some rows: all that a fit needs of them."""

    count: int
    sums: NDArray[np.float64]
    gram: NDArray[np.float64]

    @classmethod
    def of(cls, rows: NDArray[np.float32]) -> "Moments":
        """The moments of float32 rows (n, d)."""
        exact = rows.astype(np.float64)
        # NumPy sees that both operands are one array and calls BLAS's dsyrk: half the work of a product.
        return cls(len(rows), exact.sum(axis=0), exact.T @ exact)

    def __add__(self, other: "Moments") -> "Moments":
        self.count += other.count
        self.sums += other.sums
        self.gram += other.gram
        return self


@dataclass(frozen=True)
class PcaModel:
    """Components as columns (d, k), their explained variance ratios (k,), and the mean (d,) that is subtracted."""

    mean: NDArray[np.float64]
    components: NDArray[np.float64]
    explained_variance_ratio: NDArray[np.float64]

    def project(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Centred rows on the components: (n, d) to (n, k), as scikit-learn's `transform`."""
        return ((rows - self.mean) @ self.components).astype(np.float32)


def fit(moments: Moments, components: int | None, variance: float | None) -> PcaModel:
    """The `components` leading components, or as few as explain `variance` of the total.

    Signs are fixed so that the largest loading of each component is positive (scikit-learn's svd_flip on
    components). Raises InputError where there are fewer rows than components.
    """
    width = len(moments.sums)
    check_enough(moments.count, components)
    mean = moments.sums / moments.count
    covariance = (moments.gram - moments.count * np.outer(mean, mean)) / (moments.count - 1)
    values, vectors = np.linalg.eigh(covariance)
    values = np.clip(values[::-1], 0, None)
    ratios = values / max(values.sum(), np.finfo(np.float64).tiny)
    if components is None:
        # A little slack: the sum of all ratios may end just below 1.
        reached = np.cumsum(ratios) >= (1.0 if variance is None else variance) - 1e-12
        components = int(np.argmax(reached)) + 1 if reached.any() else width
    chosen = vectors[:, ::-1][:, :components]
    largest = np.abs(chosen).argmax(axis=0)
    signs = np.where(chosen[largest, np.arange(components)] < 0, -1.0, 1.0)
    return PcaModel(mean, np.ascontiguousarray(chosen * signs), ratios[:components])


def check_enough(pictures: int, components: int | None) -> None:
    """Raise InputError unless that many pictures can have that many components."""
    if pictures < max(components or 2, 2):
        advice = f"give more pictures or --components {pictures}" if pictures >= 2 else "give more pictures"
        raise InputError(f"{pictures} pictures cannot have {max(components or 2, 2)} components; {advice}.")
