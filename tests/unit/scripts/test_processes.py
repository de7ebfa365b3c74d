"""Commands on this machine: what they print, how they are stopped, what is said when they can't be run."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import console, processes
from scripts.errors import MissingError, OperatorError, StoppedError

# Writes down each signal that reaches it until it may end: Terraform, too, finishes what it has begun.
ORDERLY = """
import signal, sys
seen = open(sys.argv[1], "w")
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: print(signal.Signals(number).name, file=seen, flush=True))
print("begun", flush=True)
open(sys.argv[2]).close()
"""


@pytest.fixture(autouse=True)
def log_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "LOGS", tmp_path / "logs")
    console.begin("test", verbose=False)


@pytest.fixture
def orderly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str | Path]:
    """A command that goes on until its end is waited for."""
    may_end = tmp_path / "may-end"
    os.mkfifo(may_end)
    wait = subprocess.Popen.wait

    def let_end_and_wait(process: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        # Opens as soon as the command has the other end open.
        may_end.write_bytes(b"")
        return wait(process, timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", let_end_and_wait)
    return [sys.executable, "-c", ORDERLY, tmp_path / "seen", may_end]


def test_ctrl_c_sends_a_long_command_one_sigint_and_waits_for_its_end(
    tmp_path: Path, orderly: list[str | Path]
) -> None:
    def press_ctrl_c(line: str) -> None:
        assert line == "begun"
        raise KeyboardInterrupt

    with pytest.raises(StoppedError) as stopped:
        processes.follow(orderly, timeout=60, on_line=press_ctrl_c)
    assert stopped.value.code == 130
    assert "has ended in order; the same command again goes on." in str(stopped.value)
    assert (tmp_path / "seen").read_text() == "SIGINT\n"


def test_a_command_that_is_over_its_time_is_stopped_in_order(
    tmp_path: Path, orderly: list[str | Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    monkeypatch.setattr(processes, "wait_until", lambda look, **_: until_it_is_heard(look, heard))
    with pytest.raises(OperatorError, match="was not done within 2 minutes and was stopped: "):
        processes.follow(orderly, timeout=120, on_line=heard.append)
    assert (tmp_path / "seen").read_text() == "SIGINT\n"


def until_it_is_heard(look: object, heard: list[str]) -> bool:
    """As a time that is up once the command has begun."""
    assert callable(look)
    while not heard:
        look()
    return False


def test_lines_are_heard_and_kept_in_the_log() -> None:
    heard: list[str] = []
    words = [sys.executable, "-c", "import sys; print('one'); print('two', file=sys.stderr); sys.exit(3)"]
    done = processes.follow(words, timeout=60, on_line=heard.append)
    assert (done.code, heard) == (3, ["one", "two"])
    assert done.out in console.log_file().read_text()


@pytest.mark.parametrize("run", [processes.capture, processes.follow])
def test_more_environment_reaches_the_command_alone(run: object) -> None:
    words = [sys.executable, "-c", "import os; print(os.environ['TF_WORKSPACE'])"]
    assert callable(run)
    assert run(words, env={"TF_WORKSPACE": "fruits"}, timeout=60).out == "fruits\n"
    assert "TF_WORKSPACE" not in os.environ


def test_what_a_short_command_prints_when_it_fails_is_in_the_log() -> None:
    done = processes.capture([sys.executable, "-c", "import sys; sys.exit('bad luck')"])
    assert (done.code, done.err) == (1, "bad luck\n")
    assert "bad luck" in console.log_file().read_text()


def test_a_short_command_without_an_answer_is_given_up() -> None:
    with pytest.raises(OperatorError, match="gave no answer within 0 s: try again"):
        processes.capture([sys.executable, "-c", "import signal; signal.pause()"], timeout=0.01)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "ssh-keygen",
            "ssh-keygen is not installed: install the OpenSSH client (Debian and Ubuntu: sudo apt-get install "
            "openssh-client), then try again.",
        ),
        ("no-such-program", "no-such-program is not installed: install it, then try again."),
    ],
)
def test_a_program_that_is_missing_is_named_with_where_to_get_it(
    monkeypatch: pytest.MonkeyPatch, name: str, sentence: str
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingError) as refused:
        processes.need(name)
    assert (refused.value.code, str(refused.value)) == (3, sentence)


def test_how_a_program_is_installed_is_said_for_this_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(MissingError, match=r"^terraform is not installed: brew install hashicorp/tap/terraform, then"):
        processes.need("terraform")


def test_a_command_at_the_terminal_has_its_own_exit_code() -> None:
    assert processes.hand_over([sys.executable, "-c", "raise SystemExit(23)"]) == 23


def test_a_sigterm_to_this_process_ends_the_command_at_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted = iter([KeyboardInterrupt])
    wait = subprocess.Popen.wait

    def wait_or_be_ended(process: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        for error in interrupted:
            raise error
        return wait(process, timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", wait_or_be_ended)
    words = [sys.executable, "-c", "import signal; signal.pause()"]
    assert processes.hand_over(words) == -signal.SIGTERM


def test_a_name_without_a_value_is_taken_out_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHARD_LOOSE", "yes")
    words = [sys.executable, "-c", "import os; print(os.environ.get('ORCHARD_LOOSE'))"]
    assert processes.capture(words).out == "yes\n"
    assert processes.capture(words, env={"ORCHARD_LOOSE": None}).out == "None\n"


def test_what_has_nothing_to_do_with_aws_gets_no_key_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in processes.AWS_SECRETS:
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("AWS_PROFILE", "mine")
    environment = processes.without_secrets()
    assert "secret" not in environment.values()
    assert environment["AWS_PROFILE"] == "mine"
