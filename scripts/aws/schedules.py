"""When AWS itself stops the hosts: the schedules of the cluster's group, moved on and read. Terraform makes them."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from scripts.access.errors import aws_errors_as_sentences
from scripts.aws import clients
from scripts.aws.resources import PROJECT
from scripts.errors import InputError

EXPRESSION = "at(%Y-%m-%dT%H:%M:%S)"
# What an update does not name, AWS sets back to its default.
KEPT = (
    "ActionAfterCompletion",
    "Description",
    "EndDate",
    "FlexibleTimeWindow",
    "GroupName",
    "KmsKeyArn",
    "Name",
    "StartDate",
    "State",
    "Target",
)


def move(region: str, cluster_name: str, at: datetime) -> int:
    """Have AWS stop the hosts at this time and no other; gives how many enabled ones were moved, 0 without any.

    Raises InputError for a time that is past: AWS takes it, and may stop the hosts at once.
    """
    if at <= datetime.now(UTC):
        raise InputError(f"AWS cannot stop the hosts at {at:%Y-%m-%d %H:%M}: that is past.")
    expression = at.astimezone(UTC).strftime(EXPRESSION)
    scheduler = clients.client("scheduler", region)
    with aws_errors_as_sentences("move the time at which it stops the hosts"):
        found = list(_schedules(scheduler, cluster_name))
        for schedule in found:
            kept = {name: schedule[name] for name in KEPT if schedule.get(name) is not None}
            scheduler.update_schedule(**kept, ScheduleExpression=expression, ScheduleExpressionTimezone="UTC")
    return sum(schedule["State"] == "ENABLED" for schedule in found)


def due(region: str, cluster_name: str) -> datetime | None:
    """When AWS stops the hosts, or has stopped them where it is past; None when it never does."""
    with aws_errors_as_sentences("say when it stops the hosts"):
        found = list(_schedules(clients.client("scheduler", region), cluster_name))
    times = [_time(schedule) for schedule in found if schedule["State"] == "ENABLED"]
    return min(times, default=None)


def _schedules(scheduler: Any, cluster_name: str) -> Iterator[dict[str, Any]]:
    group = f"{PROJECT}-{cluster_name}"
    for name in _names(scheduler, group):
        # What is listed may be gone when asked.
        with suppress(scheduler.exceptions.ResourceNotFoundException):
            yield scheduler.get_schedule(GroupName=group, Name=name)


def _names(scheduler: Any, group: str) -> list[str]:
    try:
        pages = scheduler.get_paginator("list_schedules").paginate(GroupName=group)
        return [listed["Name"] for page in pages for listed in page["Schedules"]]
    except scheduler.exceptions.ResourceNotFoundException:
        return []


def _time(schedule: dict[str, Any]) -> datetime:
    return datetime.strptime(schedule["ScheduleExpression"], EXPRESSION).replace(tzinfo=UTC)
