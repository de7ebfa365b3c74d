"""The cluster's end by AWS's own hand: schedules as they are made, moved, kept and fired; alarms; a dashboard."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scripts.aws import clients, schedules
from scripts.waiting import wait_until
from tests.doubles.aws.double import ACCOUNT, AwsDouble
from tests.doubles.aws.resources import all_resources, resources_of
from tests.terraform.configuration import Configuration
from tests.terraform.conftest import Make

NAME = "ending"
GROUP = f"orchard-{NAME}"
FIRED_SECONDS = 20  # the double looks five times a second
NOT_PROPAGATED = "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."
PAST = datetime(2020, 1, 1, tzinfo=UTC)
FOREVER = datetime(2099, 1, 1, 12, 0, 0, tzinfo=UTC)


@dataclass
class Ending:
    """A cluster that was applied once in an AWS of its own, and when that was."""

    cluster: Configuration
    aws: AwsDouble
    before: set[str]
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended: datetime = FOREVER

    def schedule(self, name: str) -> dict[str, Any]:
        """What AWS says of a schedule."""
        described: dict[str, Any] = self.aws.client("scheduler").get_schedule(GroupName=GROUP, Name=name)
        return described

    def ids(self) -> dict[str, list[str]]:
        """Identifiers of the hosts by their names, as Terraform knows them."""
        outputs = self.cluster.outputs()
        return {host["name"]: [host["id"]] for host in (outputs["master"], *outputs["workers"])}

    def states(self) -> dict[str, str]:
        """The states that the hosts are in."""
        ids = {name: identity for name, [identity] in self.ids().items()}
        reservations = self.aws.client("ec2").describe_instances(InstanceIds=list(ids.values()))["Reservations"]
        found = {host["InstanceId"]: host["State"]["Name"] for group in reservations for host in group["Instances"]}
        return {name: found[identity] for name, identity in ids.items()}

    def update(self, name: str, at: datetime, **changed: str) -> None:
        """Give a schedule this time, be it past."""
        described = self.schedule(name)
        kept = {key: described[key] for key in ("Name", "GroupName", "FlexibleTimeWindow", "Target", "State")}
        expression = f"at({at:%Y-%m-%dT%H:%M:%S})"
        self.aws.client("scheduler").update_schedule(**kept | changed, ScheduleExpression=expression)

    def fired(self, name: str) -> list[str]:
        """How each firing of this schedule went: the error's code, empty when it went well."""
        return [one["error"] for one in self.aws.fired() if one["schedule"] == f"{GROUP}/{name}"]


def begin_early(make_configuration: Make, _: AwsDouble) -> Ending:
    """Apply it, with IAM late by two refusals of a role that was just made."""
    aws = AwsDouble().start()
    cluster = make_configuration(aws, NAME, budget_email="me@example.com")
    cluster.init()
    aws.fail("scheduler:POST /schedules/*", code="ValidationException", message=NOT_PROPAGATED, times=2)
    ending = Ending(cluster, aws, all_resources(aws.client))
    cluster.apply()
    ending.ended = datetime.now(UTC)
    return ending


@pytest.fixture(scope="module")
def ending(early: dict[str, Future[Ending]]) -> Iterator[Ending]:
    """The cluster, applied; its AWS taken by the product's clients for Amazon's."""
    ending = early[__name__].result()
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in ending.aws.environment().items():
            monkeypatch.setenv(name, value)
        clients.client.cache_clear()
        yield ending
    clients.client.cache_clear()
    ending.aws.stop()


def targets(ending: Ending) -> dict[str, tuple[str, list[str]]]:
    """Operation and instances of each schedule."""
    found = {}
    for name in ending.ids():
        target = ending.schedule(name)["Target"]
        found[name] = (target["Arn"].rpartition(":")[2], json.loads(target["Input"])["InstanceIds"])
    return found


def fire_now(ending: Ending, name: str) -> None:
    """Let the time of this schedule come, as time itself does."""
    before = len(ending.fired(name))
    ending.update(name, datetime.now(UTC) - timedelta(seconds=1))
    wait_until(lambda: len(ending.fired(name)) > before, seconds=FIRED_SECONDS, every=0.1)


