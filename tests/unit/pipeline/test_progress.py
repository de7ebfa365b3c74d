"""pipeline.progress."""

import io
import re

import pytest
from rich.console import Console

from pipeline import progress
from pipeline.progress import Narrator


def narrator(terminal: bool) -> tuple[Narrator, io.StringIO]:
    sink = io.StringIO()
    return Narrator(Console(file=sink, force_terminal=terminal, width=120, highlight=False)), sink


def test_a_terminal_gets_a_bar_with_pictures_rate_and_time_left() -> None:
    told, sink = narrator(terminal=True)
    with told.pictures("features", "Features", 200) as report:
        report(50)
        report(200)
    assert "200 of 200" in sink.getvalue()
    assert "left" in sink.getvalue()


def test_a_pipe_gets_plain_lines_and_no_control_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PLAIN_LINE_SECONDS", 0.0)
    told, sink = narrator(terminal=False)
    with told.pictures("features", "Features", 2000) as report:
        report(500)
        report(500)
        report(2000)
    lines = sink.getvalue().splitlines()
    assert re.fullmatch(r"Features: 500 of 2,000 pictures, [\d,]+ images/s, [\d,]+ s left", lines[0])
    assert re.fullmatch(r" +[\d.]+ s  Features: 2,000 pictures, [\d,]+ images/s", lines[1])
    assert len(lines) == 2
    assert "\x1b" not in sink.getvalue()


def test_a_phase_keeps_its_seconds_and_tells_what_it_came_to() -> None:
    told, sink = narrator(terminal=False)
    with told.phase("list", "Listing") as said:
        said.append("Listed 3 pictures")
    assert told.seconds["list"] >= 0
    assert sink.getvalue().endswith("Listed 3 pictures\n")
