"""Run folders, fetched and compared."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from pipeline.run_folder.parts import vectors_of
from tests.job.conftest import Bucket, Orchard


def fetched(bucket: Bucket, run_id: str, orchard: Orchard, folder: Path) -> Path:
    """The folder into which this run of the bucket was downloaded."""
    ended = orchard("download", f"{bucket.uri}/runs/{run_id}", folder, **bucket.environment)
    assert ended.code == 0, ended.err
    return folder


def record(folder: Path) -> dict[str, Any]:
    """What run.json says."""
    content: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return content


def assert_same_rows(folder: Path, local: Path) -> None:
    """Features bit by bit, errors, and projections but for the order in which sums were taken."""
    assert pq.read_table(folder / "features").equals(pq.read_table(local / "features"))
    assert pq.read_table(folder / "errors.parquet").equals(pq.read_table(local / "errors.parquet"))
    ours, theirs = (pq.read_table(run / "pca") for run in (folder, local))
    assert ours.select(["path", "label"]).equals(theirs.select(["path", "label"]))
    wanted = vectors_of(theirs, "pca")
    assert np.abs(vectors_of(ours, "pca") - wanted).max() < 1e-5 * np.abs(wanted).max()
    assert len((folder / "pca.csv").read_text().splitlines()) == ours.num_rows + 1
