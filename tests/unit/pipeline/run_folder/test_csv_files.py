"""pipeline.run_folder.csv_files."""

import csv
from pathlib import Path

import numpy as np

from pipeline.run_folder.csv_files import rows_of_csv, write_csv
from pipeline.run_folder.layout import CSV_KEY, pca_key
from pipeline.run_folder.parts import vector_table
from pipeline.storage.local import LocalStorage
from pipeline.storage.parquet import parquet_bytes


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
    assert rows_of_csv(folder) == len(names)
    with (tmp_path / CSV_KEY).open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    assert [row[0] for row in rows] == [f"'{name}" for name in names[:8]] + names[8:]
    assert [row[1] for row in rows] == [f"'={name}" for name in names]
