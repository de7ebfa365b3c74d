"""pipeline.run_folder.csv_files."""

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from pipeline.run_folder import csv_files
from pipeline.run_folder.csv_files import MOST_ROWS, csv_kind, csv_part, csv_rows, delete_csv, rows_of_csv, write_csv
from pipeline.run_folder.layout import CSV_KEY, csv_key, pca_key
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


@pytest.mark.parametrize(
    ("asked", "rows", "kind"),
    [
        ("", MOST_ROWS, "one"),
        ("", MOST_ROWS + 1, "parts"),
        ("one", MOST_ROWS + 1, "one"),
        ("parts", 1, "parts"),
        ("none", 1, "none"),
    ],
)
def test_one_file_is_written_as_long_as_it_can_be_opened_or_what_is_asked(asked: str, rows: int, kind: str) -> None:
    assert csv_kind(asked, rows) == kind


def test_parts_together_have_the_rows_of_the_one_file_and_are_always_the_same_bytes(tmp_path: Path) -> None:
    folder = LocalStorage.at(str(tmp_path))
    rows = np.arange(12, dtype=np.float32).reshape(6, 2)
    tables = [
        vector_table([f"{name}.jpg" for name in names], ["a,b"] * len(names), "pca", rows[: len(names)])
        for names in ("abc", "", "d")
    ]
    for task, table in enumerate(tables):
        folder.write(pca_key(task), parquet_bytes(table))
    write_csv(folder, 3, 2)
    parts = [csv_part(table, 2) for table in tables]
    assert parts == [csv_part(table, 2) for table in tables]
    header, *lines = (tmp_path / CSV_KEY).read_text().splitlines()
    read = [gzip.decompress(part).decode().splitlines() for part in parts]
    assert [part[0] for part in read] == [header] * 3 == ["path,label,pc1,pc2"] * 3
    assert [line for part in read for line in part[1:]] == lines
    assert parts[0][4:8] == bytes(4), "no time"


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_rows_are_counted_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    (tmp_path / CSV_KEY).write_bytes(b'path,label\n"a\n""b""\n",x\n"c",y\n')
    monkeypatch.setattr(csv_files, "_PIECE_BYTES", size)
    assert rows_of_csv(LocalStorage.at(str(tmp_path))) == 2
    assert csv_rows([]) == 0


@pytest.mark.parametrize(("kept", "left"), [("one", ["pca.csv"]), ("parts", ["part-00000.csv.gz"]), ("none", [])])
def test_the_csv_of_an_attempt_that_was_asked_for_another_kind_is_taken_away(
    tmp_path: Path, kept: str, left: list[str]
) -> None:
    folder = LocalStorage.at(str(tmp_path))
    for key in (CSV_KEY, csv_key(0)):
        folder.write(key, b"x")
    delete_csv(folder, kept)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == left
