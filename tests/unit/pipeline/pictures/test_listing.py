"""pipeline.pictures.listing."""

import errno
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.errors import DiskFullError, InputError
from pipeline.pictures import listing, spool
from pipeline.pictures.costs import ONE
from pipeline.pictures.listing import all_pictures, list_pictures
from pipeline.settings import RunSettings
from pipeline.storage import local
from pipeline.storage.base import LISTING_SCHEMA, SinkKind
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


def test_films_and_notes_beside_photos_are_passed_over_and_counted(tmp_path: Path) -> None:
    for name in ("IMG_1.JPG", "IMG_1.MOV", "IMG_1.AAE", "IMG_2.jpe", "IMG_2.mov", "a.JFIF", "b.tar.backup", ".hidden"):
        (tmp_path / name).write_bytes(b"x")
    with listing.listed(LocalStorage.at(str(tmp_path)), RunSettings(**{**SETTINGS, "limit": 2})) as found:
        assert found.rows == 2
        assert found.passed_over == {"mov": 2, "aae": 1, "": 2}
        assert listing.passed_over_sentence(found.passed_over) == (
            "Passed over 5 files that are no pictures by their names (2 .mov, 2 others, 1 .aae)."
        )


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


class Shuffled:
    """A place whose list is in no order, as no folder's and no bucket's of AWS's is, in two shares."""

    uri, label, left_out = "shuffled", "shuffled", ()

    def __init__(self, *shares: list[str]) -> None:
        self._shares = shares

    def list_into(self, sink: Callable[[], SinkKind]) -> Sequence[SinkKind]:
        sinks = [sink() for _ in self._shares]
        for one, paths in zip(sinks, self._shares, strict=True):
            one.add(pa.RecordBatch.from_arrays([pa.array(paths), pa.array([1] * len(paths))], schema=LISTING_SCHEMA))
            one.end()
        return sinks


@pytest.mark.parametrize("shares", [(["b.jpg", "a.jpg"], ["c.jpg"]), (["c.jpg"], ["a.jpg", "b.jpg"])])
def test_what_a_server_lists_in_no_order_is_sorted_all_the_same(shares: tuple[list[str], ...]) -> None:
    assert all_pictures(Shuffled(*shares))["path"].to_pylist() == ["a.jpg", "b.jpg", "c.jpg"]


def test_a_list_of_many_blocks_is_read_as_often_as_is_wanted(
    folder: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = all_pictures(folder)
    monkeypatch.setattr(spool, "ROWS_AT_ONCE", 7)
    monkeypatch.setattr(local, "ROWS_AT_ONCE", 3)
    with listing.listed(folder) as found:
        assert [found.table().equals(whole) for _ in range(2)] == [True, True]
        assert found.counts == {"Apple Green": 20, "Apple Red": 10, "Pear": 30}
        assert (found.rows, found.cost) == (60, 60 * ONE)


def test_a_disk_without_room_for_the_list_is_told_as_such(
    folder: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(DiskFullError, match="the disk is full; make room and start the same command again"):
        listed(folder)
