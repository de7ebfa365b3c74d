"""What is at work on a cluster, asked before something would end it."""

from dataclasses import fields

import pytest

from scripts import console
from scripts.errors import BusyError, ConfigurationError, HostError
from scripts.hosts.keeper import Ends
from scripts.hosts.orchard_run import NotConfiguredError
from scripts.runs import at_work
from tests.doubles.fake_hosts import FakeHosts, cluster_of

RUN = {"run_id": "r", "is_running": True, "code": None, "began_at": 1.0, "ended_at": None}
STATE = {"alive": [], "applications": ["notebook"], "cores": 2}
ENDS = {field.name: None for field in fields(Ends)} | {"held_by": []}


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> FakeHosts:
    fake = FakeHosts(cluster_of())
    monkeypatch.setattr(at_work, "Hosts", fake)
    return fake


def test_runs_are_named_and_else_sparks_applications(hosts: FakeHosts) -> None:
    master = hosts.cluster.master
    hosts.answer_run(master, "list", [RUN, RUN | {"run_id": "old", "is_running": False, "code": 0}])
    assert at_work.at_work(hosts.cluster) == ["run r"]
    hosts.answer_run(master, "list", [])
    hosts.answer_run(master, "master-state", STATE, None)
    hosts.answer_run(master, "keeper ends", ENDS)
    assert at_work.at_work(hosts.cluster) == ["notebook"]
    assert at_work.at_work(hosts.cluster) == []


def test_a_kernel_that_computes_without_spark_is_at_work_too(hosts: FakeHosts) -> None:
    master = hosts.cluster.master
    hosts.answer_run(master, "list", [])
    hosts.answer_run(master, "master-state", STATE | {"applications": []})
    held = ["kernel of a\x1b.ipynb", "input at terminal 0 of admin", "`make up` on a laptop"]
    hosts.answer_run(master, "keeper ends", ENDS | {"held_by": held})
    assert at_work.at_work(hosts.cluster) == ["kernel of a\\x1b.ipynb"]


def test_a_master_of_before_there_were_keepers_is_asked_for_the_rest(hosts: FakeHosts) -> None:
    master = hosts.cluster.master
    hosts.answer_run(master, "list", [])
    hosts.answer_run(master, "master-state", STATE)
    hosts.answer_run(master, "keeper ends", ConfigurationError("failed", "invalid choice: 'keeper'"))
    assert at_work.at_work(hosts.cluster) == ["notebook"]


@pytest.mark.parametrize(
    ("failure", "state", "asked"),
    [
        (HostError("gone"), "stopped", []),
        (NotConfiguredError("bare"), "running", []),
        (
            HostError("m cannot be reached (no route).", "no route"),
            "running",
            ["Whether anything is at work on the cluster is not known (no route). Stop it?"],
        ),
    ],
)
def test_a_master_that_runs_and_does_not_answer_is_asked_about_and_no_other(
    hosts: FakeHosts, monkeypatch: pytest.MonkeyPatch, failure: Exception, state: str, asked: list[str]
) -> None:
    questions: list[str] = []
    hosts.answer_run(hosts.cluster.master, "list", failure)
    monkeypatch.setattr(at_work.readiness, "states", lambda _: {"master": state})
    monkeypatch.setattr(console, "ask", lambda question: not questions.append(question))
    at_work.ask_before(hosts.cluster, "Stop it?")
    assert questions == asked


def test_a_person_is_asked_and_no_means_no(hosts: FakeHosts, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    hosts.answer_run(hosts.cluster.master, "list", [RUN])
    monkeypatch.setattr(console, "ask", lambda question: asked.append(question) or len(asked) > 1)
    with pytest.raises(BusyError, match=r"^Nothing was changed\."):
        at_work.ask_before(hosts.cluster, "Stop it?")
    at_work.ask_before(hosts.cluster, "Stop it?")
    assert asked == ["At work on the cluster: run r. Stop it?"] * 2


def test_runs_are_asked_to_end_and_waited_for(hosts: FakeHosts, monkeypatch: pytest.MonkeyPatch) -> None:
    master, over = hosts.cluster.master, RUN | {"is_running": False, "code": 130}
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    hosts.answer_run(master, "list", [RUN, RUN | {"run_id": "old", "is_running": False, "code": 0}], [RUN], [over])
    hosts.answer_run(master, "stop r", {"run_id": "r"})
    notes: list[str] = []
    at_work.end_runs(hosts.cluster, notes.append)
    assert hosts.asked(master) == ["list", "stop r", "list", "list"]
    assert notes == ["run r is asked to end"]
    hosts.answer_run(master, "list", [over])
    at_work.end_runs(hosts.cluster, notes.append)
    assert notes == ["run r is asked to end"]


def test_a_run_that_does_not_end_is_named(hosts: FakeHosts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_work, "ENDS_SECONDS", 0)
    hosts.answer_run(hosts.cluster.master, "list", [RUN])
    hosts.answer_run(hosts.cluster.master, "stop r", {"run_id": "r"})
    notes: list[str] = []
    at_work.end_runs(hosts.cluster, notes.append)
    assert notes[1:] == ["a run did not end in time"]


def test_a_master_that_does_not_answer_keeps_nobody_from_going_on(hosts: FakeHosts) -> None:
    hosts.answer_run(hosts.cluster.master, "list", HostError("master cannot be reached.", "no route"))
    notes: list[str] = []
    at_work.end_runs(hosts.cluster, notes.append)
    assert notes == ["what runs was not ended kindly: no route"]
