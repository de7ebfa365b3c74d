"""What the operator's side makes of a run: its words, its unit, its progress, its row in the list."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from pipeline.progress import Narrator
from scripts import console
from scripts.runs import follow
from scripts.runs import systemd_unit
from scripts.errors import HostError, InputError, NoClusterError, StoppedError
from scripts.runs.follow import Progress
from scripts.runs.follow import progress_in
from scripts.runs.follow import span
from scripts.runs.table import Row
from scripts.runs.table import money
from scripts.runs.table import row
from scripts.runs.table import table
from scripts.runs.submission import DEFAULT_SIZE
from scripts.runs.submission import SIZES
from scripts.runs.submission import Submission
from scripts.runs.submission import words_of
from scripts.runs.systemd_unit import Look
from scripts.runs.systemd_unit import Unit
from scripts.runs.systemd_unit import parse

README = Path(__file__).resolve().parents[4] / "README.md"
SUBMISSION = Submission("r", "mini", ("--limit", "300"), "imagenet", "2026-01-01T00:00:00+00:00", 0.9, "USD")
RUNNING = Unit("r", True, None, 1000.0, None)
RECORD: dict[str, Any] = {
    "status": "complete",
    "counts": {"listed": 300, "features": 298, "errors": 2},
    "seconds": {"total": 40.0},
}


def shown(**changed: str) -> str:
    """What `systemctl show` says of a unit that ended well, but for these properties."""
    properties = {
        "Id": "orchard-run-r.service",
        "LoadState": "loaded",
        "ActiveState": "active",
        "SubState": "exited",
        "ExecMainCode": "1",
        "ExecMainStatus": "0",
        "ExecMainStartTimestamp": "@1000",
        "ExecMainExitTimestamp": "@1060",
    }
    return "\n".join(f"{name}={value}" for name, value in (properties | changed).items())


def ended(code: int) -> Unit:
    return Unit("r", False, code, 1000.0, 1060.0)


def test_the_readmes_table_has_the_sizes_that_run_takes() -> None:
    rows = re.findall(r"^\| (\w+) \| (?:`([^`]+)`.*|none) \|$", README.read_text(), re.MULTILINE)
    in_readme = {name: tuple(shlex.split(options)) for name, options in rows if name in SIZES}
    assert in_readme == SIZES


def test_a_size_and_arguments_become_the_jobs_words() -> None:
    assert words_of(DEFAULT_SIZE, "--classes 'Apple Braeburn' Pear*") == (
        "--limit", "300", "--classes", "Apple Braeburn", "Pear*",
    )  # fmt: skip


def test_what_is_no_size_or_no_words_is_refused() -> None:
    with pytest.raises(InputError, match=r"^huge is no size: give SIZE=mini, class, apples or full\.$"):
        words_of("huge", "")
    with pytest.raises(InputError, match=r"^ARGS cannot be split into words \(No closing quotation\): "):
        words_of("mini", "'a")


def test_the_command_leaves_the_masters_address_to_the_unit_and_guards_every_other_dollar() -> None:
    command = Submission(**{**vars(SUBMISSION), "words": ("--classes", "$HOME")}).command("b", ["--resume"])
    assert command[command.index("--master") + 1] == "${ORCHARD_MASTER}"
    assert command[command.index("--classes") + 1] == "$$HOME"
    assert command[command.index("--images") + 1] == "s3://b/pictures"
    assert command[command.index("--output") + 1] == "s3://b/runs"
    assert command[-1] == "--resume"


@pytest.mark.parametrize(
    ("properties", "is_running", "code"),
    [
        ({}, False, 0),
        ({"SubState": "running", "ExecMainExitTimestamp": ""}, True, None),
        ({"SubState": "stop-sigterm", "ActiveState": "deactivating"}, True, None),
        ({"SubState": "failed", "ExecMainStatus": "3"}, False, 3),
        ({"SubState": "failed", "ExecMainCode": "2", "ExecMainStatus": "9"}, False, 137),
    ],
)
def test_a_units_properties_tell_whether_it_runs_or_how_it_ended(
    properties: dict[str, str], is_running: bool, code: int | None
) -> None:
    found = parse(shown(**properties))
    assert found
    assert (found.run_id, found.is_running, found.code, found.began_at) == ("r", is_running, code, 1000.0)


def test_a_unit_that_is_not_loaded_is_none() -> None:
    assert parse(shown(LoadState="not-found")) is None
    assert parse("") is None


def test_the_jobs_own_progress_lines_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    narrator = Narrator()
    monkeypatch.setattr(narrator, "say", said.append)
    monkeypatch.setattr("pipeline.progress.PLAIN_LINE_SECONDS", 0.0)
    with narrator.pictures("features", "Features", 67_692) as report:
        report(1_280)
    progress = progress_in(said[0])
    assert progress
    assert (progress.doing, progress.done, progress.total) == ("Features", 1_280, 67_692)
    assert progress_in("    1.2 s  Listed 300 pictures in 120 classes") is None


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_a_span_is_told_in_two_units_at_most(seconds: float, told: str) -> None:
    assert span(seconds) == told


@pytest.mark.parametrize(("amount", "told"), [(0, "0.00 USD"), (0.004, "less than 0.01 USD"), (1234.5, "1,234.50 USD")])
def test_money_is_told_in_cents(amount: float, told: str) -> None:
    assert money(amount, "USD") == told


@pytest.mark.parametrize(
    ("record", "known", "state"),
    [
        (None, RUNNING, "running"),
        (RECORD, ended(0), "complete"),
        (RECORD, None, "complete"),
        (RECORD | {"status": "too many bad pictures"}, ended(3), "too many bad pictures"),
        # A run that is resumed has the record of its last attempt until its end.
        (RECORD | {"status": "too many bad pictures"}, RUNNING, "running"),
        (None, ended(130), "stopped"),
        (None, ended(4), "failed (4)"),
        (None, None, "cut off"),
        # It ended well, and somebody has emptied its folder since.
        (None, ended(0), "deleted"),
    ],
)
def test_a_runs_state_is_what_bucket_and_master_say_together(
    record: dict[str, Any] | None, known: Unit | None, state: str
) -> None:
    assert row("r", SUBMISSION, record, known, None, 1040.0).state == state


def test_a_run_costs_its_time_at_the_price_it_was_begun_at() -> None:
    assert row("r", SUBMISSION, None, RUNNING, None, 1000.0 + 1800).cost == pytest.approx(0.45)
    assert row("r", SUBMISSION, RECORD, None, None, 0.0).cost == pytest.approx(0.9 * 40 / 3600)
    # Asked for once more when it was complete already: that took no time of its own.
    assert row("r", SUBMISSION, RECORD, Unit("r", False, 0, 1000.0, 1001.0), None, 1040.0).seconds == 40.0
    assert row("r", None, RECORD, None, None, 0.0).cost is None


def test_a_run_under_way_tells_how_far_it_is() -> None:
    told = row("r", SUBMISSION, None, RUNNING, Progress("Features", 120, 300, 30, 6), 1040.0)
    assert (told.done, told.total, told.bad) == (120, 300, None)


def test_the_list_is_aligned_and_leaves_out_what_is_not_known() -> None:
    lines = table(
        [
            Row("20260101-120000", "complete", "full", 67_690, 67_692, 2, 830.0, 0.2, "USD"),
            Row("r", "cut off", "", None, None, None, None, None, ""),
        ]
    )
    assert lines == [
        "RUN              STATE     SIZE  PICTURES          UNREADABLE  TIME         COST",
        "20260101-120000  complete  full  67,690 of 67,692  2           13 min 50 s  0.20 USD",
        "r                cut off   -     -                 -           -            -",
    ]


class Master:
    """Answers looks at a run in this order; an error is raised."""

    def __init__(self, *answers: Look | Exception) -> None:
        self.answers = list(answers)
        self.cursors: list[str] = []
        self.closed = 0

    def look(self, _hosts: Any, _run_id: str, cursor: str) -> Look:
        self.cursors.append(cursor)
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def followed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Follows a run on a master that answers so."""
    monkeypatch.setattr(follow, "LOOK_EVERY", 0.0)

    def through(master: Master) -> Unit:
        monkeypatch.setattr(systemd_unit, "look", master.look)
        return follow.follow(master, "r")  # type: ignore[arg-type]

    return through


