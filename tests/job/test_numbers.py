"""What the numbers are: the projection is scikit-learn's, and the default engine's features are TensorFlow's."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.decomposition import PCA

from pipeline.run_folder.parts import vectors_of
from tests.job.conftest import COMPONENTS, FinishedRun, Orchard

PICTURES = 96


def real_words(fruits: Path, weights: Path, output: Path, run_id: str) -> tuple[object, ...]:
    return (
        "run", "--images", fruits / "Test", "--weights", weights, "--limit", PICTURES, "--components", COMPONENTS,
        "--no-report", "--output", output, "--run-id", run_id,
    )  # fmt: skip


@pytest.fixture(scope="module")
def real_run(fruits: Path, imagenet_weights: Path, orchard: Orchard, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run over real pictures with real weights, at the network's own size."""
    output = tmp_path_factory.mktemp("real")
    ended = orchard(*real_words(fruits, imagenet_weights, output, "real"))
    assert ended.code == 0, ended.err
    return output / "real"


def assert_projection_is_scikit_learns(run: Path) -> None:
    """Ratios to a millionth; scores, but for their signs, to a ten-thousandth of the largest."""
    features = vectors_of(pq.read_table(run / "features"), "features").astype(np.float64)
    reference = PCA(COMPONENTS, svd_solver="full").fit(features)
    ratios = np.array(json.loads((run / "run.json").read_text())["explained_variance_ratio"])
    assert np.abs(ratios - reference.explained_variance_ratio_).max() < 1e-6
    projected = vectors_of(pq.read_table(run / "pca"), "pca")
    wanted = reference.transform(features)
    assert np.abs(projected - wanted * np.sign((projected * wanted).sum(axis=0))).max() < 1e-4 * np.abs(wanted).max()


def test_the_projection_equals_scikit_learn_s_on_the_same_features(finished_run: FinishedRun) -> None:
    assert_projection_is_scikit_learns(finished_run.folder)


def test_on_real_pictures_the_projection_equals_scikit_learn_s_too(real_run: Path) -> None:
    assert_projection_is_scikit_learns(real_run)


def test_the_tensorflow_engine_gives_the_same_features(
    real_run: Path, fruits: Path, imagenet_weights: Path, orchard: Orchard, tmp_path: Path
) -> None:
    ended = orchard(*real_words(fruits, imagenet_weights, tmp_path, "again"), "--engine", "tensorflow")
    assert ended.code == 0, ended.err
    ours, theirs = (
        vectors_of(pq.read_table(folder / "features").sort_by("path"), "features")
        for folder in (real_run, tmp_path / "again")
    )
    assert 0 < np.abs(ours - theirs).max() < 1e-4
