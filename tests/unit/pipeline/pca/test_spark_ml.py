"""pipeline.pca.spark_ml: a model as Spark ML would have saved it (tests/job lets Spark read it)."""

from pathlib import Path

import numpy as np

from pipeline.pca import spark_ml
from pipeline.pca.fit import PcaModel
from pipeline.storage.local import LocalStorage


def test_a_model_comes_back_number_by_number(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    model = PcaModel(rng.normal(size=6), np.linalg.qr(rng.normal(size=(6, 3)))[0], np.array([0.5, 0.3, 0.1]))
    folder = LocalStorage.at(str(tmp_path))
    spark_ml.save(model, folder, "4.0.0")
    loaded = spark_ml.load(folder)
    assert np.array_equal(loaded.mean, model.mean)
    assert np.array_equal(loaded.components, model.components)
    assert np.array_equal(loaded.explained_variance_ratio, model.explained_variance_ratio)
