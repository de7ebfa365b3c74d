"""pipeline.pixels.memory: what pictures take of a worker at one time, and that it goes back."""

import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Event, Thread

import pytest

from pipeline.pixels import memory
from pipeline.pixels.bounds import MAX_BYTES
from pipeline.pixels.memory import DECODERS_BYTES, FILES_BYTES, HELD_SECONDS, KEPT_BYTES, MIB, Room, room_to_decode
from tests.waiting import wait_until


class Visitor:
    """Somebody who enters in a thread of their own, and stays until told to leave."""

    def __init__(self, door: AbstractContextManager[None]) -> None:
        self.is_in, self._may_leave = Event(), Event()
        self._thread = Thread(target=self._visit, args=(door,), daemon=True)
        self._thread.start()

    def _visit(self, door: AbstractContextManager[None]) -> None:
        with door:
            self.is_in.set()
            self._may_leave.wait(30)

    def leave(self) -> None:
        self._may_leave.set()
        self._thread.join(30)


def waiting(room: Room) -> int:
    return len(room._changed._waiters)  # type: ignore[attr-defined]


def comes_in(visitor: Visitor) -> bool:
    return visitor.is_in.wait(10)


def has_to_wait(visitor: Visitor, room: Room) -> bool:
    wait_until(lambda: visitor.is_in.is_set() or waiting(room), "a visitor who enters or waits")
    return not visitor.is_in.is_set()


def test_who_fits_comes_in_and_who_does_not_waits_until_there_is_room() -> None:
    room = Room(100)
    first, second = Visitor(room.taken(60)), Visitor(room.taken(40))
    assert comes_in(first)
    assert comes_in(second)
    third = Visitor(room.taken(50))
    assert has_to_wait(third, room)
    second.leave()
    assert not third.is_in.is_set()
    first.leave()
    assert comes_in(third)
    third.leave()


def test_who_wants_more_than_there_is_has_all_of_it_alone() -> None:
    room = Room(100)
    first = Visitor(room.taken(1))
    assert comes_in(first)
    large = Visitor(room.taken(10**12))
    assert has_to_wait(large, room)
    # A small one that comes later does not stand behind it.
    with room.taken(50):
        pass
    first.leave()
    assert comes_in(large)
    small = Visitor(room.taken(1))
    assert has_to_wait(small, room)
    large.leave()
    assert comes_in(small)
    small.leave()


def test_room_is_given_back_whatever_happens_in_it() -> None:
    room = Room(100)
    for _ in range(3):
        with pytest.raises(ValueError, match="broken"), room.taken(100):
            raise ValueError("broken")


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file by which a host's workers know of each other."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(memory, "_stood_still", set())
    with room_to_decode(MAX_BYTES, 0):
        (path,) = tmp_path.iterdir()
    return path


def is_free(path: Path) -> bool:
    with path.open() as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@pytest.mark.parametrize(
    ("needed", "file", "is_alone"),
    [
        (DECODERS_BYTES, FILES_BYTES, False),
        (DECODERS_BYTES + 1, 0, True),
        (DECODERS_BYTES, FILES_BYTES + 1, True),
        (MIB, DECODERS_BYTES + FILES_BYTES, True),
    ],
)
def test_a_picture_that_a_slot_has_no_room_for_is_the_only_such_one_of_the_host(
    needed: int, file: int, is_alone: bool, lock: Path
) -> None:
    with room_to_decode(needed, file):
        assert is_free(lock) is not is_alone
    assert is_free(lock)
    assert lock.stat().st_mode & 0o777 == 0o600


def test_a_lock_file_that_somebody_else_has_made_is_not_followed_and_holds_up_no_picture(lock: Path) -> None:
    lock.unlink()
    lock.symlink_to(lock.with_name("somewhere"))
    with room_to_decode(MAX_BYTES, 0):
        pass
    assert not lock.with_name("somewhere").exists()


