"""Hosts that do not answer: told, rebooted, switched off and on, replaced; and where a person is asked before."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from scripts import console
from scripts.cluster import Cluster, Host
from scripts.errors import BusyError, HostError, MissingError
from scripts.hosts import host_keys, readiness
from scripts.repair import answering, boots, instances
from scripts.terraform import outputs, workspace
from tests.doubles.fake_hosts import cluster_of

NO_ANSWER = HostError("it cannot be reached", "no answer")
REFUSED = MissingError("worker-2 does not take the key", "it does not take the key")


@dataclass
class World:
    """A cluster whose `deaf` hosts answer again after the step that each of them needs: reboot, off, replace.

    The keys of `unknown` ones are not pinned, and while they are deaf, their consoles show none.
    """

    cluster: Cluster = field(default_factory=lambda: cluster_of(workers=2))
    deaf: dict[str, str] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    sick: set[str] = field(default_factory=set)
    young: set[str] = field(default_factory=set)
    errors: dict[str, HostError | MissingError] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    watched: list[tuple[str, float]] = field(default_factory=list)

    def heal(self, step: str, hosts: Sequence[Host]) -> None:
        self.steps.append(f"{step} {' '.join(host.name for host in hosts)}")
        for host in hosts:
            if self.deaf.get(host.name) == step:
                del self.deaf[host.name]

    def silent(self, of: Sequence[Host], seconds: float) -> dict[str, HostError | MissingError]:
        self.waited.append(seconds)
        return {host.name: self.errors.get(host.name, NO_ANSWER) for host in of if host.name in self.deaf}

    def unpinned(self) -> list[Host]:
        return [host for host in self.cluster.hosts if host.name in self.unknown]

    def pin_shown(self, new: Sequence[Host], seconds: float) -> list[Host]:
        if not self.steps:
            self.steps.append("pin")
        if self.steps[-1] == "refresh":
            self.steps.append("pin addresses")
        self.watched += [(host.name, seconds) for host in new]
        self.unknown -= {host.name for host in new if host.name not in self.deaf}
        return [host for host in new if host.name in self.unknown]

    def off_and_on(self, hosts: Sequence[Host]) -> bool:
        self.heal("off", hosts)
        return True

    def replace(self, hosts: Sequence[Host]) -> Cluster:
        self.heal("replace", hosts)
        return self.cluster

    def connect(self) -> Cluster:
        return answering.connect(self.cluster, self.replace)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.delenv("YES", raising=False)
    monkeypatch.setattr(readiness, "connect", lambda _: made.steps.append("connect"))
    monkeypatch.setattr(readiness, "silent", lambda _, of, __, seconds: made.silent(of, seconds))
    monkeypatch.setattr(instances, "impaired", lambda *_: made.sick)
    monkeypatch.setattr(
        instances, "launched_within", lambda _, hosts, __: [host for host in hosts if host.name in made.young]
    )
    monkeypatch.setattr(boots, "ids", lambda *_: {})
    monkeypatch.setattr(instances, "reboot", lambda _, hosts: made.heal("reboot", hosts))
    monkeypatch.setattr(instances, "switch_off_and_on", lambda _, hosts: made.off_and_on(hosts))
    monkeypatch.setattr(host_keys, "unpinned", lambda _: made.unpinned())
    monkeypatch.setattr(host_keys, "pin_shown", lambda _, new, __, seconds: made.pin_shown(new, seconds))
    monkeypatch.setattr(host_keys, "forget", lambda *_: None)
    monkeypatch.setattr(outputs, "current", lambda: made.cluster)
    monkeypatch.setattr(workspace, "Workspace", lambda _: made)
    return made


@pytest.fixture(autouse=True)
def refresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(World, "refresh", lambda self: self.steps.append("refresh"), raising=False)


@pytest.fixture
def says_yes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Somebody who answers yes; gives the questions."""
    asked: list[str] = []
    monkeypatch.setattr(console, "ask", lambda question: asked.append(question) or True)
    return asked


