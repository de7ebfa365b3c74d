"""pipeline.pictures.tasks."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from pipeline.pictures import tasks
from pipeline.pictures.listing import PICTURE_FLOOR_BYTES, PictureList
from pipeline.pictures.spool import SPOOL_SCHEMA, Spool, SpoolFile
from pipeline.pictures.tasks import MOST_TASKS, SMALLEST_TASK, TASK_BYTES, TASKS_PER_CORE, planned


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


def counts_of_version_1(sizes: list[int], cores: int) -> list[int]:
    """The plan of a list in one table, as it was made before lists were streamed."""
    cost = np.maximum(sizes, PICTURE_FLOOR_BYTES).cumsum(dtype=np.float64)
    wanted = max(cost[-1] / TASK_BYTES, min(cores * TASKS_PER_CORE, len(sizes) / SMALLEST_TASK), 1)
    slots = ((cost - cost[0]) / cost[-1] * int(np.ceil(wanted))).astype(np.int64)
    found: list[int] = np.bincount(np.unique(slots, return_inverse=True)[1]).tolist()
    return found


@pytest.mark.parametrize("batch", [1, 7, 1000, 100_000])
def test_tasks_are_those_of_version_1_whatever_the_batches(file: SpoolFile, batch: int) -> None:
    drawn = np.random.default_rng(3).integers(1, 400_000, 500).tolist()
    for sizes in (drawn, [5000] * 300, [4_000_000] * 100 + [5000] * 100, [90_000_000, 1, 1, 90_000_000, 1]):
        for cores in (1, 2, 64):
            assert counts(sizes, cores, file, batch) == counts_of_version_1(sizes, cores)


def test_tasks_are_neighbours_in_the_list_s_order(file: SpoolFile) -> None:
    listed = pictures([5000] * 1000, file, 300)
    found = [path for task in planned(listed, 2) for path in task["path"].to_pylist()]
    assert found == listed.table()["path"].to_pylist()


def test_large_pictures_make_smaller_tasks(file: SpoolFile) -> None:
    rows = counts([4_000_000] * 100 + [5_000] * 10_000, 1, file)
    assert rows[0] <= 3
    assert rows[-2] > 400


def test_few_pictures_still_occupy_all_cores_and_one_picture_is_one_task(file: SpoolFile) -> None:
    assert len(counts([5000] * 600, 2, file)) == 8
    assert counts([5000], 64, file) == [1]


def test_a_long_list_has_larger_tasks_and_not_more_of_them(file: SpoolFile, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_TASKS == 20_000
    monkeypatch.setattr(tasks, "MOST_TASKS", 20)
    rows = counts([TASK_BYTES] * 1000, 64, file)
    assert len(rows) == 20
    assert set(rows) == {50}