def test_a_role_that_cannot_be_assumed_yet_is_waited_for(ending: Ending) -> None:
    assert ending.aws.pending_faults() == 0
    assert ending.schedule("master")["Target"]["RoleArn"] == f"arn:aws:iam::{ACCOUNT}:role/{GROUP}-scheduler"


def test_each_host_is_stopped_by_a_schedule_of_its_own(ending: Ending) -> None:
    assert targets(ending) == {name: ("stopInstances", ids) for name, ids in ending.ids().items()}


def test_they_are_due_an_hour_behind_the_age_limit_once_and_to_the_minute(ending: Ending) -> None:
    due = schedules.due(ending.aws.region, NAME)
    assert due
    assert ending.began - timedelta(seconds=1) <= due - timedelta(hours=13) <= ending.ended
    for name in ending.ids():
        described = ending.schedule(name)
        assert re.fullmatch(r"at\(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\)", described["ScheduleExpression"])
        assert described["ScheduleExpressionTimezone"] == "UTC"
        assert described["State"] == "ENABLED"
        assert described["FlexibleTimeWindow"] == {"Mode": "OFF"}
        assert described["Target"]["RetryPolicy"]["MaximumEventAgeInSeconds"] == 3600


def test_the_dashboard_shows_what_the_keeper_writes(ending: Ending) -> None:
    dashboard = ending.aws.client("cloudwatch").get_dashboard(DashboardName=GROUP)
    widgets = json.loads(dashboard["DashboardBody"])["widgets"]
    shown = [tuple(metric) for widget in widgets for metric in widget["properties"]["metrics"]]
    names = {
        "WorkersAlive",
        "Cores",
        "TasksRunning",
        "PicturesDone",
        "ImagesPerSecond",
        "BadPictures",
        "IdleMinutes",
        "FreeDiskGB",
        "USDSinceStart",
    }
    assert set(shown) == {("Orchard", name, "Cluster", NAME) for name in names}
    assert {widget["properties"]["region"] for widget in widgets} == {"eu-west-1"}
    places = [(widget["x"], widget["y"]) for widget in widgets]
    assert len(set(places)) == len(places)


def alarms(ending: Ending) -> dict[str, dict[str, Any]]:
    described = ending.aws.client("cloudwatch").describe_alarms()["MetricAlarms"]
    return {alarm["AlarmName"].removeprefix(f"{GROUP}-"): alarm for alarm in described}


def test_two_alarms_send_an_e_mail(ending: Ending) -> None:
    topic = f"arn:aws:sns:eu-west-1:{ACCOUNT}:{GROUP}"
    assert set(alarms(ending)) == {"too-old", "workers-missing"}
    for alarm in alarms(ending).values():
        assert alarm["AlarmActions"] == [topic]
        assert alarm["TreatMissingData"] == "notBreaching"
    (mail,) = ending.aws.client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert (mail["Protocol"], mail["Endpoint"]) == ("email", "me@example.com")


def test_a_cluster_that_is_too_old_is_seen_without_any_keeper(ending: Ending) -> None:
    alarm = alarms(ending)["too-old"]
    assert (alarm["Namespace"], alarm["MetricName"], alarm["Statistic"]) == (
        "AWS/EC2",
        "StatusCheckFailed",
        "SampleCount",
    )
    assert alarm["Dimensions"] == [{"Name": "InstanceId", "Value": ending.ids()["master"][0]}]
    # Fourteen hours in a row in which EC2 has looked at the host nearly every minute.
    assert (alarm["Period"], alarm["EvaluationPeriods"], alarm["Threshold"]) == (3600, 14, 50)
    assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"


def test_workers_that_are_missing_for_ten_minutes_are_seen(ending: Ending) -> None:
    alarm = alarms(ending)["workers-missing"]
    assert (alarm["Namespace"], alarm["MetricName"]) == ("Orchard", "WorkersAlive")
    assert alarm["Dimensions"] == [{"Name": "Cluster", "Value": NAME}]
    assert alarm["Period"] * alarm["EvaluationPeriods"] == 600
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("LessThanThreshold", 2)


def test_a_second_plan_changes_nothing_nor_does_one_after_the_operator_has_moved_the_end(ending: Ending) -> None:
    assert ending.cluster.changes() == {}
    assert schedules.move(ending.aws.region, NAME, FOREVER) == 3
    assert schedules.due(ending.aws.region, NAME) == FOREVER
    assert ending.cluster.changes() == {}


