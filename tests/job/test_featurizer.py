"""pipeline.spark_ml on Spark: the job's features to the bit, in a pipeline, saved, and through Spark Connect."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.errors import InputError
from pipeline.run_folder.parts import vectors_of
from pipeline.spark_ml import MobileNetV2Featurizer
from tests.job.conftest import ROOT, FinishedRun
from tests.pictures import ODD


def pictures_in(spark: Any, folder: Path) -> Any:
    """What a person reads by Spark itself."""
    reader = spark.read.format("binaryFile").option("recursiveFileLookup", "true")
    return reader.option("pathGlobFilter", "*.{jpg,JPG,jpeg,png,bmp,gif,webp,tif,tiff,avif}").load(str(folder))


def key_of(path: str, folder: Path) -> str:
    """The run's name for a picture that Spark calls `file:/...`."""
    return str(Path(path.removeprefix("file:")).relative_to(folder))


def small(**more: Any) -> MobileNetV2Featurizer:
    return MobileNetV2Featurizer(weights="random", imageSize=64, **more)


def run_features(run: Path) -> dict[str, Any]:
    table = pq.read_table(run / "features")
    return dict(zip(table["path"].to_pylist(), vectors_of(table, "features"), strict=True))


@pytest.fixture(scope="module")
def rows(spark: Any, finished_run: FinishedRun) -> dict[str, Any]:
    """The featurizer's rows over the pictures of the finished run, by the run's names."""
    made = small().transform(pictures_in(spark, finished_run.images)).select("path", "features", "error")
    return {key_of(row["path"], finished_run.images): row for row in made.collect()}


def test_its_features_are_the_job_s_to_the_bit(rows: dict[str, Any], finished_run: FinishedRun) -> None:
    wanted = run_features(finished_run.folder)
    assert {name for name, row in rows.items() if row["features"] is not None} == set(wanted)
    for name, features in wanted.items():
        vector = rows[name]["features"].toArray()
        assert np.array_equal(vector.astype(np.float32), features)
        assert np.array_equal(vector, features.astype(np.float64))


def test_bad_pictures_have_the_job_s_reasons(rows: dict[str, Any], finished_run: FinishedRun) -> None:
    errors = pq.read_table(finished_run.folder / "errors.parquet").to_pylist()
    # Spark's binaryFile leaves out a file of no bytes.
    wanted = {row["path"]: f"{row['reason']}: {row['detail']}" for row in errors if row["reason"] != "empty"}
    assert {name: row["error"] for name, row in rows.items() if row["features"] is None} == wanted
    assert wanted


