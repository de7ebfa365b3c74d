"""The job's lines, as the operator's side reads them."""

import json
from typing import Any

import pytest

from scripts.runs import progress
from scripts.runs.progress import Progress

FEATURES = Progress("Features", 503, 20_622, "pictures", 41.2, "images/s", 485.0)


def line(**event: Any) -> str:
    return f"orchard: {json.dumps(event)}"


def progress_line(**changed: Any) -> str:
    """An event of progress as the job writes it."""
    event = {"event": "progress", "name": "features", "doing": "Features", "done": 503, "total": 20_622}
    rest = {"things": "pictures", "rate": 41.2, "unit": "images/s", "seconds_left": 485.0}
    return line(**(event | rest | changed))


def test_progress_is_read_from_its_fields_and_shown_in_words() -> None:
    read = progress.read(progress_line())
    assert read == FEATURES
    assert str(read) == "503 of 20,622 pictures, 41 images/s, 8 min 5 s left"
    assert FEATURES.line == "Features: 503 of 20,622 pictures, 41 images/s, 8 min 5 s left"


def test_other_words_and_further_fields_blind_nobody() -> None:
    read = progress.read(progress_line(doing="Merkmale", things="Bilder", unit="Bilder/s", text="new"))
    assert isinstance(read, Progress)
    assert (read.doing, read.done) == ("Merkmale", 503)


def test_a_phase_is_told_with_its_seconds_and_a_note_as_it_is() -> None:
    assert progress.read(line(event="phase", name="list", seconds=1.2, text="Listed 300 pictures")) == (
        "    1.2 s  Listed 300 pictures"
    )
    assert progress.read(line(event="note", text="Two workers are gone.")) == "Two workers are gone."
    # A later job may say more.
    assert progress.read(line(event="warning", text="New here.")) == "New here."


def test_hosts_that_were_lost_are_found_among_other_lines() -> None:
    said = [
        line(event="loss", host="worker-1", text="worker-1 was lost."),
        progress_line(),
        line(event="note", text="worker-3 was lost."),
        'orchard: {"event": "loss"',
        line(event="loss"),
        "orchard: [1]",
        line(event="loss", host="worker-2", text="worker-2 was told to go."),
    ]
    assert progress.losses(said) == ("worker-1 was lost.", "worker-2 was told to go.")


@pytest.mark.parametrize(
    "plain",
    [
        "orchard: The bucket b cannot be read: check its name.",
        'orchard: {"event": "progress", "done": 5}',
        "orchard: {torn",
        "orchard: {}",
        'orchard: {"event": "phase", "text": "x", "seconds": null}',
        '{"event": "note", "text": "somebody else"}',
        'orchard: {"event": "phase", "text": "x", "seconds": Infinity}',
        progress_line(done=float("inf")),
        progress_line(seconds_left=float("nan")),
        progress_line(rate=10**400),
        'orchard: {"a":' + "[" * 100_000,
        "Traceback (most recent call last):",
        "",
    ],
)
def test_a_line_that_is_no_event_stays_as_it_is(plain: str) -> None:
    assert progress.read(plain) == plain


def test_the_last_word_on_progress_counts() -> None:
    lines = [progress_line(done=10), progress_line(), line(event="note", text="so")]
    assert progress.last_progress(lines) == FEATURES
    assert progress.last_progress(lines[2:]) is None


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_a_span_is_given_in_two_units_at_most(seconds: float, words: str) -> None:
    assert progress.span(seconds) == words
