"""Runs as the master's orchard-run answers for them."""

import pytest

from scripts.errors import ConfigurationError, HostError
from scripts.hosts.ssh import Result
from scripts.runs import systemd_unit
from scripts.runs.systemd_unit import Snapshot, Unit
from tests.doubles.fake_hosts import FakeHosts, cluster_of

RUNNING = {"run_id": "r", "is_running": True, "code": None, "began_at": 1000.0, "ended_at": None}
ENDED = {"run_id": "e", "is_running": False, "code": 20, "began_at": 900.0, "ended_at": 960.0}


@pytest.fixture
def hosts() -> FakeHosts:
    return FakeHosts(cluster_of())


def test_a_run_is_started_with_the_jobs_words_quoted_for_the_hosts_shell(hosts: FakeHosts) -> None:
    words = "start r --description 'Orchard run, mini' -- --classes '$HOME' 'Apple; rm *'"
    hosts.answer_run(hosts.cluster.master, words, {"run_id": "r"})
    systemd_unit.start(hosts, "r", "Orchard run, mini", ["--classes", "$HOME", "Apple; rm *"])
    assert hosts.asked(hosts.cluster.master) == [words]


def test_the_runs_that_the_master_knows_of_and_those_that_go_on(hosts: FakeHosts) -> None:
    hosts.answer_run(hosts.cluster.master, "list", [ENDED, RUNNING])
    assert systemd_unit.known(hosts) == [Unit("e", False, 20, 900.0, 960.0), Unit("r", True, None, 1000.0, None)]
    assert [unit.run_id for unit in systemd_unit.running(hosts)] == ["r"]


def test_a_snapshot_has_new_lines_and_where_to_go_on(hosts: FakeHosts) -> None:
    master = hosts.cluster.master
    hosts.answer_run(master, "look r '--cursor=s=1;i=2'", {"run": RUNNING, "lines": ["a", "b"], "cursor": "s=1;i=4"})
    assert systemd_unit.snapshot(hosts, "r", "s=1;i=2") == Snapshot(Unit(**RUNNING), ("a", "b"), "s=1;i=4")
    hosts.answer_run(master, "look r --cursor=", {"run": None, "lines": [], "cursor": ""})
    assert systemd_unit.snapshot(hosts, "r") == Snapshot(None, (), "")


def test_a_host_that_is_not_configured_names_the_next_step(hosts: FakeHosts) -> None:
    hosts.answer_run(hosts.cluster.master, "list", Result(78, "", ""))
    with pytest.raises(ConfigurationError) as refused:
        systemd_unit.known(hosts)
    assert str(refused.value) == (
        "master is not configured to its end, for /etc/orchard/cluster.json, /usr/local/bin/orchard-run or the "
        "environment is missing: `make up` mends it."
    )
    assert refused.value.reason == "nothing was installed there yet"


def test_what_the_host_refuses_is_passed_on_in_its_words(hosts: FakeHosts) -> None:
    hosts.answer_run(
        hosts.cluster.master, "stop r", Result(5, "", "noise\norchard-run: systemctl ended with code 5.\n")
    )
    with pytest.raises(ConfigurationError, match=r"^master could not do `stop` \(systemctl ended with code 5\): "):
        systemd_unit.ask_to_stop(hosts, "r")


def test_a_host_that_cannot_be_reached_is_no_refusal(hosts: FakeHosts) -> None:
    hosts.answer_run(hosts.cluster.master, "list", HostError("master cannot be reached"))
    with pytest.raises(HostError):
        systemd_unit.known(hosts)
