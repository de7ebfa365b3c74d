"""pipeline.pictures.reading: what is one picture's fault, and what the store's."""

import errno
import os
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.errors import StorageError
from pipeline.pictures.pack_reader import NotPackedError
from pipeline.pictures.reading import MOST_WITNESSES, NotHadError, check_store, read_failure, witnesses
from pipeline.pixels.bad_pictures import Reason
from pipeline.pixels.bounds import MAX_FILE_BYTES
from pipeline.storage.local import LocalStorage
from pipeline.storage.paths import UnsafeKeyError

GONE = NotHadError(Reason.VANISHED, "listed, but no longer there")
REFUSED = NotHadError(Reason.UNREADABLE, "Permission denied")


@pytest.fixture
def folder(tmp_path: Path) -> LocalStorage:
    """A folder with one picture, `there.jpg`."""
    (tmp_path / "there.jpg").write_bytes(b"a picture")
    return LocalStorage.at(str(tmp_path))


def test_a_file_that_is_gone_has_vanished_and_one_without_permission_is_unreadable() -> None:
    assert read_failure(FileNotFoundError(errno.ENOENT, "No such file")).reason is Reason.VANISHED
    assert read_failure(PermissionError(errno.EACCES, "Permission denied")).reason is Reason.UNREADABLE


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENFILE, errno.ENOTCONN, errno.ENOSPC])
def test_a_disk_or_a_server_that_fails_is_no_picture_s_fault(code: int) -> None:
    with pytest.raises(StorageError, match=f"/fruits/1.jpg: {os.strerror(code)}; start the same command again later"):
        read_failure(OSError(code, os.strerror(code), "/fruits/1.jpg"))


def test_a_store_s_failure_stays_one() -> None:
    outage = StorageError("S3 did not answer well in 8 attempts (SlowDown)", "s3://fruits/1.jpg")
    with pytest.raises(StorageError) as raised:
        read_failure(outage)
    assert raised.value is outage


def test_one_that_is_gone_or_refused_beside_one_that_can_be_read_is_its_own_fault(folder: LocalStorage) -> None:
    check_store(folder, [GONE, REFUSED, REFUSED], "there.jpg")
    check_store(folder, [], None)


def test_where_a_picture_is_gone_that_was_read_a_moment_ago_the_store_is(folder: LocalStorage) -> None:
    (folder.root / "there.jpg").unlink()
    with pytest.raises(StorageError, match=f"{folder.uri}: pictures could be read there, and now none can"):
        check_store(folder, [GONE], "there.jpg")


def test_several_that_are_refused_and_none_that_can_be_read_are_the_store_s_fault(folder: LocalStorage) -> None:
    check_store(folder, [REFUSED, GONE], None)
    with pytest.raises(StorageError, match=r"not one picture .* could be read, 2 were refused \(Permission denied\)"):
        check_store(folder, [REFUSED, GONE, REFUSED], None)


def test_where_one_elsewhere_can_be_read_those_that_are_gone_or_refused_are_so_themselves(
    folder: LocalStorage,
) -> None:
    check_store(folder, [REFUSED, GONE, REFUSED], None, ["gone too.jpg", "there.jpg"])


def test_where_none_elsewhere_can_be_read_the_store_is_at_fault_that_can_still_be_listed(folder: LocalStorage) -> None:
    (folder.root / "there.jpg").unlink()
    with pytest.raises(StorageError, match=r"2 are gone, and none of 2 elsewhere in the list can; start the same"):
        check_store(folder, [GONE, GONE], None, ["there.jpg", "gone too.jpg"])
    with pytest.raises(StorageError, match=r"1 were refused \(Permission denied\), and none of 1 elsewhere"):
        check_store(folder, [REFUSED], None, ["there.jpg"])


def test_the_witnesses_are_the_small_ones_from_all_over_the_list() -> None:
    rows = MOST_WITNESSES * 3
    listed = pa.table(
        {"path": [f"{row}.jpg" for row in range(rows)], "bytes": [(row * 2) % 3 + 1 for row in range(rows)]}
    )
    assert witnesses(listed) == tuple(f"{row}.jpg" for row in range(0, rows, 3))
    assert witnesses(listed.slice(1, 2)) == ("1.jpg", "2.jpg")
    assert witnesses(pa.table({"path": ["a.jpg", "b.jpg"], "bytes": [MAX_FILE_BYTES + 1, MAX_FILE_BYTES]})) == (
        "b.jpg",
    )
    assert witnesses(pa.table({"path": ["a.jpg"], "bytes": [MAX_FILE_BYTES + 1]})) == ()


def test_where_the_folder_itself_is_gone_no_picture_has_vanished(folder: LocalStorage) -> None:
    (folder.root / "there.jpg").unlink()
    check_store(folder, [GONE, GONE], None)
    folder.root.rmdir()
    with pytest.raises(StorageError, match="is not a folder"):
        check_store(folder, [GONE], None)


@pytest.mark.parametrize(
    "error",
    [UnsafeKeyError("../x", "it leads out of its folder"), NotPackedError(errno.EACCES, "when it was packed", "x")],
    ids=["impossible name", "unread when packed"],
)
def test_what_no_store_was_asked_for_is_not_held_against_it(error: OSError) -> None:
    failure = read_failure(error)
    assert failure.reason is Reason.UNREADABLE
    assert not isinstance(failure, NotHadError)
