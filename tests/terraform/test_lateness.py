"""AWS is late, as it is now and then: what was made is not described yet, what ends takes its time."""

from concurrent.futures import Future
from dataclasses import dataclass

import pytest

from scripts.aws import clients, resources
from tests.doubles.aws.double import AwsDouble
from tests.doubles.aws.resources import resources_of
from tests.terraform.configuration import Result
from tests.terraform.conftest import Make

NAME = "late"
DESCRIBED_AFTER, SHUTTING_DOWN = 2.0, (0.5, 6.0)  # seconds


@dataclass
class Late:
    """A cluster made and taken away while AWS was late."""

    changes: dict[str, str]
    instances: int
    destroyed: Result
    left: list[str]


def begin_early(make_configuration: Make, _: AwsDouble) -> Late:
    """Apply and destroy, in an AWS of their own."""
    with AwsDouble() as aws:
        aws.be_late(DESCRIBED_AFTER, SHUTTING_DOWN)
        cluster = make_configuration(aws, NAME, budget_email="me@example.com")
        cluster.init()
        cluster.apply()
        changes = cluster.changes()
        instances = sum(thing.startswith("instance ") for thing in resources_of(aws.client, NAME))
        destroyed = cluster.destroy()
        aws.be_late()  # the tests' own look believes every list
        return Late(changes, instances, destroyed, resources_of(aws.client, NAME))


@pytest.fixture(scope="module")
def late(early: dict[str, Future[Late]]) -> Late:
    """How it went."""
    return early[__name__].result()


def test_what_is_not_described_yet_is_waited_for(late: Late) -> None:
    assert late.instances == 3
    assert late.changes == {}


def test_instances_that_end_at_unlike_times_are_all_waited_for(late: Late) -> None:
    assert "aws_instance" not in late.destroyed.stderr, late.destroyed.stderr
    assert [thing for thing in late.left if not thing.startswith("bucket ")] == []


def test_a_call_by_identifier_finds_what_was_just_made_only_later() -> None:
    with AwsDouble() as aws:
        ec2 = aws.client("ec2")
        aws.be_late(described_after=3600)
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/24")["Vpc"]["VpcId"]
        with pytest.raises(ec2.exceptions.ClientError, match=r"InvalidVpcID\.NotFound"):
            ec2.describe_vpcs(VpcIds=[vpc])
        assert vpc not in str(ec2.describe_vpcs())
        aws.be_late()
        assert vpc in str(ec2.describe_vpcs(VpcIds=[vpc]))


def test_a_role_that_is_listed_and_gone_is_not_taken_for_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with AwsDouble() as aws:
        for name, value in aws.environment().items():
            monkeypatch.setenv(name, value)
        clients.forget()
        iam = aws.client("iam")
        tags = [{"Key": "Project", "Value": "orchard"}, {"Key": "Cluster", "Value": NAME}]
        iam.create_role(RoleName=f"orchard-{NAME}-nodes", AssumeRolePolicyDocument="{}", Tags=tags)
        aws.be_late(described_after=3600)
        iam.delete_role(RoleName=f"orchard-{NAME}-nodes")
        assert [role["RoleName"] for role in iam.list_roles()["Roles"]] == [f"orchard-{NAME}-nodes"]
        assert resources.of_cluster(aws.region, NAME) == []
        clients.forget()
