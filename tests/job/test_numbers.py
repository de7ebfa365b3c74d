"""What the numbers are: the projection is scikit-learn's, and the default engine's features are TensorFlow's."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from sklearn.decomposition import PCA

from pipeline.run_folder.parts import vectors_of
from tests.job.conftest import COMPONENTS, SMALL, FinishedRun, Orchard


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


def test_on_real_pictures_and_weights_the_projection_equals_scikit_learn_s_too(
    fruits: Path, imagenet_weights: Path, orchard: Orchard, tmp_path: Path
) -> None:
    ended = orchard(
        "run", "--images", fruits / "Test", "--weights", imagenet_weights, "--limit", "96", "--components", COMPONENTS,
        "--no-report", "--output", tmp_path, "--run-id", "real",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert_projection_is_scikit_learns(tmp_path / "real")


def test_the_tensorflow_engine_gives_the_same_features(
    finished_run: FinishedRun, orchard: Orchard, tmp_path: Path
) -> None:
    ended = orchard(
        "run", "--images", finished_run.images, "--output", tmp_path, "--run-id", "again", *SMALL,
        "--no-report", "--engine", "tensorflow",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    ours, theirs = (
        vectors_of(pq.read_table(folder / "features").sort_by("path"), "features")
        for folder in (finished_run.folder, tmp_path / "again")
    )
    assert 0 < np.abs(ours - theirs).max() < 1e-5 * np.abs(ours).max()