class Clock:
    """The time of those who wait for a lock; `after` is called after each of their looks."""

    def __init__(self, after: Callable[[int], None]) -> None:
        self.looks, self._after = 0, after

    def monotonic(self) -> float:
        return self.looks * 60.0

    def sleep(self, _: float) -> None:
        self.looks += 1
        assert self.looks < 100, "it waits for ever"
        self._after(self.looks)


def held(path: Path) -> int:
    """The lock as another worker has it, who says nothing more of himself."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def test_who_waits_for_another_worker_says_so_and_comes_in_when_that_one_is_done(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, said = held(lock), []
    monkeypatch.setattr(memory, "time", Clock(lambda _: os.close(other)))
    with room_to_decode(MAX_BYTES, 0, lambda: said.append("alive")):
        assert not is_free(lock)
    assert said == ["alive"]


def test_a_worker_who_stands_still_with_the_lock_is_passed_by_one_at_a_time(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(lambda _: None)
    monkeypatch.setattr(memory, "time", clock)
    stopped, second = held(lock), lock.with_name(lock.name.replace(".lock", "-2.lock"))
    with room_to_decode(MAX_BYTES, 0):
        assert clock.looks * 60 > HELD_SECONDS
        assert not is_free(second)
    assert is_free(second)
    looks = clock.looks
    with room_to_decode(MAX_BYTES, 0):
        assert clock.looks == looks, "the next picture does not wait again"
    also_stopped = held(second)
    with room_to_decode(MAX_BYTES, 0):
        pass
    os.close(stopped)
    os.close(also_stopped)


def test_many_workers_who_take_turns_are_waited_for_as_long_as_they_move_on(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = held(lock)

    def move_on(looks: int) -> None:
        if looks == 50:
            os.close(other)
        else:
            os.utime(lock, ns=(looks, looks))

    monkeypatch.setattr(memory, "time", clock := Clock(move_on))
    with room_to_decode(MAX_BYTES, 0):
        assert clock.looks == 50
        assert not is_free(lock)


def test_a_worker_s_shares_come_to_no_more_than_its_slot() -> None:
    python_and_network = 260 * MIB
    assert python_and_network + 2 * FILES_BYTES + DECODERS_BYTES <= MAX_BYTES


# Each thread makes and leaves pictures of 16 MiB, one after the other: at no time are there two.
THREADS_THAT_DECODE = """
import re
from threading import Barrier, Thread
from pathlib import Path
from PIL import Image
from pipeline.pixels.memory import room_to_decode

def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024

def decode(number):
    for turn in range(2 * len(threads)):
        if turn % len(threads) == number:
            with room_to_decode(16 << 20, 0):
                Image.new("RGB", (2048, 2000), "red")
        together.wait()
    together.wait()

before = resident()
threads = [Thread(target=decode, args=(number,)) for number in range(16)]
together = Barrier(17)
for thread in threads:
    thread.start()
for _ in range(32):
    together.wait()
print(resident() - before)  # with all threads still there
together.wait()
"""


def test_what_a_thread_has_freed_goes_back_to_the_kernel() -> None:
    grown = subprocess.run(
        [sys.executable, "-c", THREADS_THAT_DECODE], check=True, capture_output=True, text=True, timeout=60
    )
    assert int(grown.stdout) < 48


PICTURES_THAT_WERE_DECODED = """
import re
from pathlib import Path
from PIL import Image
from pipeline.pixels.memory import room_to_decode

def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024

before = resident()
with room_to_decode(320 << 20, 0):
    pictures = [Image.new("RGB", (2048, 2000), "red") for _ in range(20)]
grown = resident() - before
del pictures
print(grown, resident() - before)
"""


def test_of_what_pictures_have_freed_no_more_is_kept_than_is_told() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PICTURES_THAT_WERE_DECODED], check=True, capture_output=True, text=True, timeout=60
    )
    held, kept = map(int, ended.stdout.split())
    assert held > 300
    assert KEPT_BYTES // MIB / 2 < kept < KEPT_BYTES // MIB + 16
