"""What is at work on a cluster, asked before something would end it."""

import pytest

from scripts import console
from scripts.errors import BusyError, HostError
from scripts.runs import at_work
from tests.doubles.fake_hosts import FakeHosts, cluster_of

RUN = {"run_id": "r", "is_running": True, "code": None, "began_at": 1.0, "ended_at": None}
STATE = {"alive": [], "applications": ["notebook"], "cores": 2, "cores_used": 1}


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
    assert at_work.at_work(hosts.cluster) == ["notebook"]
    assert at_work.at_work(hosts.cluster) == []


def test_a_host_that_cannot_be_reached_keeps_nobody_from_ending_it(hosts: FakeHosts) -> None:
    hosts.answer_run(hosts.cluster.master, "list", HostError("gone"))
    assert at_work.at_work(hosts.cluster) == []


def test_a_person_is_asked_and_no_means_no(hosts: FakeHosts, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    hosts.answer_run(hosts.cluster.master, "list", [RUN])
    monkeypatch.setattr(console, "ask", lambda question: asked.append(question) or len(asked) > 1)
    with pytest.raises(BusyError, match=r"^Nothing was changed\."):
        at_work.ask_before(hosts.cluster, "Stop it?")
    at_work.ask_before(hosts.cluster, "Stop it?")
    assert asked == ["At work on the cluster: run r. Stop it?"] * 2
