"""The notebook that the cluster's JupyterLab opens with, run cell by cell over a run folder."""

from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

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
def opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Runs the notebook, but for the cells that need Spark, with this folder of runs; returns its cells by name."""

    def run() -> dict[str, Any]:
        monkeypatch.setenv("ORCHARD_RUNS", str(tmp_path))
        notebook = nbformat.read(NOTEBOOK, as_version=4)
        notebook.cells = [cell for cell in notebook.cells if "spark" not in cell.metadata.get("tags", [])]
        NotebookClient(notebook, kernel_name="python3", timeout=120).execute()
        return {cell.id: cell for cell in notebook.cells}

    return run


def pictures(cell: Any) -> int:
    return sum("image/png" in output.get("data", {}) for output in cell.outputs)


def test_it_opens_the_newest_complete_run(opened: Any, tmp_path: Path) -> None:
    write_run(tmp_path, "older", "2026-01-01T10:00:00+00:00")
    write_run(tmp_path, "newer", "2026-01-02T10:00:00+00:00")
    write_run(tmp_path, "failed", "2026-01-03T10:00:00+00:00", status=TOO_MANY_BAD)
    cells = opened()
    assert cells["open"].outputs[0].text.startswith("newer: 6 pictures")
    assert "<p>6 rows" in cells["features"].outputs[0].data["text/html"]
    assert (pictures(cells["scree"]), pictures(cells["map"])) == (1, 1)


def test_without_a_run_it_says_how_to_start_one(opened: Any, tmp_path: Path) -> None:
    with pytest.raises(CellExecutionError, match=r"There is no complete run in .* yet: start one with `make run`"):
        opened()
