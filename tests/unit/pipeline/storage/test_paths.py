"""pipeline.storage.paths: what a key may name on this machine, and nothing else."""

import errno
import os
from pathlib import Path

import pytest

from pipeline.storage.paths import UnsafeKeyError, check_key, open_file, path_below

HOSTILE = (
    "",
    "/etc/passwd",
    "//home/me/.bashrc",
    "a//b",
    "a/",
    ".",
    "..",
    "../x",
    "a/../../x",
    "a/./b",
    "a\\..\\x",
    "C:/x",
    "a/C:x",
    "a\0b",
)


@pytest.mark.parametrize("key", HOSTILE)
def test_a_key_that_leads_out_of_its_folder_is_refused(tmp_path: Path, key: str) -> None:
    for refused in (lambda: check_key(key), lambda: path_below(tmp_path, key)):
        with pytest.raises(UnsafeKeyError) as refusal:
            refused()
        assert refusal.value.errno == errno.EINVAL


@pytest.mark.parametrize("key", ["a", "a/b.jpg", "..a/b..", "a b/%2e%2e", "~/x", "$HOME", "na\u00efve.jpg", "ab:c"])
def test_an_ordinary_key_lies_below_its_folder(tmp_path: Path, key: str) -> None:
    assert path_below(tmp_path, key) == tmp_path.resolve() / key


def test_a_link_is_followed_within_the_folder_and_not_out_of_it(tmp_path: Path) -> None:
    top, outside = tmp_path / "top", tmp_path / "top2"
    for folder in (top / "real", outside):
        folder.mkdir(parents=True)
    (top / "within").symlink_to(top / "real")
    (top / "out").symlink_to(outside)
    assert path_below(top, "within/x") == (top / "real" / "x").resolve()
    for key in ("out", "out/x"):
        with pytest.raises(UnsafeKeyError, match="a link leads out of the folder"):
            path_below(top, key)


def test_the_folder_itself_may_be_reached_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert path_below(tmp_path / "link", "x") == (tmp_path / "real" / "x").resolve()


def test_a_pipe_is_never_opened_for_reading(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path / "pipe.jpg", Path("/dev/zero"), tmp_path):
        with pytest.raises(UnsafeKeyError, match="no ordinary file"):
            open_file(path)