def test_in_a_pipeline_before_pca_it_is_saved_and_loaded_with_its_network(
    spark: Any, finished_run: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyspark.ml import Pipeline, PipelineModel
    from pyspark.ml.feature import PCA

    pictures = pictures_in(spark, finished_run.images / "Odd ones")
    stages = [small(handleInvalid="skip"), PCA(k=3, inputCol="features", outputCol="pca")]
    model = Pipeline(stages=stages).fit(pictures)
    model.write().overwrite().save(str(tmp_path / "model"))
    with monkeypatch.context() as patch:
        # The weights are gone: what is loaded has them with it.
        patch.setattr("pipeline.spark_ml.featurizer.find_weights", lambda _: pytest.fail("looked for weights"))
        loaded = PipelineModel.load(str(tmp_path / "model"))
        first, second = (rows_of(one.transform(pictures)) for one in (model, loaded))
    assert first == second
    assert len(first) == len(ODD)
    assert all(np.abs(row["features"].toArray()).max() > 0 for row in first.values())


def rows_of(frame: Any) -> dict[str, Any]:
    """Each picture's row, by its path."""
    return {row["path"]: row for row in frame.select("path", "features", "pca").collect()}


def test_a_saved_network_that_was_changed_is_refused(spark: Any, tmp_path: Path) -> None:
    small().write().save(str(tmp_path / "saved"))
    with pytest.raises(Exception, match=r"(?i)already exists"):
        small().write().save(str(tmp_path / "saved"))
    small().write().overwrite().save(str(tmp_path / "saved"))
    (metadata,) = (tmp_path / "saved" / "metadata").glob("part-*")
    told = json.loads(metadata.read_text())
    told["networkSha256"] = "0" * 64
    metadata.write_text(json.dumps(told))
    (tmp_path / "saved" / "metadata" / f".{metadata.name}.crc").unlink()
    with pytest.raises(InputError, match="is not the one that its metadata tell; save it again"):
        MobileNetV2Featurizer.load(str(tmp_path / "saved"))


def test_a_save_is_refused_as_a_whole_and_one_that_broke_is_said_and_can_be_repeated(
    spark: Any, tmp_path: Path
) -> None:
    from pyspark.ml import PipelineModel

    saved = tmp_path / "saved"
    PipelineModel(stages=[]).write().save(str(saved))
    (saved / "stages").mkdir()
    with pytest.raises(Exception, match=r"(?i)already exists"):
        small().write().save(str(saved))
    assert not (saved / "network").exists()
    small().write().overwrite().save(str(saved))
    assert {entry.name for entry in saved.iterdir()} == {"metadata", "network"}
    shutil.rmtree(saved / "network")
    with pytest.raises(InputError, match=r"There is no whole network at .*saved; save it again, with overwrite\(\)"):
        MobileNetV2Featurizer.load(str(saved))
    small().write().overwrite().save(str(saved))
    assert MobileNetV2Featurizer.load(str(saved)).network().constants == small().network().constants


def test_the_network_is_broadcast_once_however_often_it_is_used(
    spark: Any, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broadcast: list[int] = []
    context = spark.sparkContext
    send = context.broadcast
    monkeypatch.setattr(context, "broadcast", lambda value: broadcast.append(len(value)) or send(value))
    featurizer = small(outputCol="vector", errorCol="why")
    for _ in range(2):
        made = featurizer.transform(pictures_in(spark, images)).drop("content")
        assert [(len(row["vector"]), row["why"]) for row in made.collect()] == [(1280, None)] * 3
    assert len(broadcast) == 1
    assert broadcast[0] > 8_000_000


def test_a_step_after_it_knows_how_many_features_there_are_and_runs_nothing(spark: Any, images: Path) -> None:
    from pyspark.ml.feature import VectorAssembler

    frame = small().transform(pictures_in(spark, images)).drop("content")
    spark.sparkContext.setJobGroup("assembling", "")
    try:
        assembled = VectorAssembler(inputCols=["length", "features"], outputCol="all").transform(frame)
        assert list(spark.sparkContext.statusTracker().getJobIdsForGroup("assembling")) == []
    finally:
        spark.sparkContext.setLocalProperty("spark.jobGroup.id", None)
    assert [len(row["all"]) for row in assembled.collect()] == [1281] * 3


def test_columns_are_told_apart_as_spark_does(spark: Any, images: Path) -> None:
    pictures = pictures_in(spark, images).withColumnRenamed("content", "Content")
    assert small().transform(pictures).columns[-3:] == ["Content", "features", "error"]
    taken = pictures.withColumnRenamed("path", "Features")
    with pytest.raises(InputError, match="A column features is there already"):
        small().transform(taken)
    spark.conf.set("spark.sql.caseSensitive", "true")
    try:
        assert small(inputCol="Content").transform(taken).select("features").columns == ["features"]
    finally:
        spark.conf.unset("spark.sql.caseSensitive")


# As on a cluster.
ENCRYPTED = "master('local[2]')" + "".join(
    f".config('spark.{name}', 'true')" for name in ("authenticate", "network.crypto.enabled", "io.encryption.enabled")
)
FEATURES = """
import sys
sys.path.insert(0, {checkout!r})
from pyspark.sql import SparkSession
spark = SparkSession.builder.{session}.getOrCreate()
from pipeline.spark_ml import MobileNetV2Featurizer
featurizer = MobileNetV2Featurizer(weights="random", imageSize=64, handleInvalid="skip")
pictures = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load({images!r})
featurizer.transform(pictures).select("path", "features").write.parquet({output!r})
"""
AND_A_PIPELINE = """
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.feature import PCA
model = Pipeline(stages=[featurizer, PCA(k=2, inputCol="features", outputCol="pca")]).fit(pictures)
model.write().save({output!r} + "-model")
loaded = PipelineModel.load({output!r} + "-model").transform(pictures)
assert loaded.where("pca is not null").count() == 12
for _ in range(2):
    featurizer.write().overwrite().save({output!r} + "-alone")
assert MobileNetV2Featurizer.load({output!r} + "-alone").network().constants == featurizer.network().constants
"""


@pytest.mark.parametrize(
    ("session", "words"),
    [("remote('local[2]')", FEATURES + AND_A_PIPELINE), (ENCRYPTED, FEATURES)],
    ids=["Spark Connect", "a session of its own"],
)
def test_from_any_folder_and_through_spark_connect_features_are_the_job_s(
    session: str, words: str, finished_run: FinishedRun, tmp_path: Path
) -> None:
    (folder,) = finished_run.images.glob("Apple Red")
    words = words.format(checkout=str(ROOT), session=session, images=str(folder), output=str(tmp_path / "out"))
    # Nothing leads the workers to the checkout: no PYTHONPATH, and another working directory.
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(Path.home()), "PYSPARK_PYTHON": sys.executable}
    # Spark's own word for a server of its own on any free port: others on this machine have the usual one.
    environment["SPARK_TESTING"] = "1"
    done = subprocess.run(
        [sys.executable, "-c", words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    made, wanted = pq.read_table(tmp_path / "out"), run_features(finished_run.folder)
    assert made.num_rows == 12
    for path, vector in zip(made["path"].to_pylist(), made["features"].to_pylist(), strict=True):
        assert np.array_equal(np.array(vector["values"]), wanted[key_of(path, finished_run.images)])


def test_the_example_of_the_docs_fits_saves_and_loads_a_pipeline(finished_run: FinishedRun, tmp_path: Path) -> None:
    ours = {"PYTHONPATH": str(ROOT), "PYSPARK_PYTHON": sys.executable, "ORCHARD_OUTPUT": f"file:{tmp_path}/output"}
    (folder,) = finished_run.images.glob("Apple Red")
    words = ["--pictures", f"file:{folder}", "--weights", "random", "--components", "3"]
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "examples" / "featurizer.py", *words],
        cwd=tmp_path,
        env={**os.environ, **ours},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "3 components explain" in done.stdout
    made = pq.read_table(tmp_path / "output" / "features")
    assert made.num_rows == 12
    assert set(made["label"].to_pylist()) == {"Apple Red"}
    assert (tmp_path / "output" / "model" / "metadata" / "_SUCCESS").exists()
