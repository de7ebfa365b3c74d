"""What AWS's API is asked for a host that no longer answers, and what it says of one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from scripts.aws.clients import client
from scripts.cluster import Cluster
from scripts.repair import instances
from tests.doubles.fake_hosts import cluster_of
from tests.unit.scripts.conftest import REGION


@pytest.fixture
def cluster(aws: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A master and a worker whose instances AWS has, and that run."""
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    image = aws("ec2").describe_images()["Images"][0]["ImageId"]
    made = aws("ec2").run_instances(ImageId=image, MinCount=2, MaxCount=2, InstanceType="m6i.large")["Instances"]
    described = cluster_of(workers=1)
    master, worker = (
        replace(host, id=instance["InstanceId"]) for host, instance in zip(described.hosts, made, strict=True)
    )
    return replace(described, master=master, workers=(worker,))


def test_off_and_on_a_worker_runs_again_and_the_master_was_left_alone(cluster: Cluster) -> None:
    launched = launch_times(cluster)
    assert instances.switch_off_and_on(cluster, cluster.workers)
    ec2 = client("ec2", REGION)
    states = ec2.describe_instances(InstanceIds=[cluster.workers[0].id])["Reservations"][0]["Instances"][0]["State"]
    assert states["Name"] == "running"
    assert launch_times(cluster)[cluster.master.id] == launched[cluster.master.id]


@pytest.mark.parametrize(("for_good", "state"), [(True, "terminated"), (False, "stopped")])
def test_an_ended_worker_is_stopped_or_given_back(cluster: Cluster, for_good: bool, state: str) -> None:
    instances.end(cluster, cluster.workers, for_good)
    assert instances.readiness.states(cluster) == {"master": "running", "worker-1": state}


def test_one_that_does_not_stop_in_time_is_given_up(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instances, "OFF_SECONDS", 0)
    monkeypatch.setattr(instances.readiness, "states", lambda _: {"master": "running", "worker-1": "stopping"})
    assert not instances.switch_off_and_on(cluster, cluster.workers)


def test_who_was_launched_a_moment_ago_may_be_booting(cluster: Cluster) -> None:
    assert instances.launched_within(cluster, cluster.hosts, 300) == list(cluster.hosts)
    assert instances.launched_within(cluster, cluster.hosts, -300) == []


@pytest.mark.parametrize(
    ("instance", "system", "is_sick"),
    [("ok", "ok", False), ("impaired", "ok", True), ("ok", "impaired", True), ("initializing", "ok", False)],
)
def test_a_failed_status_check_of_either_kind_is_a_dead_host(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, instance: str, system: str, is_sick: bool
) -> None:
    class Ec2:
        def describe_instance_status(self, InstanceIds: list[str]) -> dict[str, Any]:  # noqa: N803  as boto3 has it
            [found] = InstanceIds
            status = {"InstanceStatus": {"Status": instance}, "SystemStatus": {"Status": system}}
            return {"InstanceStatuses": [{"InstanceId": found, **status}]}

    monkeypatch.setattr(instances, "_ec2", lambda _: Ec2())
    assert instances.impaired(cluster, cluster.workers) == ({"worker-1"} if is_sick else set())


def launch_times(cluster: Cluster) -> dict[str, Any]:
    found = client("ec2", REGION).describe_instances(InstanceIds=[host.id for host in cluster.hosts])["Reservations"]
    return {one["InstanceId"]: one["LaunchTime"] for group in found for one in group["Instances"]}
