"""AWS says no in the middle of an apply: the next apply makes it whole, and nothing is there twice."""

import pytest

from tests.doubles.aws import AwsDouble
from tests.terraform.configuration import Configuration, Result
from tests.terraform.conftest import Make

NAME = "faulty"


@pytest.fixture(scope="module")
def cluster(make_configuration: Make) -> Configuration:
    """A cluster that is not there yet."""
    configuration = make_configuration(NAME)
    configuration.init()
    return configuration


@pytest.fixture(scope="module")
def interrupted(cluster: Configuration, aws: AwsDouble) -> Result:
    """The first apply, in which the account's quota has no room for the second worker."""
    aws.fail(
        "ec2:RunInstances",
        match=f"orchard-{NAME}-worker-2",
        code="VcpuLimitExceeded",
        message="You have requested more vCPU capacity than your current vCPU limit of 8 allows.",
    )
    return cluster.run("apply", "-auto-approve", "-input=false")


def running(aws: AwsDouble) -> list[str]:
    """Name tags of the cluster's hosts, twice when there are two."""
    filters = [
        {"Name": "tag:Cluster", "Values": [NAME]},
        {"Name": "instance-state-name", "Values": ["pending", "running"]},
    ]
    reservations = aws.client("ec2").describe_instances(Filters=filters)["Reservations"]
    hosts = [host for reservation in reservations for host in reservation["Instances"]]
    return sorted(tag["Value"] for host in hosts for tag in host["Tags"] if tag["Key"] == "Name")


def test_an_exhausted_quota_ends_the_apply_and_is_named(interrupted: Result, aws: AwsDouble) -> None:
    assert interrupted.returncode == 1
    assert "VcpuLimitExceeded" in interrupted.stderr
    assert "aws_instance.worker[1]" in interrupted.stderr
    assert running(aws) == [f"orchard-{NAME}-master", f"orchard-{NAME}-worker-1"]


def test_the_next_apply_ends_whole_though_aws_throttles_it(
    interrupted: Result, cluster: Configuration, faulty_aws: AwsDouble
) -> None:
    faulty_aws.fail("ec2:RunInstances", code="RequestLimitExceeded", status=503, times=2)
    faulty_aws.fail("ec2:DescribeVpcs", code="Throttling", status=400, times=2)
    faulty_aws.fail("s3:GET /*", code="SlowDown", status=503, times=2)
    cluster.apply()
    assert faulty_aws.pending_faults() == 0, "every fault has struck"
    assert running(faulty_aws) == [f"orchard-{NAME}-{host}" for host in ("master", "worker-1", "worker-2")]
    assert [worker["name"] for worker in cluster.outputs()["workers"]] == ["worker-1", "worker-2"]


def test_nothing_is_left_to_do_afterwards(interrupted: Result, cluster: Configuration) -> None:
    assert cluster.changes() == {}
