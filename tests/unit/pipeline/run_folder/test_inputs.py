"""pipeline.run_folder.inputs, and runs of format 1, whose list was one table."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.job.run import run
from pipeline.pictures.spool import SPOOL_SCHEMA
from pipeline.progress import Narrator
from pipeline.run_folder import inputs
from pipeline.run_folder.check import check_run
from pipeline.run_folder.inputs import class_counts, in_parts, read_list, read_rows, rows_at, write_list
from pipeline.run_folder.part_records import read_parts
from pipeline.run_folder.record import read_record
from pipeline.run_folder.report import render
from pipeline.settings import RunSettings
from pipeline.storage.local import LocalStorage
from tests.unit.pipeline.run_of_format_1 import to_format_1
from tests.unit.pipeline.without_spark import PICTURES, folder_of, request_of, without_spark

SETTINGS = RunSettings("/pictures", "f00", limit=3)


def tasks_of(*counts: int) -> list[pa.Table]:
    names = (f"{number:03d}.jpg" for number in range(sum(counts)))
    return [
        pa.table([[next(names) for _ in range(count)], ["a"] * count, [10] * count], schema=SPOOL_SCHEMA)
        for count in counts
    ]


@pytest.fixture
def folder(tmp_path: Path) -> LocalStorage:
    return LocalStorage.at(str(tmp_path / "run"))


def test_each_task_s_rows_are_a_row_group_of_a_part(folder: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "PART_ROWS", 10)
    tasks = tasks_of(4, 7, 1, 20, 3)
    stored = write_list(folder, tasks, 35, Counter(a=35), SETTINGS, "Xeon")
    assert [(task.part, task.row_group, task.rows, task.bytes) for task in stored.tasks] == [
        (0, 0, 4, 40), (0, 1, 7, 70), (1, 0, 1, 10), (1, 1, 20, 200), (2, 0, 3, 30)
    ]  # fmt: skip
    assert read_list(folder) == stored
    assert (stored.settings, stored.processor, stored.rows, stored.classes) == (SETTINGS.as_json(), "Xeon", 35, 1)
    assert [rows_at(folder, place) for place in stored.tasks] == tasks
    parts = sorted((folder.root / "inputs").iterdir())
    assert pq.ParquetDataset(parts).read()["path"].to_pylist() == [f"{number:03d}.jpg" for number in range(35)]
    assert class_counts(folder, stored) == {"a": 35}


def test_the_index_is_written_when_all_else_is_there(folder: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    write = LocalStorage.write

    def noted(storage: LocalStorage, key: str, data: bytes) -> None:
        written.append(key)
        write(storage, key, data)

    monkeypatch.setattr(LocalStorage, "write", noted)
    write_list(folder, tasks_of(1), 1, Counter(a=1), SETTINGS)
    assert written == ["inputs/part-00000.parquet", "classes.parquet", "inputs.parquet"]


def test_a_list_of_a_later_format_is_not_guessed_at(folder: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as later:
        later.setattr(inputs, "FORMAT", 3)
        write_list(folder, tasks_of(1), 1, Counter(a=1), SETTINGS)
    with pytest.raises(ValueError, match="it is of format 3, and this version of Orchard knows 2 at most"):
        read_list(folder)


@pytest.fixture
def old_run(whole_run: Path, tmp_path: Path) -> Path:
    """A run as version 1 left it."""
    shutil.copytree(whole_run, tmp_path / "old")
    to_format_1(tmp_path / "old")
    return tmp_path / "old"


def test_a_run_of_version_1_is_read_and_checked_as_before(old_run: Path, whole_run: Path) -> None:
    old, new = LocalStorage.at(str(old_run)), LocalStorage.at(str(whole_run))
    record = read_record(old)
    assert (record.format, record.tasks) == (1, read_record(new).tasks)
    assert check_run(old) == check_run(old, is_quick=True) == []
    assert [(part.rows, part.features) for part in read_parts(old, record)] == [
        (part.rows, part.features) for part in read_parts(new, read_record(new))
    ]
    stored = read_list(old)
    assert [place.rows for place in stored.tasks] == [place.rows for place in read_list(new).tasks]
    assert class_counts(old, stored) == class_counts(new, read_list(new))
    assert 'data-label="Apple"' in render(old, record)
    (old_run / "features" / "part-00001.parquet").unlink()
    assert any("A part of task 1 cannot be read" in fault for fault in check_run(old))


def test_the_list_of_version_1_is_put_into_parts_for_the_workers_and_stays(old_run: Path) -> None:
    old = LocalStorage.at(str(old_run))
    before = (old_run / "inputs.parquet").read_bytes()
    stored = read_list(old)
    again = in_parts(old, stored)
    for place in again.tasks:
        assert rows_at(old, place) == read_rows(old, stored, place.task).select(SPOOL_SCHEMA.names)
    assert (old_run / "inputs.parquet").read_bytes() == before


@pytest.fixture
def no_spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pytest.MonkeyPatch]:
    with without_spark(tmp_path_factory.mktemp("network")) as patch:
        yield patch


@pytest.mark.usefixtures("no_spark")
def test_a_run_that_version_1_began_is_gone_on_with(tmp_path: Path, narrator: Narrator) -> None:
    request = request_of(tmp_path)
    run(request, narrator)
    folder = folder_of(request)
    whole = {part.name: part.read_bytes() for part in (folder / "features").iterdir()}
    to_format_1(folder)
    (folder / "run.json").unlink()
    lost = folder / "features" / "part-00001.parquet"
    lost.unlink()
    record = run(request_of(tmp_path, resume=True), narrator)
    assert (record.status, record.format) == ("complete", 2)
    assert (record.settings["decode"], record.settings["orientation"]) == ("exact", "stored")
    assert 0 < record.counts["kept"] < PICTURES
    assert {part.name: part.read_bytes() for part in (folder / "features").iterdir()} == whole
    assert check_run(LocalStorage.at(str(folder))) == []
    assert "parts" not in json.loads((folder / "run.json").read_text())
