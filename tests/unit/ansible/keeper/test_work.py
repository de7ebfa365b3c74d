"""What counts as work, each kind once, by pages, units and terminals as they are on a master."""

import json
import os
import pty
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import orchard_run
from orchard_keeper import host as host_of_master
from orchard_keeper import own_host, work
from orchard_keeper.host import BoundedServer, MasterHost, Served
from orchard_keeper.work import Activity, Follower, RunProgress

linux = pytest.mark.skipif(sys.platform != "linux", reason="terminals and sockets as Linux shows them")
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


def test_a_query_that_began_and_ended_between_two_looks_is_work_and_an_executor_that_went_is_none(
    master: Master,
) -> None:
    def look(given: dict[str, int]) -> tuple[Activity, ...]:
        nonlocal seen
        executors = [{"id": name, "activeTasks": 0, "totalTasks": number} for name, number in given.items()]
        master.pages[":4041/api/v1/applications/app-1/executors"] = executors
        seen = work.spark(master.facts, NOW, seen)
        return seen.activities

    master.spark_has(cores=4, tasks=0)
    seen = work.Spark()
    # Whoever looks for the first time does not know when they were.
    assert look({"driver": 0, "0": 7}) == ()
    assert look({"driver": 0, "0": 7}) == ()
    assert look({"driver": 0, "0": 8}) == (Activity("mine (tasks a moment ago)", NOW),)
    assert look({"driver": 0}) == ()
    assert look({"driver": 0, "2": 0}) == ()
    assert look({"driver": 0, "1": 1}) == (Activity("mine (tasks a moment ago)", NOW),)
    assert look({"driver": 0, "1": 1}) == ()


def test_a_page_that_was_missed_once_makes_no_task_of_long_ago_a_new_one(master: Master) -> None:
    pages, executors = ":4041/api/v1/applications", [{"id": "0", "activeTasks": 1, "totalTasks": 7}]
    master.spark_has(cores=0, tasks=0)
    master.pages[f"{pages}/app-1/executors"] = executors
    seen = work.spark(master.facts, NOW)
    listed = master.pages.pop(pages)
    seen = work.spark(master.facts, NOW, seen)
    assert (seen.activities, seen.tasks) == ((), 0)
    master.pages[pages], executors[0]["activeTasks"] = listed, 0
    seen = work.spark(master.facts, NOW, seen)
    assert seen.activities == ()
    executors[0]["totalTasks"] = 8
    assert work.spark(master.facts, NOW, seen).activities == (Activity("mine (tasks a moment ago)", NOW),)


def test_an_application_that_began_and_was_at_work_between_two_looks_is_work(master: Master) -> None:
    master.pages[":8080/json/"] = {"workers": [], "activeapps": [], "cores": 16}
    seen = work.spark(master.facts, NOW)
    master.spark_has(cores=4, tasks=0)
    master.pages[":4041/api/v1/applications/app-1/executors"] = [{"id": "0", "activeTasks": 0, "totalTasks": 2}]
    assert work.spark(master.facts, NOW, seen).activities == (Activity("mine (tasks a moment ago)", NOW),)


