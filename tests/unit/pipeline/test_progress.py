"""pipeline.progress: words for people, one JSON object a line for programs."""

import io
import json
import re
from typing import Any

import pytest
from rich.console import Console

from pipeline import progress
from pipeline.progress import Narrator


def narrator(terminal: bool) -> tuple[Narrator, io.StringIO]:
    sink = io.StringIO()
    return Narrator(Console(file=sink, force_terminal=terminal, width=120, highlight=False)), sink


def events(sink: io.StringIO) -> list[dict[str, Any]]:
    """What a program reads, line by line."""
    lines = sink.getvalue().splitlines()
    assert all(line.startswith("orchard: {") for line in lines)
    return [json.loads(line.removeprefix("orchard: ")) for line in lines]


def test_a_terminal_gets_a_bar_with_pictures_rate_and_time_left() -> None:
    narrating, sink = narrator(terminal=True)
    with narrating.pictures("features", "Features", 200) as phase:
        phase.report(50)
        phase.report(200)
    assert "200 of 200" in sink.getvalue()
    assert "left" in sink.getvalue()
    assert "{" not in sink.getvalue()


def test_a_copy_is_told_in_bytes_with_its_pace() -> None:
    narrating, sink = narrator(terminal=True)
    with narrating.bytes("copy", "Uploading 3 files", 20_000_000) as phase:
        phase.report(5_000_000)
        phase.report(20_000_000)
    assert "20.0/20.0 MB" in sink.getvalue()
    assert re.search(r"Uploading 3 files: 20\.0 MB, [\d,.]+ MB/s\n$", sink.getvalue())
    narrating, sink = narrator(terminal=False)
    with narrating.bytes("copy", "Uploading 3 files", 20_000_000):
        pass
    [ended] = events(sink)
    assert ended["count"] == 20_000_000


def test_a_terminal_gets_sentences_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    narrating, sink = narrator(terminal=True)
    narrating.say("Run [a] is complete :apple:")
    with narrating.phase("list", "Listing") as phase:
        phase.text = "Listed 3 pictures"
    assert sink.getvalue().startswith("Run [a] is complete :apple:\n")
    assert sink.getvalue().endswith(" s  Listed 3 pictures\n")


def test_a_pipe_gets_progress_and_the_phase_s_end_as_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "FIRST_SECONDS", 0.0)
    narrating, sink = narrator(terminal=False)
    with narrating.pictures("features", "Features", 2000) as phase:
        phase.report(500, 3)
        phase.report(500, 3)
        phase.report(2000, 4)
        phase.bad = 4
    under_way, ended = events(sink)
    assert under_way.pop("rate") > 0
    assert under_way.pop("seconds_left") >= 0
    assert under_way == {
        "event": "progress", "name": "features", "doing": "Features", "done": 500, "total": 2000,
        "things": "pictures", "unit": "images/s", "bad": 3,
    }  # fmt: skip
    assert (ended["event"], ended["name"], ended["count"], ended["bad"]) == ("phase", "features", 2000, 4)
    assert ended["text"].startswith("Features: 2,000 pictures, ")


def test_what_an_earlier_attempt_has_done_is_not_counted_into_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.0, 0.0, 10.0, 30.0, 50.0, 50.0])
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(clock))
    narrating, sink = narrator(terminal=False)
    with narrating.pictures("features", "Features", 2000) as phase:
        phase.report(1000)
        phase.report(1200)
        phase.earlier = 1000
    _, later, ended = events(sink)
    assert (later["rate"], later["seconds_left"]) == (10.0, 80.0)
    assert ended["text"] == "Features: 2,000 pictures, 20 images/s"


def test_progress_comes_soon_for_the_first_time_and_then_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.0, 0.0, 1.9, 2.1, 9.0, 12.0, 12.2, 20.0, 20.0])
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(clock))
    narrating, sink = narrator(terminal=False)
    with narrating.pictures("features", "Features", 2000) as phase:
        for done in (10, 20, 30, 40, 50):
            phase.report(done)
    *under_way, ended = events(sink)
    assert [event["done"] for event in under_way] == [20, 50]
    assert ended["event"] == "phase"


def test_something_turns_on_a_terminal_before_anything_is_done() -> None:
    narrating, sink = narrator(terminal=True)
    with narrating.pictures("features", "Features", 200):
        pass
    assert any(letter in sink.getvalue() for letter in "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")


def test_a_phase_has_its_seconds_and_what_it_came_to() -> None:
    narrating, sink = narrator(terminal=False)
    with narrating.phase("list", "Listing") as phase:
        phase.text = "Listed 3 pictures"
    assert phase.seconds > 0
    assert events(sink) == [
        {
            "event": "phase", "name": "list", "seconds": round(phase.seconds, 1), "text": "Listed 3 pictures",
            "count": 0, "bad": 0,
        }
    ]  # fmt: skip


def test_a_phase_that_fails_has_not_ended() -> None:
    narrating, sink = narrator(terminal=False)
    with pytest.raises(ZeroDivisionError), narrating.phase("list", "Listing"):
        _ = 1 / 0
    assert sink.getvalue() == ""


def test_whatever_is_said_is_one_line_of_plain_ascii_that_comes_back_as_it_was() -> None:
    narrating, sink = narrator(terminal=False)
    said = 'caf\u00e9 :apple: [bold]\n\x1b[31m"quoted" ' + "long " * 60
    narrating.say(said)
    assert events(sink) == [{"event": "note", "text": said}]
    assert sink.getvalue().isascii()
    assert "\x1b" not in sink.getvalue()
