"""The time at which AWS itself stops the hosts: moved and told, and nothing else of a schedule changed."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from scripts.aws import clients, schedules
from scripts.errors import AwsError, InputError

Aws = Callable[[str], Any]
REGION, NAME = "eu-west-1", "fruits"
FIRST = datetime(2099, 11, 26, 12, 0, tzinfo=UTC)
LATER = datetime(2099, 11, 27, 9, 30, 15, tzinfo=UTC)


def target(operation: str, instance_id: str) -> dict[str, Any]:
    return {
        "Arn": f"arn:aws:scheduler:::aws-sdk:ec2:{operation}",
        "RoleArn": "arn:aws:iam::123456789012:role/orchard-fruits-scheduler",
        "Input": json.dumps({"InstanceIds": [instance_id]}),
        "RetryPolicy": {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 30},
    }


@pytest.fixture
def group(aws: Aws) -> Callable[..., None]:
    """Makes the schedules of a cluster, as Terraform does."""

    def make(cluster_name: str = NAME, at: datetime = FIRST, state: str = "ENABLED") -> None:
        name = f"orchard-{cluster_name}"
        aws("scheduler").create_schedule_group(Name=name)
        for schedule, operation in (("master", "stopInstances"), ("worker-1", "terminateInstances")):
            aws("scheduler").create_schedule(
                GroupName=name,
                Name=schedule,
                Description=f"ends the {schedule}",
                ScheduleExpression=f"at({at:%Y-%m-%dT%H:%M:%S})",
                FlexibleTimeWindow={"Mode": "OFF"},
                State=state,
                Target=target(operation, f"i-{schedule}"),
            )

    return make


def described(aws: Aws, schedule: str) -> dict[str, Any]:
    answer = aws("scheduler").get_schedule(GroupName=f"orchard-{NAME}", Name=schedule)
    return {name: value for name, value in answer.items() if name not in ("LastModificationDate", "ResponseMetadata")}


@pytest.mark.parametrize(("state", "counted"), [("ENABLED", 2), ("DISABLED", 0)])
def test_every_schedule_is_moved_and_nothing_else_of_it_is_changed(
    aws: Aws, group: Callable[..., None], state: str, counted: int
) -> None:
    group(state=state)
    before = {name: described(aws, name) for name in ("master", "worker-1")}
    assert schedules.move(REGION, NAME, LATER) == counted
    for name, was in before.items():
        assert described(aws, name) == was | {"ScheduleExpression": "at(2099-11-27T09:30:15)"}


def test_a_time_of_another_zone_is_written_in_utc(group: Callable[..., None]) -> None:
    group()
    schedules.move(REGION, NAME, LATER.astimezone(timezone(timedelta(hours=5))))
    assert schedules.due(REGION, NAME) == LATER


def test_another_cluster_whose_name_begins_alike_is_left_alone(group: Callable[..., None]) -> None:
    group()
    group("fruits-two")
    assert schedules.move(REGION, NAME, LATER) == 2
    assert schedules.due(REGION, NAME) == LATER
    assert schedules.due(REGION, "fruits-two") == FIRST


def test_without_a_group_nothing_is_moved_and_nothing_is_due(aws: Aws) -> None:
    assert schedules.move(REGION, NAME, LATER) == 0
    assert schedules.due(REGION, NAME) is None


def test_what_is_listed_and_gone_keeps_no_other_from_being_moved(
    aws: Aws, group: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    group()
    scheduler = clients.client("scheduler", REGION)
    get = scheduler.get_schedule

    def get_schedule(GroupName: str, Name: str) -> Any:  # noqa: N803  as boto3 has it
        return get(GroupName=GroupName, Name="never-made" if Name == "worker-1" else Name)

    with monkeypatch.context() as patched:
        patched.setattr(scheduler, "get_schedule", get_schedule)
        assert schedules.move(REGION, NAME, LATER) == 1
    assert described(aws, "master")["ScheduleExpression"] == "at(2099-11-27T09:30:15)"


def test_a_group_that_aws_does_not_list_is_no_group(
    group: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    group()
    scheduler = clients.client("scheduler", REGION)
    missing = scheduler.exceptions.ResourceNotFoundException({"Error": {"Code": "ResourceNotFoundException"}}, "List")

    class Pages:
        def paginate(self, **_: Any) -> None:
            raise missing

    monkeypatch.setattr(scheduler, "get_paginator", lambda _: Pages())
    assert schedules.move(REGION, NAME, LATER) == 0


def test_a_schedule_that_is_disabled_is_never_due(group: Callable[..., None]) -> None:
    group(state="DISABLED")
    assert schedules.due(REGION, NAME) is None


def test_a_time_that_is_past_is_told_as_it_is(group: Callable[..., None]) -> None:
    past = datetime(2020, 1, 1, tzinfo=UTC)
    group(at=past)
    assert schedules.due(REGION, NAME) == past


def test_nothing_is_moved_to_a_time_that_is_past(group: Callable[..., None]) -> None:
    group()
    with pytest.raises(InputError, match="2020-01-01 00:00: that is past"):
        schedules.move(REGION, NAME, datetime(2020, 1, 1, tzinfo=UTC))
    assert schedules.due(REGION, NAME) == FIRST


def test_what_aws_refuses_is_a_sentence(group: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    group()
    scheduler = clients.client("scheduler", REGION)
    refusal = scheduler.exceptions.ClientError(
        {"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "UpdateSchedule"
    )

    def refuse(**_: Any) -> None:
        raise refusal

    monkeypatch.setattr(scheduler, "update_schedule", refuse)
    with pytest.raises(AwsError, match=r"AWS would not move the time at which it stops the hosts \(AccessDenied"):
        schedules.move(REGION, NAME, LATER)
