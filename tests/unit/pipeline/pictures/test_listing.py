"""pipeline.pictures.listing."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.errors import InputError
from pipeline.pictures.listing import list_pictures, plan_tasks, task_bounds
from pipeline.settings import RunSettings
from pipeline.storage.local import LocalStorage
from tests.pictures import NOT_LISTED, ODD

SETTINGS = {"images": "", "weights_sha256": ""}


@pytest.fixture
def folder(tmp_path: Path) -> LocalStorage:
    """Three classes of 10, 20 and 30 pictures, named so that only their labels tell them apart."""
    for label, count in (("Apple Red", 10), ("Apple Green", 20), ("Pear", 30)):
        (tmp_path / "fruits" / label).mkdir(parents=True)
        for number in range(count):
            (tmp_path / "fruits" / label / f"{number:02d}.jpg").write_bytes(b"x" * (number + 1))
    return LocalStorage.at(str(tmp_path / "fruits"))


def listed(storage: LocalStorage, **settings: object) -> pa.Table:
    return list_pictures(storage, RunSettings(**{**SETTINGS, **settings}))


def test_the_list_is_sorted_by_path_and_labelled_by_folder(folder: LocalStorage) -> None:
    table = listed(folder)
    assert table.num_rows == 60
    assert table["path"].to_pylist() == sorted(table["path"].to_pylist())
    assert table.slice(0, 1).to_pylist() == [{"path": "Apple Green/00.jpg", "label": "Apple Green", "bytes": 1}]


def test_odd_names_are_listed_and_other_files_are_not(tmp_path: Path) -> None:
    for name, data in {**ODD, **NOT_LISTED}.items():
        (tmp_path / name).write_bytes(data)
    table = listed(LocalStorage.at(str(tmp_path)))
    assert sorted(table["path"].to_pylist()) == sorted(ODD)
    assert set(table["label"].to_pylist()) == {tmp_path.name}


def test_a_name_that_is_no_utf8_does_not_stop_the_listing(folder: LocalStorage) -> None:
    (folder.root / "Pear" / "\udcff.jpg").write_bytes(b"x")
    assert listed(folder).num_rows == 61


def test_folders_behind_links_are_followed_once(folder: LocalStorage) -> None:
    (folder.root / "Pear" / "loop").symlink_to(folder.root)
    assert listed(folder).num_rows == 60


def test_class_globs_choose_classes(folder: LocalStorage) -> None:
    assert set(listed(folder, classes=("Apple*",))["label"].to_pylist()) == {"Apple Red", "Apple Green"}
    with pytest.raises(InputError, match="No class matches Kiwi; the classes here are Apple Green, Apple Red, Pear"):
        listed(folder, classes=("Kiwi",))


@pytest.mark.parametrize(("limit", "counts"), [(9, [3, 3, 3]), (36, [10, 13, 13]), (60, [10, 20, 30])])
def test_a_limit_is_spread_over_the_classes(folder: LocalStorage, limit: int, counts: list[int]) -> None:
    table = listed(folder, limit=limit)
    assert sorted(Counter(table["label"].to_pylist()).values()) == counts
    assert table["path"].to_pylist() == sorted(table["path"].to_pylist())


def test_the_sample_seed_decides_which_pictures_are_taken(folder: LocalStorage) -> None:
    first, again, other = (listed(folder, limit=9, sample_seed=seed)["path"].to_pylist() for seed in (1, 1, 2))
    assert first == again != other


def test_an_empty_folder_a_missing_one_and_one_without_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No picture below"):
        listed(LocalStorage.at(str(tmp_path)))
    with pytest.raises(InputError, match="is not a folder; give the folder that holds the pictures"):
        listed(LocalStorage.at(str(tmp_path / "nowhere")))


def pictures(sizes: list[int]) -> pa.Table:
    names = [f"a/{number:07d}.jpg" for number in range(len(sizes))]
    return pa.table({"path": names, "label": ["a"] * len(sizes), "bytes": pa.array(sizes, pa.int64())})


def test_tasks_are_neighbours_numbered_without_gaps() -> None:
    task = plan_tasks(pictures([5000] * 1000), cores=2)["task"].to_numpy()
    assert task[0] == 0
    assert set(np.diff(task)) <= {0, 1}
    bounds = task_bounds(plan_tasks(pictures([5000] * 1000), cores=2))
    assert [start for start, _ in bounds] == np.cumsum([0] + [count for _, count in bounds])[:-1].tolist()
    assert sum(count for _, count in bounds) == 1000


def test_large_pictures_make_smaller_tasks() -> None:
    plan = plan_tasks(pictures([4_000_000] * 100 + [5_000] * 10_000), cores=1)
    counts = [count for _, count in task_bounds(plan)]
    assert counts[0] <= 3
    assert counts[-2] > 400


def test_few_pictures_still_occupy_all_cores_and_one_picture_is_one_task() -> None:
    assert len(task_bounds(plan_tasks(pictures([5000] * 600), cores=2))) == 8
    assert task_bounds(plan_tasks(pictures([5000]), cores=64)) == [(0, 1)]
