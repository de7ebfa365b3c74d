"""Removal goes on while one resource depends on another, and says what stays."""

from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError

from scripts.aws import clients, resource_removal
from scripts.aws.resources import Resource
from scripts.errors import AwsError

VPC, SUBNET = Resource("VPC", "vpc-1"), Resource("subnet", "subnet-1")


class Ec2:
    """A VPC that cannot go before its subnet, which cannot go before it was asked a few times."""

    def __init__(self, subnet_refuses: list[str]) -> None:
        self.subnet_refuses = subnet_refuses
        self.there = {"vpc-1", "subnet-1"}

    def delete_vpc(self, VpcId: str) -> None:  # noqa: N803  as boto3 has it
        if "subnet-1" in self.there:
            raise refused("DependencyViolation")
        self.there.remove(VpcId)

    def delete_subnet(self, SubnetId: str) -> None:  # noqa: N803
        if self.subnet_refuses:
            raise refused(self.subnet_refuses.pop(0))
        self.there.remove(SubnetId)


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "in use"}}, "Delete")


@pytest.fixture
def ec2(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ec2]:
    """Makes the EC2 that is asked."""

    def make(*subnet_refuses: str) -> Ec2:
        made = Ec2(list(subnet_refuses))
        monkeypatch.setattr(clients, "client", lambda *_: made)
        return made

    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    return make


def test_what_is_still_used_is_tried_again(ec2: Callable[..., Ec2]) -> None:
    account = ec2("DependencyViolation", "DependencyViolation")
    resource_removal.remove("eu-west-1", [VPC, SUBNET])
    assert account.there == set()


def test_what_went_with_something_else_is_gone(ec2: Callable[..., Ec2]) -> None:
    ec2("InvalidSubnetID.NotFound")
    resource_removal.remove("eu-west-1", [SUBNET])


def test_what_is_used_for_ever_is_named_with_awss_reason(
    ec2: Callable[..., Ec2], monkeypatch: pytest.MonkeyPatch
) -> None:
    account = ec2(*["DependencyViolation"] * 5)
    monkeypatch.setattr(resource_removal, "SECONDS", 0)
    with pytest.raises(AwsError) as failure:
        resource_removal.remove("eu-west-1", [SUBNET])
    assert str(failure.value) == "AWS would not delete subnet subnet-1 (DependencyViolation: in use)."
    assert "subnet-1" in account.there


def test_what_may_not_be_deleted_is_an_end_at_once(ec2: Callable[..., Ec2]) -> None:
    ec2("UnauthorizedOperation")
    with pytest.raises(AwsError, match=r"AWS would not delete subnet subnet-1 \(UnauthorizedOperation: in use\)"):
        resource_removal.remove("eu-west-1", [SUBNET, VPC])
