"""pipeline.storage.base and pipeline.storage.local."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import DiskFullError, InputError
from pipeline.storage.base import left_out_sentence, split_parent
from pipeline.storage.local import LocalStorage
from pipeline.storage.opening import open_storage
from pipeline.storage.paths import UnsafeKeyError

ROOT = Path(__file__).resolve().parents[4]


def test_a_file_uri_and_a_path_name_the_same_folder(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    folder.mkdir()
    assert open_storage(f"file://{str(folder).replace(' ', '%20')}") == open_storage(str(folder))


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(InputError, match="the scheme gs:// is not known; give a folder, file:// or s3://bucket/prefix"):
        open_storage("gs://bucket/prefix")


def test_what_was_written_is_read_back_and_listed(tmp_path: Path) -> None:
    storage = LocalStorage.at(str(tmp_path))
    storage.write("deep/er/name 100%.bin", b"content")
    assert storage.read("deep/er/name 100%.bin") == b"content"
    assert [row for batch in storage.list() for row in batch.to_pylist()] == [
        {"path": "deep/er/name 100%.bin", "bytes": 7}
    ]


def test_a_writer_that_fails_leaves_nothing_and_keeps_what_was_there(tmp_path: Path) -> None:
    storage = LocalStorage.at(str(tmp_path))
    storage.write("part", b"old")
    with pytest.raises(RuntimeError), storage.writer("part") as stream:  # noqa: PT012  # the block is what is tested
        stream.write(b"half of the n")
        raise RuntimeError
    assert storage.read("part") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["part"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_is_full_is_told_as_such_and_keeps_what_was_there(tmp_path: Path, code: int) -> None:
    storage = LocalStorage.at(str(tmp_path))
    storage.write("part", b"old")
    with pytest.raises(DiskFullError) as raised, storage.writer("part"):
        raise OSError(code, os.strerror(code))
    assert str(raised.value) == (
        f"{tmp_path}/part: the disk is full; make room and start the same command again (a run goes on with --resume)."
    )
    assert raised.value.exit_code == 22
    assert storage.read("part") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["part"]


def test_a_picture_without_permission_raises_a_permission_error(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"x")
    (tmp_path / "secret.jpg").chmod(0)
    with as_ordinary_user(tmp_path), pytest.raises(PermissionError):
        LocalStorage.at(str(tmp_path)).read("secret.jpg")


def test_a_folder_that_is_not_writable_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o555)
    with (
        as_ordinary_user(tmp_path),
        pytest.raises(InputError, match=r"out cannot be written \(Permission denied\); name another folder"),
    ):
        LocalStorage.at(str(tmp_path / "out")).check_writable()


class as_ordinary_user:  # noqa: N801  # reads as a word in a with statement
    """Root may read and write everything, so as root the block runs as nobody."""

    def __init__(self, folder: Path) -> None:
        self._root = os.geteuid() == 0
        for parent in [folder, *folder.parents][: 3 if self._root else 0]:
            parent.chmod(0o755)

    def __enter__(self) -> None:
        if self._root:
            os.seteuid(65534)

    def __exit__(self, *_: object) -> None:
        if self._root:
            os.seteuid(0)


def test_the_parent_of_a_uri_is_everything_before_its_last_name() -> None:
    assert split_parent("s3://bucket/models/w.h5") == ("s3://bucket/models", "w.h5")
    assert split_parent("/w.h5") == ("/", "w.h5")


def test_a_folder_that_may_not_be_read_is_no_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root, as whom CI may run, may read everything: the refusal is the system's as it would be.
    scandir = os.scandir
    (tmp_path / "Apple").mkdir()

    def refusing(folder: str) -> object:
        if folder.endswith("/Apple/"):
            raise PermissionError(errno.EACCES, "Permission denied", folder.rstrip("/"))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(InputError, match=r"/Apple may not be read by this user; mend its permissions"):
        list(LocalStorage.at(str(tmp_path)).list())


def test_a_list_is_in_the_order_of_whole_keys_and_not_of_names(tmp_path: Path) -> None:
    storage = LocalStorage.at(str(tmp_path))
    keys = ["a.jpg", "a/b.jpg", "a/b/c.jpg", "a0.jpg", "b/\uffee.jpg", "b/\U0001f34e.jpg", "z\\udcff.jpg"]
    for key in keys[:-1]:
        storage.write(key, b"x")
    (tmp_path / "z\udcff.jpg").write_bytes(b"x")
    assert [path for batch in storage.list() for path in batch["path"].to_pylist()] == keys


def test_what_is_no_file_of_the_folder_is_left_out_of_its_list_and_named(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    (folder / "Apple").mkdir(parents=True)
    (folder / "Apple" / "0.jpg").write_bytes(b"picture")
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "key.jpg").write_bytes(b"secret")
    (folder / "again.jpg").symlink_to(folder / "Apple" / "0.jpg")
    (folder / "secret.jpg").symlink_to(tmp_path / "private" / "key.jpg")
    (folder / "private").symlink_to(tmp_path / "private")
    (folder / "zero.jpg").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.jpg")
    storage = LocalStorage.at(str(folder))
    assert sorted(path for batch in storage.list() for path in batch["path"].to_pylist()) == [
        "Apple/0.jpg",
        "again.jpg",
    ]
    assert sorted(storage.left_out) == ["pipe.jpg", "private", "secret.jpg", "zero.jpg"]
    for key in ("secret.jpg", "private/key.jpg", "zero.jpg", "pipe.jpg"):
        with pytest.raises(UnsafeKeyError):
            storage.read(key)
    with pytest.raises(UnsafeKeyError):
        storage.write("private/new.jpg", b"")
    assert left_out_sentence(storage.left_out).startswith("Left out 4 that are no files of it, but links ")


def test_a_file_is_as_open_to_others_as_its_user_wants_files_to_be(tmp_path: Path) -> None:
    script = "import sys; from pipeline.storage.opening import open_storage; open_storage(sys.argv[1]).write('x', b'')"
    for umask, mode in ((0o022, 0o644), (0o077, 0o600)):
        subprocess.run([sys.executable, "-c", script, tmp_path], cwd=ROOT, umask=umask, check=True)
        assert (tmp_path / "x").stat().st_mode & 0o777 == mode
