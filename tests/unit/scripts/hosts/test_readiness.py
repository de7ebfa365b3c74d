"""Waiting for hosts: what is waited for is said, and who does not come is named."""

from typing import Any

import pytest

from scripts.console import Phase
from scripts.errors import AwsError, ConfigurationError, HostError, HostKeyError, NoClusterError
from scripts.hosts import readiness
from tests.doubles.fake_hosts import FakeHosts, cluster_of

CLOUD_INIT = "command -v cloud-init > /dev/null && cloud-init status --wait > /dev/null || true"
CLUSTER = cluster_of(workers=2)
MASTER, FIRST, SECOND = CLUSTER.hosts


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "PAUSE_SECONDS", 0.0)


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> FakeHosts:
    fake = FakeHosts(CLUSTER)
    monkeypatch.setattr(readiness, "Hosts", fake)
    return fake


@pytest.fixture
def phase() -> Phase:
    return Phase("Waiting", None)


class Ec2:
    """An EC2 in which the instances are in these states, look by look."""

    def __init__(self, *looks: dict[str, str]) -> None:
        self.looks = iter(looks)

    def get_paginator(self, operation: str) -> Any:
        assert operation == "describe_instances"
        return self

    def paginate(self, **_: Any) -> list[Any]:
        described = [{"InstanceId": name, "State": {"Name": state}} for name, state in next(self.looks).items()]
        return [{"Reservations": [{"Instances": described}]}]


def states(monkeypatch: pytest.MonkeyPatch, *looks: tuple[str, str, str]) -> None:
    """Have master and workers be in these states, look by look; an empty one is of a host that EC2 no longer knows."""
    ids = [host.id for host in CLUSTER.hosts]
    described = [{name: state for name, state in zip(ids, look, strict=True) if state} for look in looks]
    ec2 = Ec2(*described)
    monkeypatch.setattr(readiness.clients, "client", lambda *_: ec2)


def test_hosts_are_waited_for_until_all_run(
    monkeypatch: pytest.MonkeyPatch, phase: Phase, capsys: pytest.CaptureFixture[str]
) -> None:
    states(monkeypatch, ("running", "pending", "running"), ("running", "running", "running"))
    readiness.wait_for_state(CLUSTER, "running", phase)
    assert capsys.readouterr().out == "  worker-1 is pending\n"


def test_a_host_that_is_gone_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, phase: Phase) -> None:
    states(monkeypatch, ("running", "pending", ""))
    with pytest.raises(AwsError, match=r"^worker-2 is terminated and not running: `make up` puts the cluster right\.$"):
        readiness.wait_for_state(CLUSTER, "running", phase)


def test_a_host_that_does_not_get_there_is_named(monkeypatch: pytest.MonkeyPatch, phase: Phase) -> None:
    monkeypatch.setattr(readiness, "STATE_SECONDS", 0)
    states(monkeypatch, ("stopping", "stopped", "stopped"))
    with pytest.raises(AwsError, match=r"^master is stopping and not stopped: "):
        readiness.wait_for_state(CLUSTER, "stopped", phase)


def test_all_are_in_one_state_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    states(monkeypatch, ("stopped", "stopped", "stopped"), ("stopped", "running", "stopped"))
    assert readiness.are_all(CLUSTER, "stopped")
    assert not readiness.are_all(CLUSTER, "stopped")


def test_ssh_is_tried_again_only_where_it_failed(
    hosts: FakeHosts, phase: Phase, capsys: pytest.CaptureFixture[str]
) -> None:
    hosts.answer(MASTER, CLOUD_INIT, "")
    hosts.answer(FIRST, CLOUD_INIT, HostError("refused", "connection refused"), HostError("late", "no answer"), "")
    hosts.answer(SECOND, CLOUD_INIT, "")
    readiness.wait_for_ssh(CLUSTER, phase)
    assert capsys.readouterr().out == (
        "  waiting for worker-1 (connection refused)\n  waiting for worker-1 (no answer)\n"
    )
    assert [len(hosts.asked(host)) for host in CLUSTER.hosts] == [1, 3, 1]


def test_a_wrong_host_key_is_not_waited_for(hosts: FakeHosts, phase: Phase) -> None:
    for host in CLUSTER.hosts:
        hosts.answer(host, CLOUD_INIT, "")
    hosts.answer(SECOND, CLOUD_INIT, HostKeyError("worker-2 shows another host key than the one pinned"))
    with pytest.raises(HostError, match="another host key"):
        readiness.wait_for_ssh(CLUSTER, phase)
    assert len(hosts.asked(SECOND)) == 1


def test_when_time_is_up_the_last_tries_reason_is_given(
    hosts: FakeHosts, phase: Phase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "SSH_SECONDS", 0)
    for host in CLUSTER.hosts:
        hosts.answer(host, CLOUD_INIT, HostError(f"{host.name} cannot be reached"))
    with pytest.raises(HostError, match=r"^master cannot be reached$"):
        readiness.wait_for_ssh(CLUSTER, phase)


def state(*alive: str) -> dict[str, Any]:
    return {"alive": alive, "applications": [], "cores": 4}


def test_the_master_is_waited_for_and_then_its_workers(
    hosts: FakeHosts, phase: Phase, capsys: pytest.CaptureFixture[str]
) -> None:
    both = state(FIRST.private_ip, SECOND.private_ip)
    hosts.answer_run(MASTER, "master-state", None, state(FIRST.private_ip), both)
    assert readiness.wait_for_workers(hosts, CLUSTER, phase).cores == 4
    assert capsys.readouterr().out == ("  waiting for the Spark master to answer\n  waiting for worker-2 to register\n")


def test_a_worker_that_does_not_register_is_named(
    hosts: FakeHosts, phase: Phase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "WORKERS_SECONDS", 0)
    hosts.answer_run(MASTER, "master-state", state(FIRST.private_ip))
    with pytest.raises(ConfigurationError, match=r"^Waited 0 s in vain for worker-2 to register: `make up` mends"):
        readiness.wait_for_workers(hosts, CLUSTER, phase)


def test_the_proof_names_workers_and_cores(hosts: FakeHosts, capsys: pytest.CaptureFixture[str]) -> None:
    hosts.answer_run(MASTER, "master-state", state(FIRST.private_ip, SECOND.private_ip))
    readiness.verify(CLUSTER)
    assert capsys.readouterr().out.endswith(" s  2 workers alive, 4 cores\n")


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("stopped", "The master of cluster fruits is stopped: `make start` brings it back."),
        ("stopping", "The master of cluster fruits is stopping: `make start` brings it back."),
        ("", "The master of cluster fruits is terminated: `make up` makes another."),
    ],
)
def test_a_command_for_a_cluster_that_has_stopped_says_what_brings_it_back(
    monkeypatch: pytest.MonkeyPatch, state: str, said: str
) -> None:
    states(monkeypatch, (state, "running", "running"))
    with pytest.raises(NoClusterError) as refused:
        readiness.of_running(CLUSTER)
    assert (str(refused.value), refused.value.code) == (said, 7)


def test_a_command_for_a_cluster_whose_master_runs_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    states(monkeypatch, ("running", "stopped", ""))
    assert readiness.of_running(CLUSTER) is CLUSTER
