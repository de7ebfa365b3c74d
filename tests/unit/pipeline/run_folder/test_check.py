"""pipeline.run_folder.check finds what is wrong with a run: each fault is made on a copy of a whole one."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.run_folder import check
from pipeline.run_folder.check import check_run
from pipeline.run_folder.inputs import class_counts, read_list, read_rows, write_list
from pipeline.settings import RunSettings
from pipeline.storage.local import LocalStorage
from pipeline.storage.opening import open_storage
from tests.unit.pipeline.without_spark import PICTURES

BAD = 2
GOOD = PICTURES - BAD


def drop_a_feature_part(run: Path) -> None:
    (run / "features" / "part-00001.parquet").unlink()


def cut_a_feature_part(run: Path) -> None:
    part = run / "features" / "part-00001.parquet"
    part.write_bytes(part.read_bytes()[:-100])


def swap_two_projections(run: Path) -> None:
    (run / "pca" / "part-00000.parquet").rename(run / "keep")
    (run / "pca" / "part-00001.parquet").rename(run / "pca" / "part-00000.parquet")
    (run / "keep").rename(run / "pca" / "part-00001.parquet")


def lose_an_error(run: Path) -> None:
    table = pq.read_table(run / "errors.parquet")
    pq.write_table(table.slice(1), run / "errors.parquet")


def lose_a_csv_row(run: Path) -> None:
    lines = (run / "pca.csv").read_text().splitlines(keepends=True)
    (run / "pca.csv").write_text("".join(lines[:-1]))


def change_the_mean(run: Path) -> None:
    stored = json.loads((run / "pca_model" / "mean.json").read_text())
    stored["mean"][0] += 0.5
    (run / "pca_model" / "mean.json").write_text(json.dumps(stored))


def drop_the_model(run: Path) -> None:
    shutil.rmtree(run / "pca_model")


def drop_the_errors(run: Path) -> None:
    (run / "errors.parquet").unlink()


def cut_the_errors(run: Path) -> None:
    (run / "errors.parquet").write_bytes(b"PAR1")


def drop_the_list(run: Path) -> None:
    (run / "inputs.parquet").unlink()


def break_the_record(run: Path) -> None:
    (run / "run.json").write_text('{"run_id": "r", "unknown": 1}')


def list_one_more(run: Path) -> None:
    storage = LocalStorage.at(str(run))
    stored = read_list(storage)
    tasks = [read_rows(storage, stored, task.task) for task in stored.tasks]
    tasks[-1] = pa.concat_tables([tasks[-1], tasks[-1].slice(tasks[-1].num_rows - 1)])
    counts = class_counts(storage, stored)
    write_list(storage, tasks, stored.rows + 1, counts, RunSettings(**stored.settings), stored.processor)


def drop_a_part_of_the_list(run: Path) -> None:
    (run / "inputs" / "part-00000.parquet").unlink()


def drop_the_table_of_parts(run: Path) -> None:
    (run / "parts.parquet").unlink()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (drop_a_feature_part, "A part of task 1 cannot be read"),
        (cut_a_feature_part, "features/part-00001.parquet has changed since the run."),
        (swap_two_projections, "pca/part-00000.parquet has other rows than features/part-00000.parquet."),
        (
            lose_an_error,
            f"Counts differ: {GOOD + BAD} listed, {GOOD} in the parts, {BAD - 1} in errors.parquet.",
        ),
        (lose_a_csv_row, f"pca.csv has {GOOD - 1} rows, the parts have {GOOD}."),
        (change_the_mean, "The mean beside pca_model is not the mean of the features."),
        (drop_the_errors, "errors.parquet is missing."),
        (cut_the_errors, "errors.parquet is broken: "),
        (drop_the_list, "inputs.parquet is missing; a copy by `make results` leaves it in the bucket: "),
        (break_the_record, "run.json is broken: "),
        (drop_the_model, "pca_model is missing or broken"),
        (list_one_more, "does not account for every picture of its task."),
        (drop_a_part_of_the_list, "inputs/part-00000.parquet is missing or broken: "),
        (drop_the_table_of_parts, "parts.parquet is missing or broken: "),
    ],
)
def test_check_names_the_fault(whole_run: Path, tmp_path: Path, damage: Callable[[Path], None], said: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole_run, run)
    assert check_run(open_storage(str(run))) == []
    damage(run)
    assert any(said in fault for fault in check_run(open_storage(str(run))))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (drop_a_feature_part, "features/part-00001.parquet is missing"),
        (cut_a_feature_part, "features/part-00001.parquet has "),
        (lose_an_error, f"{BAD - 1} in errors.parquet."),
        (drop_the_table_of_parts, "parts.parquet is missing or broken: "),
        (drop_the_model, "pca_model is missing or broken"),
    ],
)
def test_a_quick_check_reads_a_few_parts_and_looks_whether_the_others_are_there(
    whole_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None], said: str
) -> None:
    monkeypatch.setattr(check, "QUICK_TASKS", 1)
    run = tmp_path / "run"
    shutil.copytree(whole_run, run)
    assert check_run(open_storage(str(run)), is_quick=True) == []
    damage(run)
    assert any(said in fault for fault in check_run(open_storage(str(run)), is_quick=True))
