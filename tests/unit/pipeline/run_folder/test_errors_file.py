"""pipeline.run_folder.errors_file."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.run_folder import errors_file
from pipeline.run_folder.errors_file import counted_reasons, first_errors, gather_errors
from pipeline.run_folder.layout import feature_key
from pipeline.run_folder.parts import FeaturePart, PictureError, encode_features, vector_table
from pipeline.storage.local import LocalStorage


@pytest.fixture
def folder(tmp_path: Path) -> LocalStorage:
    return LocalStorage.at(str(tmp_path))


def written(folder: LocalStorage, task: int, errors: int) -> tuple[int, int]:
    """A part of two good pictures and so many bad ones; its task and bytes."""
    bad = [PictureError(f"{task}/{row}.jpg", "empty" if row % 2 else "truncated", "0 bytes") for row in range(errors)]
    table = vector_table(["a", "b"], ["x", "x"], "features", np.ones((2, 5000), np.float32))
    data = encode_features(FeaturePart(table, bad, errors + 2))
    folder.write(feature_key(task), data)
    return task, len(data)


def test_errors_are_gathered_in_the_list_s_order_and_from_footers_alone(
    folder: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [written(folder, task, 9) for task in range(20)]
    monkeypatch.setattr(errors_file, "_ROWS_AT_ONCE", 40)
    monkeypatch.setattr(LocalStorage, "read", lambda *_: pytest.fail("a whole part was read"))
    gather_errors(folder, tasks)
    table = pq.read_table(folder.root / "errors.parquet")
    assert table["path"].to_pylist() == [f"{task}/{row}.jpg" for task in range(20) for row in range(9)]
    assert table.schema.names == ["path", "reason", "detail"]
    assert counted_reasons(folder) == {"truncated": 100, "empty": 80}
    assert [row["path"] for row in first_errors(folder, 3)] == ["0/0.jpg", "0/1.jpg", "0/2.jpg"]


def test_without_errors_there_is_an_empty_file(folder: LocalStorage) -> None:
    gather_errors(folder, [])
    assert pq.read_table(folder.root / "errors.parquet").num_rows == 0
    assert (counted_reasons(folder), first_errors(folder, 3)) == ({}, [])
