"""pipeline.pca.fit against scikit-learn's PCA."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA

from pipeline.errors import InputError
from pipeline.pca.fit import Moments, fit


@pytest.fixture(scope="module")
def rows() -> NDArray[np.float32]:
    """2,000 rows of 60 correlated non-negative numbers, like features after a ReLU."""
    rng = np.random.default_rng(5)
    mixed = rng.normal(size=(2000, 60)) @ (rng.normal(size=(60, 60)) * np.linspace(2, 0.01, 60))
    return np.maximum(mixed + 1, 0).astype(np.float32)


def test_the_fit_equals_scikit_learn_s(rows: NDArray[np.float32]) -> None:
    model = fit(Moments.of(rows), 20, None)
    reference = PCA(20, svd_solver="full").fit(rows.astype(np.float64))
    assert np.abs(model.explained_variance_ratio - reference.explained_variance_ratio_).max() < 1e-6
    assert subspace_angles(model.components, reference.components_.T).max() < 1e-6
    assert np.allclose(model.mean, reference.mean_)
    projected, wanted = model.project(rows), reference.transform(rows.astype(np.float64))
    signs = np.sign((projected * wanted).sum(axis=0))
    assert np.abs(projected - wanted * signs).max() < 1e-3


def test_moments_of_parts_add_up_to_those_of_the_whole(rows: NDArray[np.float32]) -> None:
    whole, parts = Moments.of(rows), Moments.of(rows[:700]) + Moments.of(rows[700:])
    assert parts.count == whole.count
    assert np.allclose(parts.gram, whole.gram)


def test_the_largest_loading_of_each_component_is_positive(rows: NDArray[np.float32]) -> None:
    components = fit(Moments.of(rows), 20, None).components
    assert (components[np.abs(components).argmax(axis=0), np.arange(20)] > 0).all()


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95, 1.0])
def test_a_variance_share_takes_as_few_components_as_reach_it(rows: NDArray[np.float32], share: float) -> None:
    ratios = fit(Moments.of(rows), None, share).explained_variance_ratio
    assert ratios.sum() >= share - 1e-9
    assert len(ratios) == 1 or ratios[:-1].sum() < share


def test_rows_that_are_all_alike_have_components_and_no_nan() -> None:
    model = fit(Moments.of(np.ones((50, 8), np.float32)), 3, None)
    assert np.isfinite(model.components).all()
    assert np.isfinite(model.explained_variance_ratio).all()


def test_fewer_rows_than_components_are_refused_with_the_number_that_would_do(rows: NDArray[np.float32]) -> None:
    with pytest.raises(
        InputError, match="12 pictures cannot have 20 components; give more pictures or --components 12"
    ):
        fit(Moments.of(rows[:12]), 20, None)
    with pytest.raises(InputError, match="1 pictures cannot have 2 components; give more pictures"):
        fit(Moments.of(rows[:1]), None, 0.5)
