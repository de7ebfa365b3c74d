"""pipeline.pictures.reading: what is one picture's fault, and what the store's."""

import errno
import os
from pathlib import Path

import pytest

from pipeline.errors import StorageError
from pipeline.pictures.decode import Reason
from pipeline.pictures.pack_reader import NotPackedError
from pipeline.pictures.reading import NotHadError, check_store, read_failure
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
