"""AWS says no in the middle of an apply: the next apply makes it whole, and nothing is there twice."""

from concurrent.futures import Future
from dataclasses import dataclass

import pytest

from tests.doubles.aws.double import AwsDouble
from tests.terraform.configuration import Configuration, Result
from tests.terraform.conftest import Make

NAME = "faulty"


@dataclass
class Interrupted:
    """A cluster whose first apply was cut short by its quota and whose second was throttled."""

    cluster: Configuration
    first: Result
    hosts_after_first: list[str]
    second: Result
    hosts_after_second: list[str]
    faults_left: int
    changes_afterwards: dict[str, str]


def begin_early(make_configuration: Make, _: AwsDouble) -> Interrupted:
    """Both applies, in an AWS of their own: its faults are nobody else's."""
    with AwsDouble() as aws:
        cluster = make_configuration(aws, NAME)
        cluster.init()
        aws.fail(
            "ec2:RunInstances",
            match=f"orchard-{NAME}-worker-2",
            code="VcpuLimitExceeded",
            message="You have requested more vCPU capacity than your current vCPU limit of 8 allows.",
        )
        apply = ("apply", "-auto-approve", "-input=false")
        first, hosts = cluster.run(*apply), running(aws)
        aws.fail("ec2:RunInstances", code="RequestLimitExceeded", status=503, times=2)
        aws.fail("ec2:DescribeVpcs", code="Throttling", status=400, times=2)
        aws.fail("s3:GET /*", code="SlowDown", status=503, times=2)
        second = cluster.run(*apply)
        return Interrupted(cluster, first, hosts, second, running(aws), aws.pending_faults(), cluster.changes())


def running(aws: AwsDouble) -> list[str]:
    """Name tags of the cluster's hosts, twice when there are two."""
    filters = [
        {"Name": "tag:Cluster", "Values": [NAME]},
        {"Name": "instance-state-name", "Values": ["pending", "running"]},
    ]
    reservations = aws.client("ec2").describe_instances(Filters=filters)["Reservations"]
    hosts = [host for reservation in reservations for host in reservation["Instances"]]
    return sorted(tag["Value"] for host in hosts for tag in host["Tags"] if tag["Key"] == "Name")


@pytest.fixture(scope="module")
def interrupted(early: dict[str, Future[Interrupted]]) -> Interrupted:
    """How both applies ended."""
    return early[__name__].result()


def test_an_exhausted_quota_ends_the_apply_and_is_named(interrupted: Interrupted) -> None:
    assert interrupted.first.returncode == 1
    assert "VcpuLimitExceeded" in interrupted.first.stderr
    assert "aws_instance.worker[1]" in interrupted.first.stderr
    assert interrupted.hosts_after_first == [f"orchard-{NAME}-master", f"orchard-{NAME}-worker-1"]


def test_the_next_apply_ends_whole_though_aws_throttles_it(interrupted: Interrupted) -> None:
    assert interrupted.second.returncode == 0, interrupted.second.stderr
    assert interrupted.faults_left == 0, "every fault has struck"
    hosts = [f"orchard-{NAME}-{host}" for host in ("master", "worker-1", "worker-2")]
    assert interrupted.hosts_after_second == hosts, "each once"
    assert [worker["name"] for worker in interrupted.cluster.outputs()["workers"]] == ["worker-1", "worker-2"]


def test_nothing_is_left_to_do_afterwards(interrupted: Interrupted) -> None:
    assert interrupted.changes_afterwards == {}