def test_following_goes_on_from_the_last_line_and_gives_how_it_ended(
    followed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    master = Master(Look(RUNNING, ("one", "two"), "c2"), Look(RUNNING, (), "c2"), Look(ended(3), ("three",), "c3"))
    assert followed(master).code == 3
    assert master.cursors == ["", "c2", "c2"]
    assert capsys.readouterr().out == "one\ntwo\nthree\n"


def test_a_lost_connection_is_opened_anew_and_told(followed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    lost = HostError("master at 10.0.0.1 cannot be reached (no answer): `make up` checks and mends.")
    master = Master(Look(RUNNING, (), "c1"), lost, lost, Look(ended(0), ("end",), "c2"))
    assert followed(master).code == 0
    assert (master.cursors, master.closed) == (["", "c1", "c1", "c1"], 2)
    assert capsys.readouterr().err == (
        "master at 10.0.0.1 cannot be reached (no answer). Run r goes on by itself; trying again.\n"
        "The master answers again after 0 s.\n"
    )


def test_a_connection_that_stays_lost_ends_following_and_not_the_run(
    followed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "PATIENCE", -1.0)
    sentence = r"Run r goes on by itself: `make follow RUN=r` attaches again\.$"
    with pytest.raises(HostError, match=sentence):
        followed(Master(HostError("lost")))


def test_ctrl_c_ends_following_and_not_the_run(followed: Any) -> None:
    with pytest.raises(StoppedError) as caught:
        followed(Master(KeyboardInterrupt()))  # type: ignore[arg-type]
    assert str(caught.value) == (
        "Run r goes on without you: `make follow RUN=r` attaches again, `make stop-run RUN=r` ends it."
    )
    assert caught.value.exit_code == 130


def test_a_run_that_the_master_has_forgotten_can_go_on(followed: Any) -> None:
    with pytest.raises(NoClusterError, match=r"it has restarted.*`make run RUN=r` goes on with it"):
        followed(Master(Look(RUNNING, (), ""), Look(None, (), "")))


def test_off_a_terminal_progress_is_printed_as_the_job_tells_it(
    followed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not console.is_terminal()
    line = "Features: 120 of 300 pictures, 33 images/s, 5 s left"
    followed(Master(Look(ended(0), (line,), "")))
    assert capsys.readouterr().out == f"{line}\n"
