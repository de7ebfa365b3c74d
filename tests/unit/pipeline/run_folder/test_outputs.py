"""pipeline.run_folder.outputs."""

import csv
from pathlib import Path

import numpy as np
import pytest

from pipeline.run_folder.layout import CSV_KEY, pca_key
from pipeline.run_folder.outputs import count_attempt, csv_rows, write_csv
from pipeline.run_folder.parts import vector_table
from pipeline.storage.local import LocalStorage
from pipeline.storage.parquet import parquet_bytes


def test_attempts_are_counted_from_the_second_on(tmp_path: Path) -> None:
    folder = LocalStorage.at(str(tmp_path))
    assert [count_attempt(folder) for _ in range(3)] == [2, 3, 4]
    assert (tmp_path / "attempts.json").read_text() == '{"attempts": 4}'


@pytest.mark.parametrize("content", ["", "[]", '{"attempts": null}', "{}"])
def test_a_count_that_somebody_spoilt_stops_no_run(tmp_path: Path, content: str) -> None:
    (tmp_path / "attempts.json").write_text(content)
    assert count_attempt(LocalStorage.at(str(tmp_path))) == 2


def test_a_name_that_a_spreadsheet_would_take_for_a_formula_stays_text(tmp_path: Path) -> None:
    folder = LocalStorage.at(str(tmp_path))
    names = [
        "=HYPERLINK(1).jpg",
        "+1.jpg",
        "-1.jpg",
        "@SUM.jpg",
        "\tx.jpg",
        "\rx.jpg",
        "\uff1d1.jpg",
        "'x.jpg",
        "a=1.jpg",
        'a\n"b"\n.jpg',
    ]
    table = vector_table(names, [f"={name}" for name in names], "pca", np.zeros((len(names), 1), np.float32))
    folder.write(pca_key(0), parquet_bytes(table))
    write_csv(folder, 1, 1)
    assert csv_rows((tmp_path / CSV_KEY).read_bytes()) == len(names)
    with (tmp_path / CSV_KEY).open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    assert [row[0] for row in rows] == [f"'{name}" for name in names[:8]] + names[8:]
    assert [row[1] for row in rows] == [f"'={name}" for name in names]
