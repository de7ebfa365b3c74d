"""A whole run on this machine, by the command line: what is in the run folder, and what other programs make of it."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from scipy.linalg import subspace_angles

from pipeline.run_folder.parts import vectors_of
from pipeline.run_folder.record import RANDOM_ALARM
from tests.job.conftest import COMPONENTS, GOOD, SMALL, Ended, FinishedRun, Orchard
from tests.pictures import BROKEN, ODD


def record(run: FinishedRun) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run.folder / "run.json").read_text())
    return content


def test_every_listed_picture_is_in_exactly_one_of_features_and_errors(finished_run: FinishedRun) -> None:
    listed = pq.read_table(finished_run.folder / "inputs")["path"].to_pylist()
    good = pq.read_table(finished_run.folder / "features")["path"].to_pylist()
    bad = pq.read_table(finished_run.folder / "errors.parquet")["path"].to_pylist()
    assert sorted(good + bad) == listed == sorted(set(listed))
    assert len(good) == GOOD


def test_broken_pictures_are_error_rows_with_their_reasons(finished_run: FinishedRun) -> None:
    rows = pq.read_table(finished_run.folder / "errors.parquet").to_pylist()
    assert {row["path"]: row["reason"] for row in rows} == {
        f"Odd ones/{name}": reason for name, (_, reason) in BROKEN.items()
    }
    assert all(row["detail"] for row in rows)


def test_features_are_labelled_lists_of_1280_floats(finished_run: FinishedRun) -> None:
    parts = sorted((finished_run.folder / "features").iterdir())
    assert [part.name for part in parts] == [f"part-{number:05d}.parquet" for number in range(len(parts))]
    table = pq.read_table(parts[0])
    assert str(table.schema.field("features").type) == "list<element: float>"
    assert {len(row) for row in table["features"].to_pylist()} == {1280}
    assert table["label"].to_pylist() == [path.split("/")[0] for path in table["path"].to_pylist()]
    assert pq.ParquetFile(parts[0]).metadata.row_group(0).column(2).compression == "ZSTD"


def test_pandas_and_duckdb_read_the_parts(finished_run: FinishedRun) -> None:
    assert len(pd.read_parquet(finished_run.folder / "features")) == GOOD
    query = f"select count(*), min(len(pca)), max(len(pca)) from '{finished_run.folder}/pca/*.parquet'"  # noqa: S608
    assert duckdb.sql(query).fetchall() == [(GOOD, COMPONENTS, COMPONENTS)]


def test_the_csv_has_one_row_a_picture_in_the_list_s_order(finished_run: FinishedRun) -> None:
    with (finished_run.folder / "pca.csv").open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["path", "label", *(f"pc{number}" for number in range(1, COMPONENTS + 1))]
    listed = pq.read_table(finished_run.folder / "inputs")["path"].to_pylist()
    bad = {f"Odd ones/{name}" for name in BROKEN}
    assert [row[0] for row in rows] == [path for path in listed if path not in bad]
    wanted = vectors_of(pq.read_table(finished_run.folder / "pca"), "pca")
    assert np.array_equal(np.array([row[2:] for row in rows], np.float32), wanted)


def test_spark_loads_the_model_and_its_transform_is_ours_plus_the_mean(finished_run: FinishedRun, spark: Any) -> None:
    from pyspark.ml.feature import PCAModel
    from pyspark.ml.functions import array_to_vector

    model = PCAModel.load((finished_run.folder / "pca_model").as_uri())
    mean = np.array(json.loads((finished_run.folder / "pca_model" / "mean.json").read_text())["mean"])
    assert np.allclose(model.explainedVariance.toArray(), record(finished_run)["explained_variance_ratio"])
    rows = spark.read.parquet((finished_run.folder / "features").as_uri())
    theirs = model.transform(rows.withColumn("features", array_to_vector("features"))).orderBy("path")
    output = np.array([row[0].toArray() for row in theirs.select(model.getOutputCol()).collect()])
    ours = pq.read_table(finished_run.folder / "pca").sort_by("path")
    wanted = vectors_of(ours, "pca")
    assert np.abs(output - mean @ model.pc.toArray() - wanted).max() < 1e-4 * np.abs(wanted).max()


def test_spark_s_own_fit_spans_the_same_components(finished_run: FinishedRun, spark: Any) -> None:
    from pyspark.ml.feature import PCA as SparkPCA  # noqa: N811
    from pyspark.ml.feature import PCAModel
    from pyspark.ml.functions import array_to_vector

    rows = spark.read.parquet((finished_run.folder / "features").as_uri())
    theirs = SparkPCA(k=5, inputCol="v", outputCol="p").fit(rows.select(array_to_vector("features").alias("v")))
    ours = PCAModel.load((finished_run.folder / "pca_model").as_uri()).pc.toArray()[:, :5]
    assert subspace_angles(theirs.pc.toArray(), ours).max() < 1e-4


def test_run_json_says_what_ran(finished_run: FinishedRun) -> None:
    content = record(finished_run)
    assert content["status"] == "complete"
    assert content["counts"] == {"listed": GOOD + len(BROKEN), "features": GOOD, "errors": len(BROKEN), "kept": 0}
    assert re.fullmatch(r"[0-9a-f]{64}", content["settings"]["weights_sha256"])
    assert {"list", "network", "spark", "features", "pca_fit", "projection", "csv", "report", "total"} <= set(
        content["seconds"]
    )
    assert content["attempts"] == 1
    assert content["seconds"]["total"] > content["seconds"]["features"] > 0
    assert 100e6 < content["worker_peak_bytes"] < 2**30
    assert {"python", "pyspark", "openvino"} <= set(content["versions"])


def test_the_summary_names_counts_and_report(finished_run: FinishedRun) -> None:
    lines = finished_run.ended.out.splitlines()
    assert lines[0] == RANDOM_ALARM
    assert lines[1] == f"Run whole: {GOOD} of {GOOD + len(BROKEN)} pictures have features."
    assert lines[-1] == f"Report: {finished_run.folder}/report.html"
    assert "WARN" not in finished_run.ended.err
    assert "Traceback" not in finished_run.ended.err


def test_the_report_needs_no_network_and_names_every_class(finished_run: FinishedRun) -> None:
    page = (finished_run.folder / "report.html").read_text()
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page)
    for row in pq.read_table(finished_run.folder / "inputs")["label"].unique().to_pylist():
        assert f'data-label="{row}"' in page
    assert "bomb.png" in page
    assert "data:image/jpeg;base64," in page


def test_the_report_can_be_written_again(finished_run: FinishedRun, orchard: Orchard) -> None:
    before = (finished_run.folder / "report.html").read_text()
    (finished_run.folder / "report.html").unlink()
    assert orchard("report", finished_run.folder).code == 0
    assert (finished_run.folder / "report.html").read_text().count("data-label") == before.count("data-label")


def test_a_whole_run_passes_the_check(finished_run: FinishedRun, orchard: Orchard) -> None:
    assert orchard("check", finished_run.folder) == Ended(0, f"{finished_run.folder} is whole.\n", "")


def test_too_many_bad_pictures_end_with_20_and_a_higher_share_goes_on_from_there(
    mixed_pictures: Path, orchard: Orchard, tmp_path: Path
) -> None:
    words = (
        "run", "--images", mixed_pictures, "--output", tmp_path, "--run-id", "again", *SMALL,
        "--no-report", "--classes", "Odd ones", "--components", "3",
    )  # fmt: skip
    ended = orchard(*words)
    assert ended.code == 20
    # The reasons by their number; of those with one number any may be first.
    assert ended.err.splitlines()[-1].startswith(
        f"orchard: {len(BROKEN)} of {len(ODD) + len(BROKEN)} pictures could not be read (4 not an image, 2 "
    )
    assert "more than --max-bad 0.1 allows" in ended.err
    assert json.loads((tmp_path / "again" / "run.json").read_text())["exit_status"] == 20
    checked = orchard("check", tmp_path / "again")
    assert checked.code == 23
    assert "The run ended as 'too many bad pictures'" in checked.out
    resumed = orchard(*words, "--resume", "--max-bad", "0.6")
    assert resumed.code == 0, resumed.err
    assert f"{len(ODD)} of {len(ODD) + len(BROKEN)} pictures have features" in resumed.out
