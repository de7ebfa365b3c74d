"""AWS says no in the middle of an apply: the next apply makes it whole, and nothing is there twice."""

from concurrent.futures import Future
from dataclasses import dataclass

import pytest

from tests.doubles.aws import AwsDouble
from tests.terraform.configuration import Configuration, Result
from tests.terraform.conftest import Make

NAME = "faulty"


@dataclass
class Interrupted:
    """A cluster whose first apply was cut short, and how that ended."""

    cluster: Configuration
    result: Result


def begin_early(make_configuration: Make, aws: AwsDouble) -> Interrupted:
    """The first apply, in which the account's quota has no room for the second worker."""
    cluster = make_configuration(aws, NAME)
    cluster.init()
    aws.fail(
        "ec2:RunInstances",
        match=f"orchard-{NAME}-worker-2",
        code="VcpuLimitExceeded",
        message="You have requested more vCPU capacity than your current vCPU limit of 8 allows.",
    )
    return Interrupted(cluster, cluster.run("apply", "-auto-approve", "-input=false"))


@pytest.fixture(scope="module")
def interrupted(early: dict[str, Future[Interrupted]]) -> Interrupted:
    """The cluster as the quota left it."""
    return early[__name__].result()


def running(aws: AwsDouble) -> list[str]:
    """Name tags of the cluster's hosts, twice when there are two."""
    filters = [
        {"Name": "tag:Cluster", "Values": [NAME]},
        {"Name": "instance-state-name", "Values": ["pending", "running"]},
    ]
    reservations = aws.client("ec2").describe_instances(Filters=filters)["Reservations"]
    hosts = [host for reservation in reservations for host in reservation["Instances"]]
    return sorted(tag["Value"] for host in hosts for tag in host["Tags"] if tag["Key"] == "Name")


def test_an_exhausted_quota_ends_the_apply_and_is_named(interrupted: Interrupted, aws: AwsDouble) -> None:
    assert interrupted.result.returncode == 1
    assert "VcpuLimitExceeded" in interrupted.result.stderr
    assert "aws_instance.worker[1]" in interrupted.result.stderr
    assert running(aws) == [f"orchard-{NAME}-master", f"orchard-{NAME}-worker-1"]


def test_the_next_apply_ends_whole_though_aws_throttles_it(interrupted: Interrupted, faulty_aws: AwsDouble) -> None:
    faulty_aws.fail("ec2:RunInstances", code="RequestLimitExceeded", status=503, times=2)
    faulty_aws.fail("ec2:DescribeVpcs", code="Throttling", status=400, times=2)
    faulty_aws.fail("s3:GET /*", code="SlowDown", status=503, times=2)
    interrupted.cluster.apply()
    assert faulty_aws.pending_faults() == 0, "every fault has struck"
    assert running(faulty_aws) == [f"orchard-{NAME}-{host}" for host in ("master", "worker-1", "worker-2")]
    assert [worker["name"] for worker in interrupted.cluster.outputs()["workers"]] == ["worker-1", "worker-2"]


def test_nothing_is_left_to_do_afterwards(interrupted: Interrupted) -> None:
    assert interrupted.cluster.changes() == {}
