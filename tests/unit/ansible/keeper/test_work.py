"""What counts as work, each kind once, by pages, units and terminals as they are on a master."""

import json
import os
import pty
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import orchard_run
from orchard_keeper import own_host, work
from orchard_keeper.host import MasterHost, Served
from orchard_keeper.work import Activity, Follower, RunProgress

NOW = 1_764_151_200.0
BEFORE = "2025-11-26T09:00:00.000000Z"


class Master:
    """Pages by the end of their address, and which units are up."""

    def __init__(self, folder: Path) -> None:
        self.pages: dict[str, Any] = {}
        self.active = {"spark-master", "jupyter"}
        self.listener: int | None = 33
        (folder / "token").write_text("secret\n")
        self.facts: dict[str, Any] = {
            "master_address": "10.0.0.5",
            "private_address": "10.0.0.5",
            "ports": {"master_ui": 8080, "job_ui": [4040, 4041], "jupyter": 8888},
            "units": {"master": "spark-master", "jupyter": "jupyter"},
            "paths": {"jupyter_token": str(folder / "token")},
        }

    def asked(self, url: str, _: float, headers: dict[str, str] | None = None) -> Any:
        if ":8888/" in url:
            assert headers == {"Authorization": "token secret"}
        return next((page for end, page in self.pages.items() if url.endswith(end)), None)

    def spark_has(self, cores: int, tasks: int | None) -> None:
        """One application with so many cores, and so many tasks where its driver shows a page."""
        self.pages[":8080/json/"] = {
            "workers": [{"state": "ALIVE"}, {"state": "DEAD"}],
            "activeapps": [{"id": "app-1", "name": "mine", "cores": cores}],
            "cores": 16,
        }
        if tasks is not None:
            self.pages[":4041/api/v1/applications"] = [{"id": "app-1", "name": "mine"}]
            self.pages[":4041/api/v1/applications/app-1/executors"] = [{"activeTasks": tasks}, {"activeTasks": 0}]


