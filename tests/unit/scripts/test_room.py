"""Room on the disk for what a long command writes at its end: a disk that fills up stops it in time and in order."""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, NamedTuple

import pytest

from scripts import console, processes, room
from scripts.errors import FullDiskError
from scripts.room import KEPT_BYTES, LEAST_BYTES, Room
from tests.waiting import wait_until

FULL = "The disk of this machine is full: make room, then the same command again goes on."
# Begins, ends in order when asked to, and says so.
ORDERLY = """
import signal
def ask(*_):
    print("asked", flush=True)
    raise SystemExit(0)
signal.signal(signal.SIGINT, ask)
print("begun", flush=True)
signal.pause()
"""


class Disk(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def leave(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Have so many bytes left on every disk; at first a lot."""

    def left(free: int) -> None:
        monkeypatch.setattr(room.shutil, "disk_usage", lambda _: Disk(0, 0, free))

    left(1 << 40)
    return left


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Bytes that are kept now, in files without a name."""
    made: list[IO[bytes]] = []
    make = tempfile.TemporaryFile

    def remember(dir: Path) -> IO[bytes]:  # noqa: A002  as tempfile names it
        made.append(make(dir=dir))
        return made[-1]

    monkeypatch.setattr(room.tempfile, "TemporaryFile", remember)
    return lambda: sum(os.fstat(file.fileno()).st_size for file in made if not file.closed)


def test_room_is_kept_from_others_for_the_time_of_a_command_and_leaves_nothing(
    tmp_path: Path, taken: Callable[[], int]
) -> None:
    with Room(tmp_path):
        assert taken() == KEPT_BYTES
    assert taken() == 0
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_else_is_left_it_is_given_back_while_the_command_is_at_work(
    tmp_path: Path, leave: Callable[[int], None], taken: Callable[[], int]
) -> None:
    with Room(tmp_path) as kept:
        leave(LEAST_BYTES - 1)
        assert kept.is_short()
        assert taken() == KEPT_BYTES
        leave(4096)
        wait_until(lambda: taken() == 0, "the room to be given back", 10)


def test_nothing_long_is_begun_on_a_disk_that_is_all_but_full(
    tmp_path: Path, leave: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "LOGS", tmp_path)
    console.begin("test", verbose=False)
    leave(LEAST_BYTES - 1)
    begun = tmp_path / "begun"
    with pytest.raises(FullDiskError) as refused:
        processes.follow([sys.executable, "-c", f"open({str(begun)!r}, 'w')"], timeout=60)
    assert (refused.value.code, str(refused.value)) == (3, FULL)
    assert not begun.exists()


def test_a_command_under_which_the_disk_fills_up_is_asked_to_end_and_the_disk_is_named(
    tmp_path: Path, leave: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "LOGS", tmp_path)
    console.begin("test", verbose=False)
    with pytest.raises(FullDiskError) as stopped:
        processes.follow([sys.executable, "-c", ORDERLY], timeout=60, on_line=lambda _: leave(LEAST_BYTES - 1))
    assert str(stopped.value) == FULL
    assert console.log_file().read_text().splitlines()[-2:] == ["begun", "asked"]
