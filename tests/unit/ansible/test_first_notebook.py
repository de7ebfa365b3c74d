"""The notebook that the cluster's JupyterLab opens with, run cell by cell over a run folder."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot

from pipeline.run_folder.layout import feature_key, pca_key
from pipeline.run_folder.parts import FeaturePart, encode_features, vector_table
from pipeline.run_folder.record import COMPLETE, TOO_MANY_BAD, RunRecord
from pipeline.storage.opening import open_storage
from pipeline.storage.parquet import parquet_bytes

NOTEBOOK = Path(__file__).resolve().parents[3] / "ansible" / "roles" / "jupyter" / "files" / "first_look.ipynb"
PATHS = ["apple/1.jpg", "apple/2.jpg", "pear/1.jpg"]
LABELS = ["apple", "apple", "pear"]


def write_run(runs: Path, name: str, ended_at: str, status: str = COMPLETE) -> None:
    """A run of two parts of three pictures each, as the job leaves it."""
    (runs / name).mkdir(parents=True)
    run = open_storage(str(runs / name))
    numbers = np.random.default_rng(1)
    for task in range(2):
        features = vector_table(PATHS, LABELS, "features", numbers.random((3, 1280), np.float32))
        run.write(feature_key(task), encode_features(FeaturePart(features, [], 3)))
        projection = vector_table(PATHS, LABELS, "pca", numbers.random((3, 2), np.float32))
        run.write(pca_key(task), parquet_bytes(projection, dictionary=["label"]))
    RunRecord(
        run_id=name,
        status=status,
        exit_status=0,
        settings={},
        weights="random",
        master="local[2]",
        counts={"features": 6},
        explained_variance_ratio=[0.5, 0.25],
        ended_at=ended_at,
        parts=[{"task": 0}, {"task": 1}],
    ).write(run)


@pytest.fixture
def open_notebook(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[], dict[str, Any]]]:
    """Runs the notebook's cells, but for those that need Spark, over this folder of runs; returns what they defined."""
    pyplot.switch_backend("agg")
    monkeypatch.setattr(pyplot, "show", lambda: None)
    monkeypatch.setenv("ORCHARD_RUNS", str(tmp_path))

    def run() -> dict[str, Any]:
        defined: dict[str, Any] = {}
        for cell in json.loads(NOTEBOOK.read_text())["cells"]:
            if cell["cell_type"] == "code" and "spark" not in cell["metadata"].get("tags", []):
                exec(compile("".join(cell["source"]), cell["id"], "exec"), defined)  # noqa: S102  # our own notebook
        return defined

    yield run
    pyplot.close("all")


def axes_labels() -> list[tuple[str, str]]:
    """The axes of every figure that is open."""
    figures = map(pyplot.figure, pyplot.get_fignums())
    return [(axes.get_xlabel(), axes.get_ylabel()) for figure in figures for axes in figure.axes]


def test_it_opens_the_newest_complete_run(
    open_notebook: Callable[[], dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path, "older", "2026-01-01T10:00:00+00:00")
    write_run(tmp_path, "newer", "2026-01-02T10:00:00+00:00")
    write_run(tmp_path, "failed", "2026-01-03T10:00:00+00:00", status=TOO_MANY_BAD)
    defined = open_notebook()
    assert capsys.readouterr().out.startswith("newer: 6 pictures")
    assert defined["features"].shape == (6, 1280)
    assert defined["points"]["label"].value_counts().to_dict() == {"apple": 4, "pear": 2}
    assert axes_labels() == [("component", "share of variance"), ("", "cumulated"), ("pc1", "pc2")]


def test_without_a_run_it_says_how_to_start_one(open_notebook: Callable[[], dict[str, Any]]) -> None:
    with pytest.raises(SystemExit, match=r"There is no complete run in .* yet: start one with `make run`"):
        open_notebook()
