"""Beside a run that is followed: lost workers are made anew, and what goes wrong there is a line, not the run's end."""

import fcntl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from scripts import console
from scripts.cluster import Cluster, Host
from scripts.errors import AwsError, HostError, InputError, StoppedError
from scripts.healing import beside, workers
from scripts.healing.beside import Healer
from scripts.hosts import keeper, readiness, spark_master
from scripts.hosts.keeper import NoKeeperError
from scripts.hosts.spark_master import MasterState
from scripts.repair import instances
from scripts.terraform import outputs, workspace
from tests.doubles.fake_hosts import FakeHosts, cluster_of
from tests.waiting import wait_until

CLUSTER = cluster_of(workers=2)
NO_CAPACITY = AwsError("worker-2 could not be started: AWS has none left in this zone just now.")


@dataclass
class World:
    """A cluster of which these workers are `lost`, `idle` or `silent`; `done` is what was done about it."""

    cluster: Cluster = CLUSTER
    lost: list[str] = field(default_factory=list)
    idle: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    failing: Exception | None = None
    ending: str | None = None
    held_by: list[str] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)

    def named(self, names: Sequence[str]) -> list[Host]:
        return [host for host in self.cluster.workers if host.name in names]

    def make_anew(self, hosts: Sequence[Host], is_there: bool = False) -> Cluster:
        self.does("replace" if is_there else "make", hosts)
        self.lost, self.idle, self.silent = [], [], []
        return self.cluster

    def equip(self, hosts: Sequence[Host]) -> None:
        self.does("equip", hosts)
        self.idle = []

    def switch_on(self, hosts: Sequence[Host]) -> bool:
        self.does("start", hosts)
        self.states = {}
        return True

    def refresh(self) -> None:
        self.done.append("refresh")

    def fails(self, what: str, hosts: Sequence[Host]) -> None:
        self.does(what, hosts)
        raise NO_CAPACITY

    def does(self, what: str, hosts: Sequence[Host]) -> None:
        self.done.append(f"{what} {' '.join(host.name for host in hosts)}")
        if self.failing:
            raise self.failing

    def state(self) -> MasterState:
        gone = {*self.lost, *self.idle}
        return MasterState(frozenset(host.private_ip for host in CLUSTER.workers if host.name not in gone), (), 4)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    made = World()
    monkeypatch.setenv("ORCHARD_TERRAFORM", str(tmp_path / "terraform"))
    monkeypatch.setattr(console, "LOGS", tmp_path / "logs")
    console.begin("test", verbose=False)
    monkeypatch.setattr(beside, "Hosts", FakeHosts(CLUSTER))
    monkeypatch.setattr(workers, "lost", lambda _: made.named(made.lost))
    monkeypatch.setattr(workers, "silent", lambda _, hosts: [host for host in hosts if host.name in made.silent])
    monkeypatch.setattr(workers, "make_anew", lambda _, hosts, is_there=False: made.make_anew(hosts, is_there))
    monkeypatch.setattr(workers, "equip", lambda _, hosts: made.equip(hosts))
    monkeypatch.setattr(instances, "reboot", lambda _, hosts: made.does("reboot", hosts))
    monkeypatch.setattr(instances, "switch_on", lambda _, hosts: made.switch_on(hosts))
    monkeypatch.setattr(workspace, "Workspace", lambda _: made)
    monkeypatch.setattr(
        readiness,
        "states",
        lambda cluster: {
            host.name: "terminated" if host.name in made.lost else made.states.get(host.name, "running")
            for host in cluster.hosts
        },
    )
    monkeypatch.setattr(outputs, "current", lambda: made.cluster)
    monkeypatch.setattr(spark_master, "master_state", lambda *_: made.state())
    monkeypatch.setattr(keeper, "ends", lambda _: SimpleNamespace(ending=made.ending, ended=None, held_by=made.held_by))

    @contextmanager
    def held(_: Cluster, name: str) -> Iterator[None]:
        made.held_by.append(f"`make {name}` on a laptop")
        try:
            yield
        finally:
            made.held_by.clear()

    monkeypatch.setattr(keeper, "held", held)
    return made


