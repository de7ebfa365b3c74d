"""pipeline.pictures.tasks."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from pipeline.pictures import tasks
from pipeline.pictures.listing import PICTURE_FLOOR_BYTES, PictureList
from pipeline.pictures.spool import SPOOL_SCHEMA, Spool, SpoolFile
from pipeline.pictures.tasks import LAST_IN, MOST_TASKS, SMALLEST_TASK, TASK_BYTES, TASKS_PER_CORE, planned


@pytest.fixture
def file() -> Iterator[SpoolFile]:
    made = SpoolFile()
    yield made
    made.close()


def pictures(sizes: list[int], file: SpoolFile, batch: int = 1000) -> PictureList:
    names = [f"a/{number:07d}.jpg" for number in range(len(sizes))]
    table = pa.table([names, ["a"] * len(sizes), sizes], schema=SPOOL_SCHEMA)
    spool = Spool(file, PICTURE_FLOOR_BYTES)
    for rows in table.to_batches(batch):
        spool.add(rows)
        spool.end()
    return PictureList((spool,))


def counts(sizes: list[int], cores: int, file: SpoolFile, batch: int = 1000) -> list[int]:
    return [task.num_rows for task in planned(pictures(sizes, file, batch), cores)]


def shares_of_version_1(sizes: list[int], cores: int) -> list[list[int]]:
    """The plan of a list in one table, as it was made before lists were streamed: row by row, each task's."""
    cost = np.maximum(sizes, PICTURE_FLOOR_BYTES).cumsum(dtype=np.float64)
    wanted = max(cost[-1] / TASK_BYTES, min(cores * TASKS_PER_CORE, len(sizes) / SMALLEST_TASK), 1)
    slots = ((cost - cost[0]) / cost[-1] * int(np.ceil(wanted))).astype(np.int64)
    return [np.flatnonzero(slots == slot).tolist() for slot in np.unique(slots)]


@pytest.mark.parametrize("batch", [1, 7, 1000, 100_000])
def test_tasks_are_those_of_version_1_whatever_the_batches_where_none_can_be_smaller(
    file: SpoolFile, batch: int
) -> None:
    drawn = np.random.default_rng(3).integers(1, 400_000, 500).tolist()
    for sizes in (drawn, [5000] * 240, [4_000_000] * 100, [90_000_000, 1, 1, 90_000_000, 1]):
        for cores in (1, 2, 64):
            assert counts(sizes, cores, file, batch) == [len(rows) for rows in shares_of_version_1(sizes, cores)]


@pytest.mark.parametrize("batch", [1000, 100_000])
def test_each_core_s_last_task_is_done_in_four(file: SpoolFile, batch: int) -> None:
    sizes = [5000] * 30_000
    for cores in (1, 2, 10):
        before = [len(rows) for rows in shares_of_version_1(sizes, cores)]
        assert len(before) > 4 * cores
        found = counts(sizes, cores, file, batch)
        whole = len(before) - cores
        assert found[:whole] == before[:whole]
        assert len(found) == whole + LAST_IN * cores
        assert max(found[whole:]) <= min(before) / LAST_IN + 1


def test_tasks_are_neighbours_in_the_list_s_order(file: SpoolFile) -> None:
    listed = pictures([5000] * 1000, file, 300)
    found = [path for task in planned(listed, 2) for path in task["path"].to_pylist()]
    assert found == listed.table()["path"].to_pylist()


def test_large_pictures_make_smaller_tasks(file: SpoolFile) -> None:
    rows = counts([4_000_000] * 100 + [5_000] * 10_000, 1, file)
    assert rows[0] <= 3
    assert rows[-6] > 400


def test_few_pictures_still_occupy_all_cores_and_one_picture_is_one_task(file: SpoolFile) -> None:
    assert len(counts([5000] * 500, 2, file)) == 8
    assert counts([5000], 64, file) == [1]


def test_a_long_list_has_larger_tasks_and_not_more_of_them(file: SpoolFile, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_TASKS == 20_000
    monkeypatch.setattr(tasks, "MOST_TASKS", 20)
    rows = counts([TASK_BYTES] * 1000, 64, file)
    assert len(rows) == 20
    assert set(rows) == {50}
    # Smaller ones at the end are counted, too.
    assert len(counts([TASK_BYTES // 100] * 10_000, 2, file)) == 20
