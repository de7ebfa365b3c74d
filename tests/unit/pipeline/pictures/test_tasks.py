"""pipeline.pictures.tasks."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from pipeline.pictures import tasks
from pipeline.pictures.costs import costs
from pipeline.pictures.listing import PictureList
from pipeline.pictures.spool import SPOOL_SCHEMA, Spool, SpoolFile
from pipeline.pictures.tasks import IN_PIECES, MOST_TASKS, SMALLEST_TASK, TASK_COST, TASKS_PER_CORE, planned
from pipeline.settings import EXACT, FAST

PHOTO = 1_300_000


@pytest.fixture
def file() -> Iterator[SpoolFile]:
    made = SpoolFile()
    yield made
    made.close()


def pictures(sizes: list[int], file: SpoolFile, batch: int = 1000, way: str = EXACT) -> PictureList:
    names = [f"a/{number:07d}.jpg" for number in range(len(sizes))]
    table = pa.table([names, ["a"] * len(sizes), sizes], schema=SPOOL_SCHEMA)
    spool = Spool(file, way)
    for rows in table.to_batches(batch):
        spool.add(rows)
        spool.end()
    return PictureList((spool,), way=way)


def counts(sizes: list[int], cores: int, file: SpoolFile, batch: int = 1000, way: str = EXACT) -> list[int]:
    return [task.num_rows for task in planned(pictures(sizes, file, batch, way), cores)]


def shares_without_pieces(sizes: list[int], cores: int) -> list[list[int]]:
    """The plan of a list in one table, row by row: each task's."""
    names = pa.array([f"{row}.jpg" for row in range(len(sizes))])
    cost = costs(names, pa.array(sizes), EXACT).cumsum()
    wanted = max(cost[-1] / TASK_COST, min(cores * TASKS_PER_CORE, cost[-1] / SMALLEST_TASK), 1)
    slots = ((cost - cost[0]) / cost[-1] * int(np.ceil(wanted))).astype(np.int64)
    return [np.flatnonzero(slots == slot).tolist() for slot in np.unique(slots)]


@pytest.mark.parametrize("batch", [1, 7, 1000, 100_000])
def test_tasks_are_the_same_whatever_the_batches_of_the_list(file: SpoolFile, batch: int) -> None:
    drawn = np.random.default_rng(3).integers(1, 400_000, 500).tolist()
    for sizes in (drawn, [5000] * 240, [4_000_000] * 100, [90_000_000, 1, 1, 90_000_000, 1]):
        for cores in (1, 2, 64):
            assert counts(sizes, cores, file, batch) == counts(sizes, cores, file)
    # Without a first or last task that could be cut.
    few = [5000] * 200
    assert counts(few, 1, file, batch) == [len(rows) for rows in shares_without_pieces(few, 1)]


@pytest.mark.parametrize("batch", [1000, 100_000])
def test_each_core_s_first_and_last_task_are_done_in_four(file: SpoolFile, batch: int) -> None:
    sizes = [5000] * 30_000
    for cores in (1, 2, 10):
        before = [len(rows) for rows in shares_without_pieces(sizes, cores)]
        assert len(before) > 4 * cores
        found = counts(sizes, cores, file, batch)
        ends = IN_PIECES * cores
        assert found[ends:-ends] == before[cores:-cores]
        assert sum(found[:ends]) == sum(before[:cores])
        assert max(found[:ends] + found[-ends:]) <= min(before) / IN_PIECES + 1


def test_photos_share_tasks_by_what_their_format_and_way_take_to_decode(file: SpoolFile) -> None:
    assert sorted(set(counts([PHOTO] * 500, 1, file)[4:-4])) in ([37, 38], [38, 39], [38])
    assert max(counts([PHOTO] * 500, 2, file)[-8:]) <= 10
    assert max(counts([PHOTO] * 2_000, 1, file, way=FAST)) > 120
    # Not one task, as by their number: each core has its share.
    assert len(counts([PHOTO] * 20, 2, file)) == 8


def test_tasks_are_neighbours_in_the_list_s_order(file: SpoolFile) -> None:
    listed = pictures([5000] * 1000, file, 300)
    found = [path for task in planned(listed, 2) for path in task["path"].to_pylist()]
    assert found == listed.table()["path"].to_pylist()


def test_large_pictures_make_smaller_tasks(file: SpoolFile) -> None:
    rows = counts([4_000_000] * 100 + [5_000] * 10_000, 1, file)
    assert rows[5] <= 13
    assert rows[-6] > 400


def test_few_pictures_still_occupy_all_cores_and_one_picture_is_one_task(file: SpoolFile) -> None:
    assert len(counts([5000] * 500, 2, file)) == 8
    assert counts([5000], 64, file) == [1]


def test_a_long_list_has_larger_tasks_and_not_more_of_them(file: SpoolFile, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_TASKS == 20_000
    monkeypatch.setattr(tasks, "MOST_TASKS", 20)
    rows = counts([200_000_000] * 1000, 64, file)
    assert len(rows) <= 20
    assert max(rows) >= 50
    # Smaller ones at the ends are counted, too.
    assert len(counts([PHOTO] * 10_000, 2, file)) == 20
    # However many cores there are, each with a first and a last one.
    rows = counts([PHOTO] * 10_000, 1_000, file)
    assert len(rows) == 20
    assert max(rows) <= 1_251
    assert max(rows[:8] + rows[-8:]) <= 313
