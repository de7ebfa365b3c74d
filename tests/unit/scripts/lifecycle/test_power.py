"""`make stop` and `make start`."""

from collections.abc import Callable
from typing import Any

import pytest

from scripts.cluster import Cluster
from scripts.errors import BusyError, InputError
from scripts.hosts import readiness
from scripts.lifecycle import power
from tests.doubles.fake_terraform import FakeTerraform
from tests.unit.scripts.lifecycle.conftest import FakeHosts

Aws = Callable[[str], Any]


def test_stop_refuses_spot_workers_which_aws_cannot_stop(cluster: Cluster, terraform: FakeTerraform) -> None:
    terraform.cluster_outputs["worker_spot"] = True
    with pytest.raises(InputError) as refused:
        power.stop()
    assert refused.value.code == 2
    assert str(refused.value) == (
        "Spot workers cannot be stopped, only given back: `make scale WORKERS=0` first, or `make down`."
    )
    assert readiness.are_all(cluster, "running")


def test_a_spot_cluster_without_workers_can_be_stopped(cluster: Cluster, terraform: FakeTerraform) -> None:
    terraform.cluster_outputs |= {"worker_spot": True, "workers": []}
    power.stop()
    assert readiness.states(cluster) == {"master": "stopped", "worker-1": "running"}


def test_stop_says_what_the_disks_cost_meanwhile(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    power.stop()
    assert readiness.are_all(cluster, "stopped")
    assert "While it is stopped, its disks cost 0.17 USD a day. Next: make start" in capsys.readouterr().out


def test_stop_again_changes_nothing_and_says_so(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    power.stop()
    capsys.readouterr()
    power.stop()
    assert capsys.readouterr().out == "Cluster fruits is stopped already. Next: make start\n"


def test_a_run_at_work_is_not_stopped_without_asking(cluster: Cluster, hosts: FakeHosts) -> None:
    hosts.at_work = ["run r-1"]
    with pytest.raises(BusyError) as refused:
        power.stop()
    assert refused.value.code == 8
    assert readiness.are_all(cluster, "running")


def test_start_starts_what_is_stopped_and_verifies_the_cluster(
    cluster: Cluster, terraform: FakeTerraform, hosts: FakeHosts, aws: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    aws("ec2").stop_instances(InstanceIds=[cluster.workers[0].id])
    power.start()
    assert readiness.are_all(cluster, "running")
    assert terraform.calls == ["refresh"]
    assert hosts.steps == ["connect", "verify"]
    assert "1 hosts started" in capsys.readouterr().out


def test_start_where_all_run_verifies_the_cluster(
    cluster: Cluster, terraform: FakeTerraform, hosts: FakeHosts, capsys: pytest.CaptureFixture[str]
) -> None:
    power.start()
    assert terraform.calls == []
    assert hosts.steps == ["connect", "verify"]
    assert "all were running" in capsys.readouterr().out