def test_a_whole_cluster_is_left_alone(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    healer = Healer(CLUSTER)
    for now in range(0, 3600, 15):
        healer.look(now)
    assert world.done == []
    assert capsys.readouterr() == ("", "")


def test_lost_workers_are_made_anew_at_the_first_look_and_two_lines_say_so(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.lost = ["worker-1", "worker-2"]
    healer = Healer(CLUSTER)
    healer.look(0)
    healer.look(15)
    assert world.done == ["make worker-1 worker-2"]
    assert capsys.readouterr().out == (
        "worker-1, worker-2: lost: another is made in its place while the run goes on.\n"
        "worker-1, worker-2: at work again after 0 s.\n"
    )


def test_what_fails_is_a_line_and_tried_again_a_few_times_ever_later(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.lost, world.failing = ["worker-2"], NO_CAPACITY
    healer = Healer(CLUSTER)
    tried = []
    for now in range(0, 3600, 15):
        before = len(world.done)
        world.lost = ["worker-2"]
        healer.look(now)
        tried += [now] * (len(world.done) - before)
    assert tried == [0, 60, 180, 420]
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == (f"Lost workers are not replaced yet: {NO_CAPACITY} Tried again in 1 min 0 s; the run goes on.")
    assert lines[3] == (f"Lost workers are not replaced: {NO_CAPACITY} Not tried again; `make up` mends the cluster.")
    assert len(lines) == 4


def test_after_a_success_the_next_loss_has_all_its_tries(world: World) -> None:
    healer = Healer(CLUSTER)
    world.lost, world.failing = ["worker-2"], NO_CAPACITY
    healer.look(0)
    world.lost, world.failing = ["worker-2"], None
    healer.look(60)
    world.failing = NO_CAPACITY
    for now in (75, 135, 255, 495):
        world.lost = ["worker-2"]
        healer.look(now)
    assert len(world.done) == 6


def test_after_a_look_at_a_whole_cluster_the_next_loss_has_all_its_tries(world: World) -> None:
    healer = Healer(CLUSTER)
    world.lost, world.failing = ["worker-2"], NO_CAPACITY
    for now in range(0, 600, 15):
        world.lost = ["worker-2"]
        healer.look(now)
    assert len(world.done) == 4
    # `make up` has mended it, and AWS takes it again.
    world.lost = []
    healer.look(600)
    for now in range(615, 1200, 15):
        world.lost = ["worker-2"]
        healer.look(now)
    assert len(world.done) == 8


def test_a_new_worker_that_never_gets_to_work_is_no_whole_cluster(world: World) -> None:
    healer = Healer(CLUSTER)
    world.lost, world.failing = ["worker-2"], NO_CAPACITY
    healer.look(0)
    # It is there now, and for three minutes nobody would do anything.
    for now in range(15, 3600, 15):
        world.lost, world.idle = [], ["worker-2"]
        healer.look(now)
    assert world.done == ["make worker-2", *["equip worker-2"] * 3]


def test_looks_that_come_to_nothing_are_told_once_and_use_no_try_up(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: object) -> list[Host]:
        raise AwsError("AWS does not answer.")

    healer = Healer(CLUSTER)
    with monkeypatch.context() as patch:
        patch.setattr(workers, "lost", refuse)
        for now in range(0, 3600, 15):
            healer.look(now)
    line = "Lost workers are not replaced yet: AWS does not answer. Looked at again; the run goes on.\n"
    assert capsys.readouterr().err == line
    world.lost = ["worker-2"]
    healer.look(3600)
    assert world.done == ["make worker-2"]


def test_what_orchard_does_not_know_is_a_line_too(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.lost, world.failing = ["worker-2"], ZeroDivisionError("of ours")
    Healer(CLUSTER).look(0)
    assert "ZeroDivisionError: of ours" in capsys.readouterr().err


def test_a_lock_that_another_command_has_is_not_waited_for(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.lost = ["worker-2"]
    folder = CLUSTER.folder
    folder.mkdir(parents=True)
    healer = Healer(CLUSTER)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write("`make scale` (process 4711)")
        file.flush()
        healer.look(0)
    out, err = capsys.readouterr()
    assert (world.done, out) == ([], "")
    assert err.startswith("Lost workers are not replaced yet: `make scale` (process 4711) is still at work on cluster")
    healer.look(15)
    assert world.done == ["make worker-2"]


def test_fewer_workers_by_another_command_are_no_loss(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    fewer = cluster_of(workers=1)
    monkeypatch.setattr(workers, "lost", lambda cluster: list(cluster.workers[1:]))
    world.cluster = fewer
    monkeypatch.setattr(beside, "Hosts", lambda cluster: FakeHosts(cluster))
    healer = Healer(CLUSTER)
    healer.look(0)
    assert (world.done, healer.cluster) == ([], fewer)


def test_a_cluster_that_ends_by_itself_gets_no_new_workers(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.lost, world.ending = ["worker-1"], "age: 12 hours are over"
    Healer(CLUSTER).look(0)
    assert (world.done, capsys.readouterr()) == ([], ("", ""))


@pytest.mark.parametrize("task", ["up", "start", "scale", "heal"])
def test_what_makes_workers_from_another_laptop_is_waited_for(
    world: World, capsys: pytest.CaptureFixture[str], task: str
) -> None:
    world.lost, world.held_by = ["worker-1"], ["run r", f"`make {task}` on a laptop"]
    healer = Healer(CLUSTER)
    healer.look(0)
    assert world.done == []
    assert f"`make {task}` is at work on cluster fruits from elsewhere, or was just cut off." in capsys.readouterr().err
    world.held_by = ["run r", "`make upload` on a laptop"]
    healer.look(15)
    assert world.done == ["make worker-1"]


def test_the_keeper_is_told_that_healing_is_under_way(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    during: list[str] = []
    monkeypatch.setattr(workers, "make_anew", lambda *_: during.extend(world.held_by) or CLUSTER)
    world.lost = ["worker-1"]
    Healer(CLUSTER).look(0)
    assert (during, world.held_by) == (["`make heal` on a laptop"], [])


@pytest.fixture
def remade(world: World, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """What the cluster is once worker-2 was made anew, as another instance; `world.done` says how that was ended."""
    first, second = CLUSTER.workers
    monkeypatch.setattr(beside, "Hosts", lambda cluster: FakeHosts(cluster))
    monkeypatch.setattr(
        instances,
        "end",
        lambda _, hosts, for_good: world.done.append(f"{'terminate' if for_good else 'stop'} {hosts[0].id}"),
    )
    world.lost = ["worker-2"]
    return replace(CLUSTER, workers=(first, replace(second, id="i-new")))


@pytest.mark.parametrize("failing", [None, HostError("master cannot be reached")])
@pytest.mark.parametrize(
    ("master", "ending", "spot", "ended"),
    [
        ("stopping", None, False, ["stop i-new"]),
        ("stopped", None, True, ["terminate i-new"]),
        ("terminated", None, False, ["terminate i-new"]),
        # Its keeper is about to stop it.
        ("running", "age: 12 hours are over", False, ["stop i-new"]),
        ("running", None, False, []),
    ],
)
def test_what_was_made_for_a_cluster_that_was_ended_elsewhere_meanwhile_is_ended(
    world: World,
    remade: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    failing: Exception | None,
    master: str,
    ending: str | None,
    spot: bool,
    ended: list[str],
) -> None:
    def make_anew(*_: object) -> Cluster:
        world.lost, world.cluster = [], replace(remade, spot=spot)
        world.states, world.ending = {"master": master}, ending
        if failing:
            raise failing
        return world.cluster

    monkeypatch.setattr(workers, "make_anew", make_anew)
    Healer(CLUSTER).look(0)
    assert world.done == ended
    assert ("at work again" in capsys.readouterr().out) == (not failing and not ended)


def test_what_could_not_be_made_for_a_cluster_that_was_ended_is_not_looked_for(
    world: World, remade: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    del remade
    monkeypatch.setattr(workers, "make_anew", lambda *_: world.states.update(master="stopping") or CLUSTER)
    Healer(CLUSTER).look(0)
    assert world.done == []


def test_a_master_without_a_keeper_is_no_obstacle(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise NoKeeperError("none yet")

    monkeypatch.setattr(keeper, "ends", refuse)
    world.lost = ["worker-1"]
    Healer(CLUSTER).look(0)
    assert world.done == ["make worker-1"]


def test_a_worker_that_runs_and_is_not_at_work_for_three_minutes_is_made_ready(world: World) -> None:
    healer = Healer(CLUSTER)
    world.idle = ["worker-2"]
    for now in range(0, 180, 15):
        healer.look(now)
    assert world.done == []
    healer.look(180)
    assert world.done == ["equip worker-2"]


def test_one_that_was_back_in_between_begins_anew(world: World) -> None:
    healer = Healer(CLUSTER)
    for now, idle in ((0, True), (90, False), (105, True), (190, True)):
        world.idle = ["worker-2"] if idle else []
        healer.look(now)
    assert world.done == []


def test_a_silent_one_is_rebooted_and_replaced_where_that_does_not_help(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    healer = Healer(CLUSTER)
    world.idle, world.silent = ["worker-2"], ["worker-2"]
    # AWS cuts off a host that does not hear it after four minutes, and then that has to boot.
    for now in range(0, 180 + 15 + 480, 15):
        healer.look(now)
    assert world.done == ["reboot worker-2"]
    healer.look(180 + 15 + 480)
    assert world.done == ["reboot worker-2", "replace worker-2"]
    assert "worker-2: runs, AWS says, and does not answer; rebooted while the run goes on.\n" in capsys.readouterr().out


@pytest.mark.parametrize("state", ["shutting-down", "stopping", "pending"])
def test_one_on_its_way_up_or_down_is_left_alone(world: World, state: str) -> None:
    world.idle, world.silent, world.states = ["worker-2"], ["worker-2"], {"worker-2": state}
    healer = Healer(CLUSTER)
    for now in range(0, 600, 15):
        healer.look(now)
    assert world.done == []
    # It has the time of every other as soon as it runs.
    world.states = {}
    for now in range(600, 780, 15):
        healer.look(now)
    assert world.done == []
    healer.look(780)
    assert world.done == ["reboot worker-2"]


def test_a_stopped_one_is_started_and_made_ready_at_its_new_address(world: World) -> None:
    world.idle, world.silent, world.states = ["worker-1", "worker-2"], ["worker-1"], {"worker-2": "stopped"}
    healer = Healer(CLUSTER)
    for now in range(0, 195, 15):
        healer.look(now)
    assert world.done == ["reboot worker-1", "start worker-2", "refresh", "equip worker-2"]


def test_one_that_came_back_and_hangs_again_is_rebooted_again(world: World) -> None:
    healer = Healer(CLUSTER)
    world.silent = ["worker-2"]
    for now in range(0, 600, 15):
        world.idle = [] if now == 300 else ["worker-2"]
        healer.look(now)
    assert world.done == ["reboot worker-2", "reboot worker-2"]


def test_what_fails_for_another_does_not_shorten_the_time_of_a_reboot(world: World) -> None:
    healer = Healer(CLUSTER)
    world.idle, world.silent = ["worker-1", "worker-2"], ["worker-2"]
    for now in range(0, 180, 15):
        healer.look(now)
    world.equip = lambda hosts: world.fails("equip", hosts)
    for now in range(180, 600, 15):
        healer.look(now)
    assert "replace worker-2" not in world.done


def test_a_master_that_does_not_answer_is_the_follower_s_to_say(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise HostError("master cannot be reached")

    monkeypatch.setattr(spark_master, "master_state", refuse)
    Healer(CLUSTER).look(0)
    assert (world.done, capsys.readouterr()) == ([], ("", ""))


# Beside

NOT_AT_WORK = "worker-2 is not at work yet: `make up` goes on with it, `make follow` does, too.\n"


@pytest.fixture
def held(world: World, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A new worker that is ready only when `ready` is set; `begun` says that it is being made."""
    gate = SimpleNamespace(begun=threading.Event(), ready=threading.Event())

    def make_anew(*_: object) -> Cluster:
        gate.begun.set()
        assert gate.ready.wait(20)
        world.lost = []
        world.done.append("made")
        return CLUSTER

    monkeypatch.setattr(beside, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(workers, "make_anew", make_anew)
    world.lost = ["worker-2"]
    return gate


def test_what_is_under_way_at_the_run_s_end_is_waited_for(
    world: World, held: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    # The line itself lets it go on: it is said before the wait.
    monkeypatch.setattr(console, "say", lambda text: said.append(text) or ("Waiting" in text and held.ready.set()))
    with beside.beside(CLUSTER, "yes"):
        assert held.begun.wait(20)
    assert world.done == ["made"]
    assert said[1] == "Waiting for worker-2 to be ready for work."


def test_ctrl_c_does_not_wait_and_says_what_goes_on_with_it(
    world: World, held: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    def attached() -> None:
        with beside.beside(CLUSTER, "yes"):
            assert held.begun.wait(20)
            raise StoppedError("Run r goes on without you.")

    with pytest.raises(StoppedError):
        attached()
    assert world.done == []
    assert capsys.readouterr().err == NOT_AT_WORK
    held.ready.set()
    wait_until(lambda: world.done, "the thread to end")


def test_ctrl_c_while_it_is_waited_for_says_so_too(
    world: World, held: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: threading.Thread) -> None:
        raise KeyboardInterrupt

    def attached() -> None:
        with beside.beside(CLUSTER, "yes"):
            assert held.begun.wait(20)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "join", interrupted)
        with pytest.raises(KeyboardInterrupt):
            attached()
    assert world.done == []
    assert capsys.readouterr().err == NOT_AT_WORK
    held.ready.set()
    wait_until(lambda: world.done, "the thread to end")


def test_with_heal_no_nobody_looks(world: World) -> None:
    world.lost = ["worker-2"]
    with beside.beside(CLUSTER, "no"):
        assert "healing" not in [thread.name for thread in threading.enumerate()]
    assert world.done == []


def test_another_word_than_yes_or_no_is_refused_before_anything_is_begun(world: World) -> None:
    with pytest.raises(InputError, match=r"^HEAL=maybe is neither yes nor no\.$"), beside.beside(CLUSTER, "maybe"):
        pytest.fail("the run was begun")
