"""pipeline.process.hanging: who hangs is ended from outside; who works or rests is not."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.process import hanging, watchman

# Another one of the watchman's looks, each with what it hears: nothing, work, rest or the end.
NOTHING, WORK, REST, END = None, b"w", b"r", b""


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Whom a watchman has ended."""
    found: list[int] = []
    monkeypatch.setattr(watchman, "end", lambda process, _: found.append(process))
    return found


def look(monkeypatch: pytest.MonkeyPatch, *heard: bytes | None) -> list[float | None]:
    """Have a watchman of process 7 hear this; gives how long he was ready to wait each time."""
    waited: list[float | None] = []
    coming = iter(heard)
    now: list[bytes] = []

    def select(*asked: Any) -> tuple[list[int], list[int], list[int]]:
        waited.append(asked[3])
        word = next(coming)
        now[:] = [] if word is None else [word]
        return ([0] if now else []), [], []

    monkeypatch.setattr(watchman.select, "select", select)
    monkeypatch.setattr(watchman.os, "read", lambda *_: now[0])
    watchman.watch(7, 600.0)
    assert list(coming) == [], "he went before his time"
    return waited


def test_who_is_silent_at_work_is_ended_after_the_whole_time(monkeypatch: pytest.MonkeyPatch, ended: list[int]) -> None:
    waited = look(monkeypatch, WORK, *[NOTHING] * 10)
    assert sum(seconds or 0 for seconds in waited) == 600
    assert ended == [7]


def test_who_rests_may_be_silent_for_ever_and_each_word_begins_the_time_anew(
    monkeypatch: pytest.MonkeyPatch, ended: list[int]
) -> None:
    silence = [NOTHING] * 9
    waited = look(monkeypatch, WORK, *silence, WORK, *silence, b"wwwr", b"w", *silence, REST, END)
    # None waits without an end: before the first word, at rest, and for the end.
    assert [place for place, seconds in enumerate(waited) if seconds is None] == [0, 21, 32]
    assert ended == []


def stopping(*, at_work: bool) -> str:
    """A process that stops itself, as a debugger would, where it is watched."""
    there = ["with hanging.watched() as alive:", "    alive(); os.kill(os.getpid(), signal.SIGSTOP)"]
    after = [*there[:1], "    alive()", "sys.stdin.read()"]
    lines = ["import os, signal, sys", "from pipeline.process import hanging", *(there if at_work else after)]
    return "\n".join(lines)


def begin(words: str) -> subprocess.Popen[str]:
    """A process that is watched with a bound that is over at once."""
    environment = {**os.environ, hanging.VARIABLE: "0.2"}
    return subprocess.Popen(
        [sys.executable, "-c", words], env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_a_stopped_process_is_ended_and_a_line_says_so() -> None:
    process = begin(stopping(at_work=True))
    _, said = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert said == f"orchard: Python worker {process.pid} did nothing for 0.2 s and is ended.\n"


def test_a_process_ends_by_itself_and_its_watchman_with_it() -> None:
    process = begin(stopping(at_work=False))
    # The watchman has its standard error, too: it is at an end when both have ended.
    assert process.communicate("", timeout=60)[1] == ""
    assert process.returncode == 0


def test_a_watchman_ends_nobody_but_who_has_started_him(capfd: pytest.CaptureFixture[str]) -> None:
    watchman.end(os.getpid(), 600.0)
    assert capfd.readouterr().err == ""


def test_without_a_watchman_work_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = os.pipe()
    os.close(source)
    monkeypatch.setattr(hanging, "_watchman", lambda _: (target, None))
    with hanging.watched() as alive:
        alive()
    os.close(target)


def test_who_says_that_he_is_alive_after_the_end_is_not_taken_to_be_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = os.pipe()
    monkeypatch.setattr(hanging, "_watchman", lambda _: (target, None))
    with hanging.watched() as alive:
        alive()
    alive()
    assert os.read(source, 10) == b"wwr"
    os.close(source)
    os.close(target)


def test_who_works_says_so_a_hundred_times_within_the_silence_that_is_allowed_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, target = os.pipe()
    monkeypatch.setattr(hanging, "_watchman", lambda _: (target, None))
    clock = iter([1000.0, 1000.0, 1005.9, 1006.0, 1006.1])
    monkeypatch.setattr(hanging.time, "monotonic", lambda: next(clock))
    monkeypatch.delenv(hanging.VARIABLE, raising=False)
    with hanging.watched() as alive:
        for _ in range(5):
            alive()
    assert os.read(source, 10) == b"wwwr"
    os.close(source)
    os.close(target)
