"""Whatever goes wrong in a task is one sentence and an exit code."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts import console
from scripts.errors import HostError, MissingError, OperatorError, StoppedError
from scripts.tasks import task, with_sentences


@pytest.fixture(autouse=True)
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(console, "LOGS", tmp_path / "logs")
    console.begin("test", verbose=False)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def end(error: BaseException) -> None:
    raise error


def test_a_fault_of_orchards_own_ends_with_1_and_its_trace_is_in_the_log() -> None:
    with pytest.raises(OperatorError) as failure:
        with_sentences(lambda: end(KeyError("oops")))
    assert failure.value.code == 1
    assert str(failure.value).startswith("Something went wrong that Orchard does not know (KeyError: 'oops'): see ")
    assert "Traceback" in console.log_file().read_text()


def test_a_sentence_that_is_one_already_is_handed_on() -> None:
    with pytest.raises(HostError) as failure:
        with_sentences(lambda: end(HostError("worker-1 cannot be reached.")))
    assert (failure.value.code, str(failure.value)) == (5, "worker-1 cannot be reached.")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_with_130(number: signal.Signals) -> None:
    with pytest.raises(StoppedError) as stopped:
        with_sentences(lambda: os.kill(os.getpid(), number))
    assert (stopped.value.code, str(stopped.value)) == (130, "Stopped; the same command again goes on.")


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (HostError("worker-1 cannot be reached."), 5, "worker-1 cannot be reached."),
        (KeyboardInterrupt(), 130, "Stopped; the same command again goes on."),
        (KeyError("oops"), 1, "Something went wrong that Orchard does not know (KeyError: 'oops'): see "),
    ],
)
def test_an_errors_notes_follow_its_own_sentence_and_leave_its_code(
    error: BaseException, code: int, sentence: str
) -> None:
    error.add_note("Running now: master.\x1b")
    with pytest.raises(OperatorError) as failure:
        with_sentences(lambda: end(error))
    first, second = str(failure.value).splitlines()
    assert first.startswith(sentence)
    assert console.visible(second) == "Running now: master.\\x1b"
    assert failure.value.code == code


def test_every_task_can_be_verbose_and_names_its_log() -> None:
    seen: list[tuple[str, bool, Path]] = []

    @task({"run": "its name"})
    def stop_run_(run: str = "") -> None:
        seen.append((run, console.is_verbose(), console.log_file()))

    stop_run_.body(None, run="r-1", verbose=True)
    [(run, verbose, log)] = seen
    assert (stop_run_.name, run, verbose) == ("stop-run", "r-1", True)
    assert "-stop-run-" in log.name


def test_a_full_disk_is_said_with_what_to_do_though_no_log_can_be_written_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A device that is always full.
    monkeypatch.setattr(console, "log_file", lambda: Path("/dev/full"))

    def work() -> None:
        console.log("so far")
        Path("/dev/full").write_text("settings")

    with pytest.raises(MissingError) as failure:
        with_sentences(work)
    assert str(failure.value) == ("The disk of this machine is full: make room, then the same command again goes on.")
