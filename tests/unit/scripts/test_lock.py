"""One task at a time changes a cluster, and what a killed one left running is waited for."""

import fcntl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts import console, lock, processes
from scripts.errors import BusyError

WAITS = "import sys; sys.stdin.read()"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cluster's folder, in which the lock is."""
    monkeypatch.setenv("ORCHARD_TERRAFORM", str(tmp_path / "terraform"))
    monkeypatch.setattr(console, "LOGS", tmp_path / "logs")
    monkeypatch.setattr(lock, "RETRY_SECONDS", 0.01)
    console.begin("test", verbose=False)
    return tmp_path / ".orchard" / "fruits"


@pytest.fixture
def left_running(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A command that a killed `make up` has left behind: it holds the lock until its input ends."""
    folder.mkdir(parents=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write("`make up` (process 4711)")
        file.flush()
        words = [sys.executable, "-c", WAITS]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, pass_fds=[file.fileno()])
    yield process
    process.communicate()


def test_what_a_killed_task_left_running_is_waited_for(
    left_running: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def hear_and_end_it(sentence: str) -> None:
        said.append(sentence)
        left_running.communicate()

    monkeypatch.setattr(console, "say", hear_and_end_it)
    with lock.changing("fruits", "down"):
        assert left_running.returncode == 0
    assert said == ["Waiting for what `make up` (process 4711) has under way on cluster fruits."]


def test_who_waits_too_long_is_told_whom_for(
    left_running: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "PATIENCE_SECONDS", 0)
    with pytest.raises(BusyError) as refused, lock.changing("fruits", "down"):
        pass
    assert refused.value.code == 8
    assert str(refused.value) == (
        "`make up` (process 4711) is still at work on cluster fruits: wait for its end, or end it."
    )


def test_who_has_no_patience_is_told_at_once_and_nobody_waits(
    left_running: subprocess.Popen[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        pytest.raises(BusyError, match="is still at work on cluster fruits"),
        lock.changing("fruits", "heal", patience=0),
    ):
        pass
    assert capsys.readouterr().out == ""


def test_another_cluster_is_not_waited_for(left_running: subprocess.Popen[bytes]) -> None:
    with lock.changing("pears", "up"):
        assert left_running.poll() is None


def test_the_holder_is_named_and_the_lock_is_free_at_its_end(folder: Path) -> None:
    for task in ("up", "down"):
        with lock.changing("fruits", task):
            assert (folder / "lock").read_text().startswith(f"`make {task}` (process ")
            with (folder / "lock").open() as another, pytest.raises(BlockingIOError):
                fcntl.flock(another, fcntl.LOCK_SH | fcntl.LOCK_NB)


def test_a_command_holds_the_lock_as_long_as_it_runs(folder: Path) -> None:
    with lock.changing("fruits", "up"):
        [descriptor] = processes.inherited
        words = [sys.executable, "-c", f"import os; print(os.fstat({descriptor}).st_ino)"]
        done = processes.follow(words, timeout=60)
    assert (done.code, done.out.strip()) == (0, str((folder / "lock").stat().st_ino))
    assert processes.inherited == set()