def test_the_master_s_keeper_remembers_its_last_look(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("of_kernels", "of_terminals"):
        monkeypatch.setattr(work, name, lambda *_: [])
    monkeypatch.setattr(orchard_run, "runs", lambda _: [])
    monkeypatch.setattr(own_host, "free_disk_gb", lambda _: 1.0)
    master.facts["paths"]["state"] = "/"
    master.spark_has(cores=4, tasks=0)
    host = MasterHost(master.facts, aws=None)  # type: ignore[arg-type]
    host.look({}, NOW)
    master.pages[":4041/api/v1/applications/app-1/executors"] = [{"id": "0", "activeTasks": 0, "totalTasks": 2}]
    assert host.look({}, NOW).activities == (Activity("mine (tasks a moment ago)", NOW),)


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


@linux
def test_who_listens_on_the_loopback_is_known_by_the_kernel() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert work.listener(port) == os.getuid()
    assert work.listener(port) is None
    # As Java's sockets stand in the kernel's other table.
    with socket.socket(socket.AF_INET6) as server:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.bind(("::ffff:127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert work.listener(port) == os.getuid()
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


@linux
def test_input_at_a_terminal_is_told_by_its_access_time_and_output_by_another(
    terminal: tuple[int, int], tmp_path: Path
) -> None:
    person, shell = terminal
    device = Path(os.ttyname(shell))
    os.utime(device, (1000.0, 1000.0))
    (tmp_path / device.name).symlink_to(device)
    (tmp_path / "ptmx").touch()

    def last_input() -> float:
        [activity] = work.of_terminals(tmp_path)
        assert activity.what == f"input at terminal {device.name} of root"
        return activity.at

    os.write(shell, b"printed\n")
    assert own_host.tell_terminals("The cluster stops.", tmp_path) == 1
    assert last_input() == 1000.0
    os.write(person, b"ls\n")
    os.read(shell, 10)
    assert last_input() > 1000.0


@linux
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
    hostile = [event(done=-1), event(rate=float("nan")), event(event="phase", count=10**400), event(bad=1e10)]
    for other in (event(name="list"), "orchard: no", "words", event(done="many"), "orchard: " + "[" * 99_000, *hostile):
        assert work.read_progress(other) is None


def test_a_run_is_followed_to_its_end_and_asked_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    cursors = []

    def look(_: Any, run_id: str, cursor: str, most_lines: int) -> dict[str, Any]:
        assert most_lines > 0
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
    for path in ("/worker-1/0", "/worker-2/1764151000", "/worker-3/0/saved", "/../x", "/worker-4/x", "/", "/mine/1"):
        served.hear(path, 1000.0)
    assert served.inputs() == [Activity("input at a terminal of worker-2", 1764151000)]
    assert served.saved == {"worker-3"}


def test_a_worker_that_aws_takes_back_is_told_of_until_an_hour_after_its_last_word() -> None:
    served, at = Served(), int(NOW) + 120
    served.hear(f"/worker-1/leaving/{at}", NOW)
    clock = datetime.fromtimestamp(at, UTC).strftime("%H:%M UTC")
    assert served.notices(NOW + 5) == [
        f"AWS takes worker-1 back at {clock} (spot): it finishes its tasks, and the others do the rest."
    ]
    assert served.notices(NOW + 3600) == [f"AWS took worker-1 back at {clock} (spot)."]
    assert served.notices(NOW + 3601) == []


def test_a_worker_that_aws_may_take_back_works_on_and_one_that_stays_is_told_of_no_more() -> None:
    served = Served()
    served.hear(f"/worker-2/rebalance/{NOW:.0f}", NOW)
    [said] = served.notices(NOW)
    assert said.startswith("AWS may take worker-2 back soon (spot, told at ")
    served.hear(f"/worker-2/leaving/{NOW:.0f}", NOW)
    [said] = served.notices(NOW - 1)
    assert said.startswith("AWS takes worker-2 back at ")
    served.hear("/worker-2/staying/0", NOW)
    assert served.notices(NOW) == []


@pytest.mark.parametrize("path", ["/worker-1/leaving", "/worker-1/leaving/x", "/mine/leaving/1", "/worker-1/else/1"])
def test_a_notice_that_is_none_is_not_heard(path: str) -> None:
    served = Served()
    served.hear(path, NOW)
    assert served.notices(NOW) == []


def test_a_time_that_no_clock_has_breaks_no_look() -> None:
    served = Served()
    served.hear("/worker-1/leaving/999999999999", NOW)
    clock = datetime.fromtimestamp(NOW, UTC).strftime("%H:%M UTC")
    assert served.notices(NOW) == [f"AWS took worker-1 back at {clock} (spot)."]


def test_workers_that_save_their_logs_before_the_master_does_are_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = MasterHost({"paths": {"keeper_status": str(tmp_path / "status.json")}}, aws=None)  # type: ignore[arg-type]
    monkeypatch.setattr(host, "serve", lambda: None)
    monkeypatch.setattr(own_host, "save_logs", lambda *_: None)
    host._workers_alive = 1
    host.publish_status({"logs": "logs/1"})
    host._served.hear("/worker-1/0/saved", 1000.0)
    # A run is ended kindly meanwhile, and the status is written again.
    host.publish_status({"logs": "logs/1"})
    host.save_logs("logs/1", seconds=30)
    assert host._served.saved == {"worker-1"}
    host.publish_status({"logs": "logs/2"})
    assert host._served.saved == set()


@pytest.mark.parametrize("tasks", [10**400, -1, "many", None, float("nan")])
def test_a_driver_whose_page_is_nonsense_counts_as_one_without_a_page(master: Master, tasks: Any) -> None:
    master.spark_has(cores=2, tasks=1)
    master.pages[":4041/api/v1/applications/app-1/executors"] = [{"activeTasks": tasks}]
    seen = work.spark(master.facts, NOW)
    assert (seen.tasks, seen.workers_alive) == (0, 1)
    assert seen.activities == (Activity("mine, which has 2 cores and shows no page", NOW),)


def test_many_drivers_that_are_slow_take_no_longer_than_all_may(
    master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    master.spark_has(cores=1, tasks=1)
    applications = master.pages[":8080/json/"]["activeapps"]
    master.pages[":8080/json/"]["activeapps"] = applications * 500
    clock = iter(range(0, 100_000, 5))
    monkeypatch.setattr(work.time, "monotonic", lambda: float(next(clock)))
    asked: list[str] = []
    answer = master.asked
    monkeypatch.setattr(orchard_run, "asked", lambda url, *more: asked.append(url) or answer(url, *more))
    assert len(work.spark(master.facts, NOW).activities) == 500
    assert len(asked) < 20


class Network:
    """A server of the keeper's, and lines to it."""

    def __init__(self) -> None:
        self.served = Served()
        self.served.status = {"warning": "soon"}
        self.server = BoundedServer(("127.0.0.1", 0), self.served.handler())

    def line(self) -> socket.socket:
        return socket.create_connection(self.server.server_address, timeout=10)

    def answer(self) -> Any:
        host, port = self.server.server_address
        return orchard_run.asked(f"http://{host}:{port}/worker-1/7", 5)


@pytest.fixture
def network() -> Iterator[Network]:
    made = Network()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_worker_is_answered_with_the_status(network: Network) -> None:
    assert network.answer() == {"warning": "soon"}
    assert network.served.inputs() == [Activity("input at a terminal of worker-1", 7)]


def test_lines_that_say_nothing_are_few_and_cut(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_of_master, "ANSWER_SECONDS", 0.5)
    silent = [network.line() for _ in range(host_of_master.AT_ONCE + 20)]
    # Those beyond are refused at once, the others after their time; and then there is room again.
    assert [line.recv(1) for line in silent] == [b""] * len(silent)
    assert network.answer() == {"warning": "soon"}


def test_a_page_that_drips_is_cut_off_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        over = threading.Event()

        def drip() -> None:
            with server.accept()[0] as line, suppress(OSError):
                while not over.wait(0.05):
                    line.sendall(b"H")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        # Each byte comes within the time-out of a read, and all of them never.
        assert orchard_run.asked(f"http://127.0.0.1:{server.getsockname()[1]}/", 0.5) is None
        over.set()
        thread.join()
