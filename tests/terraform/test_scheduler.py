"""The double's schedules fire as AWS's do: at their time, once, with their role and no more than it may."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.waiting import wait_until
from tests.doubles.aws.double import ACCOUNT, AwsDouble

GROUP = "orchard-fires"
SECONDS = 20
SOON = 8  # seconds, until all is made and policies are enforced
OWN_GROUP = f"arn:aws:scheduler:eu-west-1:{ACCOUNT}:schedule-group/{GROUP}"
OTHER_GROUP = f"arn:aws:scheduler:eu-west-1:{ACCOUNT}:schedule-group/orchard-other"


@pytest.fixture(scope="module")
def double() -> Iterator[AwsDouble]:
    """One AWS for all of them."""
    with AwsDouble() as aws:
        aws.client("scheduler").create_schedule_group(Name=GROUP)
        yield aws


def launch(aws: AwsDouble, **options: Any) -> str:
    launched = aws.client("ec2").run_instances(ImageId="ami-0deb12amd64new0002", MinCount=1, MaxCount=1, **options)
    identity: str = launched["Instances"][0]["InstanceId"]
    return identity


def make_role(aws: AwsDouble, name: str, *may: str, group: str = OWN_GROUP) -> str:
    """A role that the scheduler takes on for the schedules of a group, and what it may do."""
    trust = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"Service": "scheduler.amazonaws.com"},
        "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT, "aws:SourceArn": group}},
    }
    policy = {"Effect": "Allow", "Action": list(may), "Resource": "*"}
    documents = [json.dumps({"Version": "2012-10-17", "Statement": [statement]}) for statement in (trust, policy)]
    role = aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=documents[0])["Role"]
    aws.client("iam").put_role_policy(RoleName=name, PolicyName="ends", PolicyDocument=documents[1])
    arn: str = role["Arn"]
    return arn


def schedule(aws: AwsDouble, role: str, instance_id: str, at: str, **options: Any) -> None:
    """One that stops the instance."""
    target = {
        "Arn": "arn:aws:scheduler:::aws-sdk:ec2:stopInstances",
        "RoleArn": role,
        "Input": json.dumps({"InstanceIds": [instance_id]}),
    }
    window = {"Mode": "OFF"}
    aws.client("scheduler").create_schedule(
        GroupName=GROUP, Name=instance_id, ScheduleExpression=at, FlexibleTimeWindow=window, Target=target, **options
    )


def moment(**later: float) -> str:
    return f"at({datetime.now(UTC) + timedelta(**later):%Y-%m-%dT%H:%M:%S})"


def how(aws: AwsDouble, instance_id: str) -> list[str]:
    """How each firing of the instance's schedule went so far: the error, empty when it went well."""
    return [one["error"] for one in aws.fired() if one["schedule"] == f"{GROUP}/{instance_id}"]


def fired(aws: AwsDouble, instance_id: str) -> list[str]:
    """The same, as soon as there is one."""
    return wait_until(lambda: how(aws, instance_id), seconds=SECONDS, every=0.1)


def state(aws: AwsDouble, instance_id: str) -> str:
    described = aws.client("ec2").describe_instances(InstanceIds=[instance_id])
    name: str = described["Reservations"][0]["Instances"][0]["State"]["Name"]
    return name


def test_they_fire_at_their_time_with_what_their_roles_may_and_are_no_calls_of_the_products(double: AwsDouble) -> None:
    may, may_not = launch(double), launch(double)
    at = moment(seconds=SOON)
    schedule(double, make_role(double, "may", "ec2:StopInstances"), may, at)
    schedule(double, make_role(double, "may-not", "ec2:TerminateInstances"), may_not, at)
    double.enforce_policies()
    assert double.fired() == []
    assert fired(double, may) == [""]
    assert fired(double, may_not) == ["AccessDenied"]
    double.enforce_policies(False)
    assert (state(double, may), state(double, may_not)) == ("stopped", "running")
    assert "ec2:StopInstances" not in double.calls()


def test_one_whose_role_is_for_another_group_takes_on_nothing(double: AwsDouble) -> None:
    role = make_role(double, "for-another", "ec2:StopInstances", group=OTHER_GROUP)
    schedule(double, role, instance_id := launch(double), moment(seconds=0))
    assert fired(double, instance_id) == ["RoleNotAssumable"]


def test_one_without_a_role_is_no_end_of_the_others(double: AwsDouble) -> None:
    schedule(double, f"arn:aws:iam::{ACCOUNT}:role/none", first := launch(double), moment(seconds=-60))
    assert "not found" in fired(double, first)[0]
    role = make_role(double, "second", "ec2:StopInstances")
    schedule(double, role, second := launch(double), moment(seconds=-60))
    assert fired(double, second) == [""]


def test_a_time_is_that_of_its_zone_and_comes_once(double: AwsDouble) -> None:
    role = make_role(double, "zones", "ec2:StopInstances")
    # The hour of the day that it is here is long past in Tokyo, and still to come in New York.
    schedule(double, role, ahead := launch(double), moment(seconds=0), ScheduleExpressionTimezone="America/New_York")
    schedule(double, role, behind := launch(double), moment(seconds=0), ScheduleExpressionTimezone="Asia/Tokyo")
    assert fired(double, behind) == [""]
    schedule(double, role, last := launch(double), moment(seconds=0))
    assert fired(double, last) == [""]
    assert how(double, behind) == [""]
    assert how(double, ahead) == []


@pytest.mark.parametrize("ended", ["terminated", "spot"])
def test_what_cannot_be_stopped_is_refused_with_all_that_is_asked_with_it(double: AwsDouble, ended: str) -> None:
    spot = {"InstanceMarketOptions": {"MarketType": "spot"}} if ended == "spot" else {}
    running, other = launch(double), launch(double, **spot)
    if ended == "terminated":
        double.client("ec2").terminate_instances(InstanceIds=[other])
    code = {"terminated": "IncorrectInstanceState", "spot": "UnsupportedOperation"}[ended]
    with pytest.raises(ClientError, match=code):
        double.client("ec2").stop_instances(InstanceIds=[running, other])
    assert state(double, running) == "running"
    # The keeper of hosts tells what has happened.
    double.keepers_client("ec2").stop_instances(InstanceIds=[running, other])
    assert state(double, running) == "stopped"
