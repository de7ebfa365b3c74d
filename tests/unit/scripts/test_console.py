"""What is said and asked at the terminal."""

import contextlib
import io
import logging
import sys
from pathlib import Path

import pytest
from rich.console import Console

from scripts import console
from scripts.errors import BusyError, HostError, OperatorError
from scripts.tasks import with_sentences


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


HOSTILE = "x\x1b]0;owned\x07 \r[bold]y \u202egpj.exe"
SHOWN = "x\\x1b]0;owned\\x07 \\x0d[bold]y \\u202egpj.exe"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> io.StringIO:
    """A terminal whose every byte is kept; it shows a status and a bar."""
    screen = io.StringIO()
    options = {"highlight": False, "markup": False, "emoji": False, "soft_wrap": True}
    for name in ("_console", "_errors"):
        monkeypatch.setattr(console, name, Console(file=screen, force_terminal=True, **options))
    monkeypatch.setattr(console, "LOGS", tmp_path / "logs")
    console.begin("test", verbose=True)
    return screen


def test_what_others_have_named_is_never_obeyed_by_the_terminal(terminal: io.StringIO) -> None:
    console.say(HOSTILE)
    console.warn(HOSTILE)
    console.log(HOSTILE)
    with console.phase("Logs") as phase:
        phase.note(HOSTILE)
        phase.result = HOSTILE
    with console.bar(HOSTILE) as bar:
        bar.show(1, 2, HOSTILE)
    written = terminal.getvalue()
    assert written.count(SHOWN) >= 6
    assert "\x1b]" not in written
    assert "\u202e" not in written
    # rich's own escapes style nothing that was markup.
    assert "\x1b[1m" not in written
    assert console.log_file().read_text() == f"{SHOWN}\n"
    [line] = console.columns([(HOSTILE, "z")])
    assert line == f"{SHOWN}  z"


def test_a_sentence_that_quotes_a_host_is_printed_harmless_by_fabric_too() -> None:
    with pytest.raises(HostError) as refused:
        with_sentences(lambda: fail(HostError(HOSTILE)))
    assert refused.value.message == SHOWN
    with pytest.raises(OperatorError, match="ValueError") as unknown:
        with_sentences(lambda: fail(ValueError(HOSTILE)))
    assert SHOWN in str(unknown.value)


def fail(error: Exception) -> None:
    raise error


def test_what_a_library_says_goes_to_the_log_and_not_to_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # pytest has handlers of its own.
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(console, "LOGS", tmp_path / "logs")
    console.begin("test", verbose=False)
    logging.getLogger("paramiko.transport").error("Incompatible version (%s)", HOSTILE)
    assert capfd.readouterr() == ("", "")
    assert SHOWN in console.log_file().read_text()


def test_a_name_cannot_end_the_line_that_it_stands_in() -> None:
    assert console.columns([("complete\nrun-2  complete", "1")]) == ["complete\\nrun-2  complete  1"]
