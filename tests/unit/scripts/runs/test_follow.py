"""Following a run: what is shown, and what a lost connection, Ctrl-C or a forgetful master do to it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import pytest

from scripts import console
from scripts.errors import HostError, NoClusterError, StoppedError
from scripts.runs import follow
from scripts.runs.own_job import OwnJob
from scripts.runs.systemd_unit import Unit
from tests.doubles.fake_hosts import FakeHosts, cluster_of
from tests.unit.scripts.runs.test_progress import line, progress_line

RUNNING = {"run_id": "r", "is_running": True, "code": None, "began_at": 1000.0, "ended_at": None}
LOST = HostError("master at 10.0.0.1 cannot be reached (no answer): `make up` checks and mends.")
Follow = Callable[..., Unit]


def ended(code: int) -> dict[str, Any]:
    return RUNNING | {"is_running": False, "code": code, "ended_at": 1060.0}


def seen(run: dict[str, Any] | None, *lines: str, cursor: str = "") -> dict[str, Any]:
    """What orchard-run answers at one moment."""
    return {"run": run, "lines": lines, "cursor": cursor}


JOB = asdict(OwnJob("r", "my.py", (), ("my.py",), (), "2026-01-01T00:00:00+00:00", None, "USD"))


@dataclass
class JobBucket:
    """A bucket of these objects."""

    objects: dict[str, Any]

    def read_many(self, keys: list[str]) -> list[Any]:
        return [self.objects.get(key) for key in keys]


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> FakeHosts:
    monkeypatch.setattr(follow, "PAUSE_SECONDS", 0.0)
    return FakeHosts(cluster_of())


@pytest.fixture
def followed(hosts: FakeHosts) -> Follow:
    """Follows a run that is seen so from its beginning; further moments by their cursor."""

    def through(*moments: Any, **by_cursor: Any) -> Unit:
        hosts.answer_run(hosts.cluster.master, "look r --cursor=", *moments)
        for cursor, later in by_cursor.items():
            hosts.answer_run(hosts.cluster.master, f"look r --cursor={cursor}", *later)
        return follow.follow(hosts, "r")

    return through


def test_following_goes_on_from_the_last_line_and_gives_how_it_ended(
    followed: Follow, capsys: pytest.CaptureFixture[str]
) -> None:
    first = seen(RUNNING, line(event="note", text="one"), "two", cursor="c2")
    assert followed(first, c2=[seen(RUNNING, cursor="c2"), seen(ended(20), "three", cursor="c3")]).code == 20
    assert capsys.readouterr().out == "one\ntwo\nthree\n"


def test_an_end_that_is_near_is_said_once_and_again_when_it_is_another(
    followed: Follow, capsys: pytest.CaptureFixture[str]
) -> None:
    soon, later = "Cluster fruits stops at 10:30 UTC.", "Cluster fruits stops at 12:30 UTC."
    warnings = [soon, soon, None, later]
    moments = [seen(RUNNING, cursor="c1") | {"warning": warning} for warning in warnings]
    followed(seen(RUNNING, cursor="c1"), c1=[*moments, seen(ended(0), cursor="c1")])
    assert capsys.readouterr().err == f"{soon}\n{later}\n"


def test_a_worker_that_aws_takes_back_is_said_once(followed: Follow, capsys: pytest.CaptureFixture[str]) -> None:
    notices = [["AWS takes worker-1 back."], ["AWS takes worker-1 back.", "AWS may take worker-2 back."], []]
    moments = [seen(RUNNING, cursor="c1") | {"notices": said} for said in notices]
    followed(seen(RUNNING, cursor="c1"), c1=[*moments, seen(ended(0), cursor="c1") | {"notices": notices[0]}])
    assert capsys.readouterr().err == "AWS takes worker-1 back.\nAWS may take worker-2 back.\n"


def test_a_host_that_the_job_lost_is_said_in_its_words(followed: Follow, capsys: pytest.CaptureFixture[str]) -> None:
    lost = line(event="loss", host="worker-2", text="worker-2 was lost.")
    followed(seen(RUNNING, lost, cursor="c1"), c1=[seen(ended(0), cursor="c1")])
    assert capsys.readouterr().out == "worker-2 was lost.\n"


def test_a_lost_connection_is_opened_anew_and_said(
    followed: Follow, hosts: FakeHosts, capsys: pytest.CaptureFixture[str]
) -> None:
    assert followed(seen(RUNNING, cursor="c1"), c1=[LOST, LOST, seen(ended(0), "end", cursor="c2")]).code == 0
    assert hosts.closed == 2
    assert capsys.readouterr().err == (
        "master at 10.0.0.1 cannot be reached (no answer). Run r goes on by itself; trying again.\n"
        "The master answers again after 0 s.\n"
    )


def test_a_connection_that_stays_lost_ends_following_and_not_the_run(
    followed: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "PATIENCE_SECONDS", 0.0)
    with pytest.raises(HostError, match=r"Run r goes on by itself: `make follow RUN=r` attaches again\.$"):
        followed(LOST)


def test_ctrl_c_ends_following_and_not_the_run(followed: Follow, hosts: FakeHosts) -> None:
    with pytest.raises(StoppedError) as caught:
        followed(KeyboardInterrupt())
    assert str(caught.value) == (
        "Run r goes on without you: `make follow RUN=r` attaches again, `make stop-run RUN=r` ends it."
    )
    assert caught.value.exit_code == 130
    assert hosts.asked(hosts.cluster.master) == ["look r --cursor="]


def test_a_run_that_the_master_has_forgotten_can_go_on(followed: Follow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "bucket_of", lambda _: JobBucket({}))
    with pytest.raises(NoClusterError, match=r"it has restarted.*`make run RUN=r` goes on with it"):
        followed(seen(RUNNING), seen(None))


def test_a_job_that_the_master_has_forgotten_is_fetched_and_another_begun(
    followed: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "bucket_of", lambda _: JobBucket({"jobs/r/job.json": JOB}))
    with pytest.raises(NoClusterError) as forgotten:
        followed(seen(RUNNING), seen(None))
    assert str(forgotten.value) == (
        "The master knows of no job r, for it has restarted: `make results JOB=r` fetches what it wrote, "
        "`make submit` begins another."
    )


def test_off_a_terminal_progress_is_a_line_in_words(followed: Follow, capsys: pytest.CaptureFixture[str]) -> None:
    assert not console.is_terminal()
    followed(seen(ended(0), progress_line()))
    assert capsys.readouterr().out == "Features: 503 of 20,622 pictures, 41 images/s, 8 min 5 s left\n"


def test_on_a_terminal_progress_is_one_bar_and_no_line(
    followed: Follow, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn: list[tuple[Any, ...]] = []

    class Bar:
        def __init__(self, name: str) -> None:
            drawn.append((name,))

        def __enter__(self) -> "Bar":
            return self

        def __exit__(self, *_: object) -> None:
            drawn.append(("gone",))

        def show(self, *shown: Any) -> None:
            drawn.append(shown)

    monkeypatch.setattr(console, "is_terminal", lambda: True)
    monkeypatch.setattr(console, "bar", Bar)
    followed(seen(RUNNING, progress_line(done=10)), seen(ended(0), progress_line()))
    assert drawn == [
        ("Features",),
        (10, 20_622, "10 of 20,622 pictures, 41 images/s, 8 min 5 s left"),
        (503, 20_622, "503 of 20,622 pictures, 41 images/s, 8 min 5 s left"),
        ("gone",),
    ]
    assert capsys.readouterr().out == ""