def test_hosts_that_answer_are_left_alone(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert world.connect() is world.cluster
    assert world.steps == ["pin"]
    assert capsys.readouterr().out.endswith(" s  3 hosts answer\n")


def test_one_that_does_not_answer_for_a_minute_is_told_and_rebooted(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.deaf = {"worker-2": "reboot"}
    world.connect()
    assert world.steps == ["pin", "reboot worker-2"]
    # AWS cuts off a host that does not hear it after four minutes, and then that has to boot.
    assert (world.waited[0], world.waited[-1]) == (60, 480)
    said = capsys.readouterr().out
    assert "worker-2 runs, AWS says, and has not answered for 60 s (no answer).\n" in said
    assert " s  2 of 3 hosts answer\n" in said
    assert " s  worker-2 came back\n" in said


def test_one_that_answers_before_it_went_down_has_not_come_back_yet(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its SSH lets in, and cloud-init is in the way: a new boot is what it is waited for."""
    world.deaf = {"worker-2": "reboot"}
    [hung] = world.cluster.workers[1:]
    said = [{hung: "old"}, {hung: "old"}, {}, {hung: "new"}]
    monkeypatch.setattr(boots, "ids", lambda *_: world.steps.append("boot id") or said.pop(0))
    monkeypatch.setattr(boots, "PAUSE_SECONDS", 0.0)
    world.connect()
    assert world.steps == ["pin", "boot id", "reboot worker-2", "boot id", "boot id", "boot id"]
    assert (world.waited[0], world.waited[-1]) == (60, 480)


def test_one_that_a_reboot_does_not_bring_back_is_switched_off_and_on_at_another_address(world: World) -> None:
    world.deaf = {"worker-1": "reboot", "worker-2": "off"}
    world.connect()
    assert world.steps == ["pin", "reboot worker-1 worker-2", "off worker-2", "refresh", "pin addresses"]


def test_one_that_aws_finds_dead_is_not_rebooted_first(world: World) -> None:
    world.deaf, world.sick = {"worker-1": "reboot", "worker-2": "off"}, {"worker-2"}
    world.connect()
    assert world.steps[1:3] == ["reboot worker-1", "off worker-2"]


def test_a_worker_that_nothing_brings_back_is_replaced_without_a_question(world: World) -> None:
    world.deaf = {"worker-2": "replace"}
    assert world.connect() is world.cluster
    assert world.steps[1:] == [
        "reboot worker-2", "off worker-2", "refresh", "pin addresses", "replace worker-2", "connect"
    ]  # fmt: skip


def test_a_spot_worker_which_cannot_be_stopped_is_replaced(world: World) -> None:
    world.cluster = replace(world.cluster, spot=True)
    world.deaf = {"worker-2": "replace"}
    world.connect()
    assert world.steps[1:] == ["reboot worker-2", "replace worker-2", "connect"]


def test_one_that_never_stops_is_replaced(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instances, "switch_off_and_on", lambda *_: False)
    world.deaf = {"worker-2": "replace"}
    world.connect()
    assert world.steps[1:] == ["reboot worker-2", "replace worker-2", "connect"]


def test_a_host_that_has_just_been_launched_has_the_time_of_a_first_boot(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.deaf, world.young = {"worker-2": "reboot"}, {"worker-2"}
    with pytest.raises(HostError, match="it cannot be reached"):
        world.connect()
    assert world.steps == ["pin"]
    assert world.waited == [60, readiness.SSH_SECONDS]
    assert "worker-2 runs" not in capsys.readouterr().out


def test_one_whose_console_shows_no_key_is_mended_like_one_that_does_not_answer(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.deaf, world.unknown = {"worker-1": "reboot", "worker-2": "off"}, {"worker-2"}
    world.connect()
    assert world.steps == ["pin", "reboot worker-1 worker-2", "off worker-2", "refresh", "pin addresses"]
    assert (world.deaf, world.unknown) == ({}, set())
    # Nobody waits for it as for a first boot, nor tries to reach it by SSH without a key.
    assert world.watched[0] == ("worker-2", 60)
    said = capsys.readouterr().out
    assert "worker-2 runs, AWS says, and shows no host key on its console.\n" in said
    assert "worker-2 runs, AWS says, and has not" not in said
    assert " s  1 of 3 hosts answer\n" in said


def test_a_new_host_has_the_time_of_a_first_boot_to_show_its_key_and_is_mended_then(world: World) -> None:
    world.cluster = replace(world.cluster, spot=True)
    world.deaf, world.young, world.unknown = {"worker-2": "replace"}, {"worker-2"}, {"worker-1", "worker-2"}
    world.connect()
    assert world.steps == ["pin", "reboot worker-2", "replace worker-2", "connect"]
    assert world.watched[:3] == [("worker-1", 60), ("worker-2", 60), ("worker-2", 540)]


def test_a_host_is_forgotten_once_another_is_in_its_place_and_not_before(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        host_keys, "forget", lambda _, hosts: world.steps.append(f"forget {' '.join(host.name for host in hosts)}")
    )
    world.deaf = {"worker-2": "replace"}
    world.connect()
    assert world.steps[-3:] == ["replace worker-2", "forget worker-2", "connect"]


def test_one_that_answers_and_does_not_take_the_key_is_not_rebooted(world: World) -> None:
    world.deaf, world.errors = {"worker-2": "reboot"}, {"worker-2": REFUSED}
    with pytest.raises(MissingError, match="does not take the key"):
        world.connect()
    assert world.steps == ["pin"]


@pytest.mark.parametrize(
    ("deaf", "question"),
    [
        # A network that lets no SSH through looks the same from here.
        (
            ("master", "worker-1", "worker-2"),
            "No host of cluster fruits answers from here, and AWS finds nothing wrong",
        ),
        (("master",), "What is at work on the master would end with it"),
    ],
)
def test_nothing_is_rebooted_unasked_where_it_may_be_the_wrong_thing(
    world: World, deaf: tuple[str, ...], question: str
) -> None:
    world.deaf = dict.fromkeys(deaf, "reboot")
    with pytest.raises(BusyError) as refused:
        world.connect()
    assert str(refused.value).startswith(question)
    assert (refused.value.code, world.steps) == (8, ["pin"])


def test_with_a_yes_it_is_and_a_master_is_replaced_with_another_only(
    world: World, says_yes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world.deaf = {"master": "replace"}
    world.connect()
    assert world.steps[-2:] == ["replace master", "connect"]
    reboot, another = says_yes
    assert reboot.endswith("Reboot the master?")
    assert "The bucket stays, with pictures, runs, event logs and notebooks" in another


def test_a_master_that_aws_finds_dead_is_restarted_with_a_yes_only(world: World) -> None:
    world.deaf, world.sick = {"master": "off"}, {"master"}
    with pytest.raises(BusyError, match=r"^AWS finds master impaired\. What is at work on the master") as refused:
        world.connect()
    assert (refused.value.code, world.steps) == (8, ["pin"])


def test_a_master_that_aws_finds_dead_is_switched_off_and_on_and_replaced_with_a_yes_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.deaf, world.sick = {"master": "never"}, {"master"}
    monkeypatch.setattr(console, "ask", lambda question: question.endswith("Switch the master off and on?"))
    with pytest.raises(BusyError, match=r"^The master was not replaced"):
        world.connect()
    assert world.steps[1] == "off master"
    assert not [step for step in world.steps if step.startswith("replace")]


def test_where_none_answers_the_question_tells_what_aws_finds(world: World) -> None:
    world.deaf, world.sick = dict.fromkeys(("master", "worker-1", "worker-2"), "off"), {"master"}
    with pytest.raises(BusyError, match=r"nothing wrong with worker-1, worker-2: .* master impaired\. Reboot"):
        world.connect()
    assert world.steps == ["pin"]


def test_a_no_leaves_everything_as_it_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "ask", lambda _: False)
    world.deaf = {"master": "reboot"}
    with pytest.raises(BusyError, match=r"^Nothing was rebooted: master "):
        world.connect()
    assert world.steps == ["pin"]