def test_scaling_names_the_new_hosts_and_keeps_the_moved_time(ending: Ending) -> None:
    ending.cluster.set(worker_count=3)
    assert ending.cluster.changes() == {
        "aws_instance.worker[2]": "create",
        "aws_scheduler_schedule.worker[2]": "create",
        "aws_cloudwatch_metric_alarm.workers_missing[0]": "update",
    }
    ending.cluster.carry_out()
    assert targets(ending)["worker-3"] == ("stopInstances", ending.ids()["worker-3"])
    # The new one's is due as from now, until the operator moves it along.
    assert ending.schedule("worker-1")["ScheduleExpression"] == "at(2099-01-01T12:00:00)"
    schedules.move(ending.aws.region, NAME, FOREVER)
    assert schedules.due(ending.aws.region, NAME) == FOREVER
    assert ending.cluster.changes() == {}


def test_a_schedule_that_is_due_stops_its_hosts_once_and_the_product_has_called_nothing(ending: Ending) -> None:
    ending.aws.forget_faults()
    fire_now(ending, "master")
    assert ending.fired("master") == [""]
    assert ending.states() == {"master": "stopped"} | dict.fromkeys(("worker-1", "worker-2", "worker-3"), "running")
    assert "ec2:StopInstances" not in ending.aws.calls()
    ending.aws.client("ec2").start_instances(InstanceIds=ending.ids()["master"])
    fire_now(ending, "worker-2")
    assert ending.fired("master") == [""]
    assert {name for name, state in ending.states().items() if state == "stopped"} == {"worker-2"}


def test_one_worker_that_is_gone_keeps_no_other_host_running(ending: Ending) -> None:
    ending.aws.client("ec2").terminate_instances(InstanceIds=ending.ids()["worker-1"])
    for name in ("worker-1", "worker-3", "master"):
        fire_now(ending, name)
    assert ending.fired("worker-1")[-1] == "IncorrectInstanceState"
    assert ending.states() == {"worker-1": "terminated"} | dict.fromkeys(("master", "worker-2", "worker-3"), "stopped")


def test_spot_workers_are_terminated(ending: Ending) -> None:
    # As `make up` does: nothing is applied over a time that is past.
    schedules.move(ending.aws.region, NAME, FOREVER)
    ending.cluster.set(worker_spot=True, worker_count=1)
    ending.cluster.apply()
    assert targets(ending)["worker-1"] == ("terminateInstances", ending.ids()["worker-1"])
    assert schedules.due(ending.aws.region, NAME) == FOREVER
    fire_now(ending, "worker-1")
    assert ending.fired("worker-1")[-1] == ""
    assert ending.states()["worker-1"] == "terminated"


def test_without_an_age_limit_nothing_is_fired_and_nothing_is_too_old(ending: Ending) -> None:
    ending.cluster.set(max_age_hours=0)
    ending.cluster.apply()
    assert {ending.schedule(name)["State"] for name in ("master", "worker-1")} == {"DISABLED"}
    assert schedules.due(ending.aws.region, NAME) is None
    assert set(alarms(ending)) == {"workers-missing"}
    fired = len(ending.aws.fired())
    ending.update("master", PAST)
    # The other one comes after it, and is fired.
    ending.update("worker-1", PAST, State="ENABLED")
    wait_until(lambda: len(ending.aws.fired()) > fired, seconds=FIRED_SECONDS, every=0.1)
    assert [one["schedule"] for one in ending.aws.fired()[fired:]] == [f"{GROUP}/worker-1"]


def test_another_age_limit_counts_anew_and_brings_no_time_that_is_past(ending: Ending) -> None:
    ending.cluster.set(max_age_hours=0.5)
    changes = ending.cluster.changes()
    assert {changes[f"aws_scheduler_schedule.{name}"] for name in ("master", "worker[0]")} == {"replace"}


def test_nothing_is_left_after_destroy(ending: Ending) -> None:
    kinds = {thing.split()[0] for thing in resources_of(ending.aws.client, NAME)}
    assert kinds >= {"schedule-group", "schedule", "dashboard", "alarm", "topic", "subscription"}
    ending.cluster.must("destroy", "-auto-approve", "-input=false")
    assert all_resources(ending.aws.client) == ending.before