@pytest.fixture
def master(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Master:
    made = Master(tmp_path)
    monkeypatch.setattr(orchard_run, "asked", made.asked)
    monkeypatch.setattr(work, "is_active", lambda unit: unit in made.active)
    monkeypatch.setattr(work, "listener", lambda _: made.listener)
    monkeypatch.setattr(work, "user_of", lambda _: 33)
    return made


def test_a_run_that_goes_on_is_work_now_and_one_that_has_ended_was_until_its_end() -> None:
    going = {"run_id": "a", "is_running": True, "began_at": NOW - 500, "ended_at": None}
    ended = {"run_id": "b", "is_running": False, "began_at": NOW - 500, "ended_at": NOW - 100}
    assert list(work.of_runs([going, ended], NOW)) == [Activity("run a", NOW), Activity("run b", NOW - 100)]


def test_an_application_with_running_tasks_is_work(master: Master) -> None:
    master.spark_has(cores=4, tasks=3)
    seen = work.spark(master.facts, NOW)
    assert (seen.workers_alive, seen.cores, seen.tasks) == (1, 16, 3)
    assert seen.activities == (Activity("mine (3 tasks)", NOW),)


def test_an_application_that_waits_for_its_person_is_none(master: Master) -> None:
    master.spark_has(cores=4, tasks=0)
    assert work.spark(master.facts, NOW).activities == ()


def test_an_application_without_a_page_is_work_while_it_holds_cores(master: Master) -> None:
    master.spark_has(cores=4, tasks=None)
    assert work.spark(master.facts, NOW).activities == (Activity("mine, which has 4 cores and shows no page", NOW),)
    master.spark_has(cores=0, tasks=None)
    assert work.spark(master.facts, NOW).activities == ()


def test_a_spark_master_that_is_up_and_silent_is_not_known_and_one_that_is_down_has_no_work(master: Master) -> None:
    with pytest.raises(TimeoutError):
        work.spark(master.facts, NOW)
    master.active.clear()
    assert work.spark(master.facts, NOW) == work.Spark()


@pytest.mark.parametrize(("state", "at"), [("busy", NOW), ("idle", NOW - 3600), ("starting", NOW - 3600)])
def test_a_kernel_is_work_while_it_executes(master: Master, state: str, at: float) -> None:
    master.pages["/api/kernels"] = [{"id": "k", "execution_state": state, "last_activity": BEFORE}]
    master.pages["/api/sessions"] = [{"kernel": {"id": "k"}, "path": "pca.ipynb"}]
    assert list(work.of_kernels(master.facts, NOW)) == [Activity("kernel of pca.ipynb", at)]


def test_a_jupyterlab_that_is_up_and_silent_is_not_known_and_one_that_is_down_computes_nothing(master: Master) -> None:
    with pytest.raises(TimeoutError):
        list(work.of_kernels(master.facts, NOW))
    master.active.clear()
    assert list(work.of_kernels(master.facts, NOW)) == []


@pytest.mark.parametrize("listener", [None, 0, 34])
def test_a_neighbour_who_listens_in_jupyterlabs_place_is_not_told_its_token(
    master: Master, listener: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    master.listener = listener
    monkeypatch.setattr(orchard_run, "asked", lambda *_: pytest.fail("it was asked"))
    with pytest.raises(TimeoutError):
        list(work.of_kernels(master.facts, NOW))


def test_who_listens_on_the_loopback_is_known_by_the_kernel() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert work.listener(port) == os.getuid()
    assert work.listener(port) is None
    with socket.create_server(("0.0.0.0", 0)) as server:  # noqa: S104
        assert work.listener(server.getsockname()[1]) is None


def test_what_fails_is_work_that_is_not_known() -> None:
    def look() -> list[Activity]:
        raise ValueError("no\x1b[31m list")

    assert work.told("a notebook computes", look, NOW) == [
        Activity("whether a notebook computes is not known (ValueError: no?[31m list)", NOW)
    ]


def test_somebody_elses_name_ends_no_line_and_fills_no_screen(master: Master) -> None:
    master.spark_has(cores=1, tasks=1)
    master.pages[":8080/json/"]["activeapps"][0]["name"] = "a\n\x1b]0;b" + "x" * 200
    [activity] = work.spark(master.facts, NOW).activities
    assert activity.what == f"a??]0;b{'x' * 73} (1 tasks)"


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """A terminal: what a person types at, and what a shell reads."""
    ends = pty.openpty()
    yield ends
    for end in ends:
        os.close(end)


def test_input_at_a_terminal_is_told_by_its_access_time_and_output_by_another(
    terminal: tuple[int, int], tmp_path: Path
) -> None:
    person, shell = terminal
    device = Path(os.ttyname(shell))
    os.utime(device, (1000.0, 1000.0))
    (tmp_path / device.name).symlink_to(device)
    (tmp_path / "ptmx").touch()

    def last_input() -> float:
        [activity] = work.of_terminals(2e9, tmp_path)
        assert activity.what == f"input at terminal {device.name} of root"
        return activity.at

    os.write(shell, b"printed\n")
    assert own_host.tell_terminals("The cluster stops.", tmp_path) == 1
    assert last_input() == 1000.0
    os.write(person, b"ls\n")
    os.read(shell, 10)
    assert last_input() > 1000.0


def test_a_sentence_stands_on_a_line_of_its_own_on_every_terminal(terminal: tuple[int, int], tmp_path: Path) -> None:
    person, shell = terminal
    (tmp_path / Path(os.ttyname(shell)).name).symlink_to(os.ttyname(shell))
    (tmp_path / "99999").symlink_to(tmp_path / "nowhere")
    assert own_host.tell_terminals("The cluster stops.", tmp_path) == 1
    assert b"\nThe cluster stops.\r" in os.read(person, 100).replace(b"\a", b"")


def event(**changed: Any) -> str:
    shape = {"event": "progress", "name": "features", "done": 30, "bad": 2, "rate": 12.5}
    return f"orchard: {json.dumps(shape | changed)}"


def test_progress_is_the_phase_that_counts_pictures() -> None:
    assert work.read_progress(event()) == RunProgress(30, 2, 12.5)
    assert work.read_progress(event(event="phase", count=300)) == RunProgress(300, 2)
    for other in (event(name="list"), "orchard: no", "words", event(done="many"), "orchard: " + "[" * 100_000):
        assert work.read_progress(other) is None


def test_a_run_is_followed_to_its_end_and_asked_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    cursors = []

    def look(_: Any, run_id: str, cursor: str) -> dict[str, Any]:
        cursors.append(cursor)
        return {"lines": [event(done=len(cursors))], "cursor": f"after {len(cursors)}"}

    monkeypatch.setattr(orchard_run, "look", look)
    follower, run = Follower(), {"run_id": "a", "began_at": NOW, "is_running": True}
    assert follower.latest("a") == RunProgress()
    follower.follow({}, run)
    follower.follow({}, run | {"is_running": False})
    follower.follow({}, run | {"is_running": False})
    assert cursors == ["", "after 1"]
    assert follower.latest("a").done == 2


def test_workers_say_of_their_terminals_and_logs_as_they_ask() -> None:
    served = Served()
    for path in ("/worker-1/0", "/worker-2/1764151000", "/worker-3/9999999999/saved", "/../x", "/worker-4/x", "/"):
        served.hear(path)
    assert served.inputs(NOW) == [
        Activity("input at a terminal of worker-2", 1764151000),
        Activity("input at a terminal of worker-3", NOW),
    ]
    assert served.saved == {"worker-3"}


def test_workers_that_save_their_logs_before_the_master_does_are_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = MasterHost({"paths": {"keeper_status": str(tmp_path / "status.json")}}, aws=None)  # type: ignore[arg-type]
    monkeypatch.setattr(own_host, "save_logs", lambda *_: None)
    host._workers_alive = 1
    host.publish_status({"logs": "logs/1"})
    host._served.hear("/worker-1/0/saved")
    # A run is ended kindly meanwhile, and the status is written again.
    host.publish_status({"logs": "logs/1"})
    host.save_logs("logs/1", seconds=30)
    assert host._served.saved == {"worker-1"}
    host.publish_status({"logs": "logs/2"})
    assert host._served.saved == set()
