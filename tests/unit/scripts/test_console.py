"""What is said and asked at the terminal."""

import contextlib
import io
import sys

import pytest

from scripts import console
from scripts.errors import BusyError


def test_without_a_terminal_a_question_is_an_answer_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("YES", raising=False)
    with pytest.raises(BusyError) as refused:
        console.ask("Take the cluster down?")
    assert str(refused.value) == "Take the cluster down? Nobody is here to answer: say YES=1 to go on."
    assert refused.value.code == 8
    monkeypatch.setenv("YES", "1")
    assert console.ask("Take the cluster down?")


def test_columns_are_as_wide_as_what_is_in_them_and_nothing_in_a_cell_is_markup() -> None:
    assert console.columns([("master", "1.2.3.4", ""), ("worker-1", "-", "[bold]")]) == [
        "master    1.2.3.4",
        "worker-1  -        [bold]",
    ]
    assert console.columns([("x" * 300, "y")]) == [f"{'x' * 300}  y"]


class InterruptedOnce(io.StringIO):
    """A terminal whose person types Ctrl-C while the first line comes."""

    interrupted = False

    def flush(self) -> None:
        if not self.interrupted:
            self.interrupted = True
            raise KeyboardInterrupt


def test_a_line_that_ctrl_c_met_is_not_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", screen := InterruptedOnce())
    with pytest.raises(KeyboardInterrupt):
        console.say("Ctrl-C closes it.")
    console.say("Closed.")
    assert screen.getvalue() == "Ctrl-C closes it.\nClosed.\n"


def at_a_terminal(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    monkeypatch.delenv("YES", raising=False)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: answer)


@pytest.mark.parametrize(("answer", "yes"), [("y", True), (" Yes ", True), ("n", False), ("", False)])
def test_at_a_terminal_only_yes_is_yes(monkeypatch: pytest.MonkeyPatch, answer: str, yes: bool) -> None:
    at_a_terminal(monkeypatch, answer)
    assert console.ask("Take the cluster down?") is yes


def test_a_question_for_a_word_has_the_default_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    at_a_terminal(monkeypatch, "  ")
    assert console.enquire("Name", "fruits") == "fruits"
    at_a_terminal(monkeypatch, "pears")
    assert console.enquire("Name", "fruits") == "pears"


def test_a_phase_that_fails_says_so_and_its_notes_are_lines_when_they_change(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with contextlib.suppress(BusyError), console.phase("Plan") as under_way:
        for text in ("waiting for master", "waiting for master", "waiting for worker-1"):
            under_way.note(text)
        raise BusyError("no")
    first, second, end = capsys.readouterr().out.splitlines()
    assert (first, second) == ("  waiting for master", "  waiting for worker-1")
    assert end.startswith("Plan ")
    assert end.endswith(" s  failed")


def test_ctrl_d_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def end_of_input(_: str) -> str:
        raise EOFError

    at_a_terminal(monkeypatch, "")
    monkeypatch.setattr("builtins.input", end_of_input)
    assert console.ask("Take the cluster down?") is False
    assert console.enquire("Name", "fruits") == "fruits"
