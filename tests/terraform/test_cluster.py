"""The story of one cluster in AWS: created, left alone, grown, shrunk, changed, taken away."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scripts.aws import clients, schedules
from scripts.cluster import Host
from scripts.lifecycle import plan
from scripts.terraform import workspace
from scripts.waiting import wait_until
from tests.doubles.aws.double import ACCOUNT, AwsDouble
from tests.doubles.aws.resources import all_resources, resources_of
from tests.terraform.configuration import Configuration
from tests.terraform.conftest import Make

NAME = "story"
GROUP = f"orchard-{NAME}"
FIRED_SECONDS = 20  # the double looks five times a second
NOT_PROPAGATED = "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."
FOREVER = datetime(2099, 1, 1, 12, 0, 0, tzinfo=UTC)
NEWEST_DEBIAN = "ami-0deb12amd64new0002"
DEBIAN_FOR_ARM = "ami-0deb12arm64new0003"


@dataclass
class Story:
    """A cluster that was applied once, and what the account held before it."""

    cluster: Configuration
    aws: AwsDouble
    before: set[str]
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended: datetime = FOREVER

    def ids(self) -> dict[str, list[str]]:
        """Identifiers of the hosts by their names, as Terraform knows them."""
        outputs = self.cluster.outputs()
        return {host["name"]: [host["id"]] for host in (outputs["master"], *outputs["workers"])}

    def schedule(self, name: str) -> dict[str, Any]:
        """What AWS says of a schedule."""
        described: dict[str, Any] = self.aws.client("scheduler").get_schedule(GroupName=GROUP, Name=name)
        return described

    def update(self, name: str, at: datetime) -> None:
        """Give a schedule this time, be it past."""
        described = self.schedule(name)
        kept = {key: described[key] for key in schedules.KEPT if key in described}
        expression = f"at({at:%Y-%m-%dT%H:%M:%S})"
        self.aws.client("scheduler").update_schedule(**kept, ScheduleExpression=expression)

    def fired(self, name: str) -> list[str]:
        """How each firing of this schedule went: the error's code, empty when it went well."""
        return [one["error"] for one in self.aws.fired() if one["schedule"] == f"{GROUP}/{name}"]

    def hosts(self) -> dict[str, dict[str, Any]]:
        """EC2's own description of each host that is not terminated, by role and number."""
        filters = [{"Name": "tag:Cluster", "Values": [NAME]}]
        reservations = self.aws.client("ec2").describe_instances(Filters=filters)["Reservations"]
        found = [host for reservation in reservations for host in reservation["Instances"]]
        return {
            tags_of(host)["Name"].removeprefix(f"orchard-{NAME}-"): host
            for host in found
            if host["State"]["Name"] != "terminated"
        }


def tags_of(described: dict[str, Any]) -> dict[str, str]:
    """AWS's list of tags as a mapping."""
    return {tag["Key"]: tag["Value"] for tag in described.get("Tags", [])}


def begin_early(make_configuration: Make, _: AwsDouble) -> Story:
    """Apply the cluster in an account of its own, so that all that appears there is this cluster's.

    IAM is late by two refusals of a role that was just made.
    """
    own = AwsDouble().start()
    cluster = make_configuration(own, NAME, budget_email="me@example.com")
    cluster.init()
    own.fail("scheduler:POST /schedules/*", code="ValidationException", message=NOT_PROPAGATED, times=2)
    story = Story(cluster, own, all_resources(own.client))
    cluster.apply()
    story.ended = datetime.now(UTC)
    return story


@pytest.fixture(scope="module")
def story(early: dict[str, Future[Story]]) -> Iterator[Story]:
    """The cluster, applied; its AWS taken by the product's clients for Amazon's."""
    story = early[__name__].result()
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in story.aws.environment().items():
            monkeypatch.setenv(name, value)
        clients.forget()
        yield story
    clients.forget()
    story.aws.stop()


def test_everything_is_there_after_one_apply(story: Story) -> None:
    outputs = story.cluster.outputs()
    hosts = story.hosts()
    assert set(hosts) == {"master", "worker-1", "worker-2"}
    assert outputs["master"] == {
        "name": "master",
        "id": hosts["master"]["InstanceId"],
        "private_ip": hosts["master"]["PrivateIpAddress"],
        "public_ip": hosts["master"]["PublicIpAddress"],
    }
    assert [worker["id"] for worker in outputs["workers"]] == [
        hosts["worker-1"]["InstanceId"],
        hosts["worker-2"]["InstanceId"],
    ]
    assert story.aws.client("s3").head_bucket(Bucket=outputs["bucket"])["BucketRegion"] == "eu-west-1"
    assert story.aws.client("iam").get_user(UserName=outputs["iam_user_name"])


def test_hosts_run_debians_own_newest_image(story: Story) -> None:
    assert {host["ImageId"] for host in story.hosts().values()} == {NEWEST_DEBIAN}


def test_hosts_take_no_credentials_but_by_imdsv2_over_one_hop(story: Story) -> None:
    for host in story.hosts().values():
        assert host["MetadataOptions"]["HttpTokens"] == "required"
        assert host["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
        assert host["IamInstanceProfile"]["Arn"].endswith(f"instance-profile/orchard-{NAME}-nodes")


def test_disks_are_encrypted_and_carry_the_tags(story: Story) -> None:
    filters = [{"Name": "tag:Cluster", "Values": [NAME]}]
    volumes = story.aws.client("ec2").describe_volumes(Filters=filters)["Volumes"]
    assert len(volumes) == 3
    for volume in volumes:
        assert volume["Encrypted"]
        assert volume["VolumeType"] == "gp3"
        assert volume["Size"] == 30
        assert tags_of(volume).items() >= {"Project": "orchard", "Owner": "tester", "ManagedBy": "terraform"}.items()


def test_everything_carries_the_cluster_s_tags_but_what_aws_makes_itself(story: Story) -> None:
    made = all_resources(story.aws.client) - story.before
    untagged = made - set(resources_of(story.aws.client, NAME))
    # The VPC's main route table and the hosts' interfaces, which nobody asked for and which go with their owners.
    assert {thing.split()[0] for thing in untagged} == {"route-table", "network-interface"}


def test_from_outside_only_ssh_from_the_administrator_is_let_in(story: Story) -> None:
    ec2 = story.aws.client("ec2")
    groups = {group for host in story.hosts().values() for group in (g["GroupId"] for g in host["SecurityGroups"])}
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": sorted(groups)}])
    ingress = [rule for rule in rules["SecurityGroupRules"] if not rule["IsEgress"]]
    from_outside = [rule for rule in ingress if "ReferencedGroupInfo" not in rule]
    from_groups = [rule for rule in ingress if "ReferencedGroupInfo" in rule]
    assert [(rule["CidrIpv4"], rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) for rule in from_outside] == [
        ("203.0.113.7/32", "tcp", 22, 22)
    ]
    assert [rule["ReferencedGroupInfo"]["GroupId"] for rule in from_groups] == [rule["GroupId"] for rule in from_groups]


def test_the_default_security_group_lets_nothing_through(story: Story) -> None:
    filters = [{"Name": "tag:Name", "Values": [f"orchard-{NAME}-default-unused"]}]
    (group,) = story.aws.client("ec2").describe_security_groups(Filters=filters)["SecurityGroups"]
    assert group["IpPermissions"] == []
    assert group["IpPermissionsEgress"] == []


def test_the_bucket_is_private_versioned_and_encrypted(story: Story) -> None:
    s3, bucket = story.aws.client("s3"), story.cluster.outputs()["bucket"]
    assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    (encryption,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert encryption["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    (ownership,) = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert ownership["ObjectOwnership"] == "BucketOwnerEnforced"
    assert "aws:SecureTransport" in s3.get_bucket_policy(Bucket=bucket)["Policy"]


# The end by AWS's own hand


def test_a_role_that_cannot_be_assumed_yet_is_waited_for(story: Story) -> None:
    assert story.aws.pending_faults() == 0
    assert story.schedule("master")["Target"]["RoleArn"] == f"arn:aws:iam::{ACCOUNT}:role/{GROUP}-scheduler"


def targets(story: Story) -> dict[str, tuple[str, list[str]]]:
    """Operation and instances of each schedule."""
    found = {}
    for name in story.ids():
        target = story.schedule(name)["Target"]
        found[name] = (target["Arn"].rpartition(":")[2], json.loads(target["Input"])["InstanceIds"])
    return found


def test_each_host_is_stopped_by_a_schedule_of_its_own(story: Story) -> None:
    assert targets(story) == {name: ("stopInstances", ids) for name, ids in story.ids().items()}


def test_they_are_due_an_hour_behind_the_age_limit_once_and_to_the_minute(story: Story) -> None:
    due = schedules.due(story.aws.region, NAME)
    assert due
    assert story.began - timedelta(seconds=1) <= due - timedelta(hours=13) <= story.ended
    for name in story.ids():
        described = story.schedule(name)
        assert re.fullmatch(r"at\(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\)", described["ScheduleExpression"])
        assert described["ScheduleExpressionTimezone"] == "UTC"
        assert described["State"] == "ENABLED"
        assert described["FlexibleTimeWindow"] == {"Mode": "OFF"}
        assert described["Target"]["RetryPolicy"]["MaximumEventAgeInSeconds"] == 3600


def test_the_dashboard_shows_what_the_keeper_writes(story: Story) -> None:
    dashboard = story.aws.client("cloudwatch").get_dashboard(DashboardName=GROUP)
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


def alarms(story: Story) -> dict[str, dict[str, Any]]:
    described = story.aws.client("cloudwatch").describe_alarms()["MetricAlarms"]
    return {alarm["AlarmName"].removeprefix(f"{GROUP}-"): alarm for alarm in described}


def test_two_alarms_send_an_e_mail(story: Story) -> None:
    topic = f"arn:aws:sns:eu-west-1:{ACCOUNT}:{GROUP}"
    assert set(alarms(story)) == {"too-old", "workers-missing"}
    for alarm in alarms(story).values():
        assert alarm["AlarmActions"] == [topic]
        assert alarm["TreatMissingData"] == "notBreaching"
    (mail,) = story.aws.client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert (mail["Protocol"], mail["Endpoint"]) == ("email", "me@example.com")


def test_a_cluster_that_is_too_old_is_seen_without_any_keeper(story: Story) -> None:
    alarm = alarms(story)["too-old"]
    assert (alarm["Namespace"], alarm["MetricName"], alarm["Statistic"]) == (
        "AWS/EC2",
        "StatusCheckFailed",
        "SampleCount",
    )
    assert alarm["Dimensions"] == [{"Name": "InstanceId", "Value": story.ids()["master"][0]}]
    # Fourteen hours in a row in which EC2 has looked at the host nearly every minute.
    assert (alarm["Period"], alarm["EvaluationPeriods"], alarm["Threshold"]) == (3600, 14, 50)
    assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"


def test_workers_that_are_missing_for_ten_minutes_are_seen(story: Story) -> None:
    alarm = alarms(story)["workers-missing"]
    assert (alarm["Namespace"], alarm["MetricName"]) == ("Orchard", "WorkersAlive")
    assert alarm["Dimensions"] == [{"Name": "Cluster", "Value": NAME}]
    assert alarm["Period"] * alarm["EvaluationPeriods"] == 600
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("LessThanThreshold", 2)


# Its life


def test_a_second_plan_changes_nothing_nor_does_one_after_the_operator_has_moved_the_end(story: Story) -> None:
    story.cluster.must("plan", "-input=false", "-detailed-exitcode")
    assert schedules.move(story.aws.region, NAME, FOREVER) == 3
    assert schedules.due(story.aws.region, NAME) == FOREVER
    story.cluster.must("plan", "-input=false", "-detailed-exitcode")


ALARM = {"aws_cloudwatch_metric_alarm.workers_missing[0]": "update"}


def workers_and_their_schedules(action: str, *indices: int) -> dict[str, str]:
    """What is planned where workers come or go: each has a schedule of its own."""
    kinds = ("aws_instance.worker", "aws_scheduler_schedule.worker")
    return {f"{kind}[{index}]": action for kind in kinds for index in indices}


def test_growing_touches_only_new_workers_and_their_schedules(story: Story) -> None:
    before = {name: host["InstanceId"] for name, host in story.hosts().items()}
    story.cluster.set(worker_count=4)
    assert story.cluster.changes() == workers_and_their_schedules("create", 2, 3) | ALARM
    story.cluster.carry_out()
    assert targets(story)["worker-4"] == ("stopInstances", story.ids()["worker-4"])
    # The new ones' are due as from now, until the operator moves them along.
    assert story.schedule("worker-1")["ScheduleExpression"] == "at(2099-01-01T12:00:00)"
    assert schedules.due(story.aws.region, NAME) < FOREVER
    after = {name: host["InstanceId"] for name, host in story.hosts().items()}
    assert set(after) == {"master", "worker-1", "worker-2", "worker-3", "worker-4"}
    assert after.items() >= before.items()
    assert [worker["name"] for worker in story.cluster.outputs()["workers"]] == [f"worker-{n}" for n in (1, 2, 3, 4)]


def fire_now(story: Story, name: str) -> None:
    """Let the time of this schedule come, as time itself does."""
    before = len(story.fired(name))
    story.update(name, datetime.now(UTC) - timedelta(seconds=1))
    wait_until(lambda: len(story.fired(name)) > before, seconds=FIRED_SECONDS, every=0.1)


def states(story: Story) -> dict[str, str]:
    return {name: host["State"]["Name"] for name, host in story.hosts().items()}


def test_a_schedule_that_is_due_stops_its_host_once_and_the_product_has_called_nothing(story: Story) -> None:
    story.aws.forget_faults()
    fire_now(story, "worker-2")
    assert story.fired("worker-2") == [""]
    assert {name for name, state in states(story).items() if state == "stopped"} == {"worker-2"}
    assert "ec2:StopInstances" not in story.aws.calls()
    story.aws.client("ec2").start_instances(InstanceIds=story.ids()["worker-2"])
    fire_now(story, "worker-3")
    assert story.fired("worker-2") == [""]
    schedules.move(story.aws.region, NAME, FOREVER)


def test_shrinking_takes_the_last_workers(story: Story) -> None:
    before = {name: host["InstanceId"] for name, host in story.hosts().items()}
    story.cluster.set(worker_count=1)
    assert story.cluster.changes() == workers_and_their_schedules("delete", 1, 2, 3) | ALARM
    story.cluster.carry_out()
    after = {name: host["InstanceId"] for name, host in story.hosts().items()}
    assert after == {name: before[name] for name in ("master", "worker-1")}


def test_neither_a_newer_image_nor_a_stop_replaces_a_host(story: Story) -> None:
    ec2, master = story.aws.client("ec2"), story.cluster.outputs()["master"]["id"]
    ec2.stop_instances(InstanceIds=[master])
    story.cluster.set(ami_id=DEBIAN_FOR_ARM)
    assert story.cluster.changes() == {}
    story.cluster.set(ami_id=None)
    ec2.start_instances(InstanceIds=[master])


def test_another_type_of_master_stops_it_and_another_key_leaves_hosts_with_theirs(story: Story, tmp_path: Path) -> None:
    other = tmp_path / "id_ed25519.pub"
    other.write_text("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM4Rf0nddkWgfCjs51iXjQULRKO6flarRrEBNubtujjm other\n")
    before = story.cluster.settings("ssh_public_key_path")
    story.cluster.set(master_instance_type="m6i.xlarge", ssh_public_key_path=str(other))
    changes = story.cluster.changes()
    # What `make up` asks about, and what it refuses.
    shown = json.loads(story.cluster.must("show", "-json", "change.tfplan"))["resource_changes"]
    assert {change["address"] for change in shown if workspace.is_stop(change)} == {"aws_instance.master"}
    assert changes["aws_key_pair.admin"] == "replace"
    assert {address: change for address, change in changes.items() if address.startswith("aws_instance.")} == {
        "aws_instance.master": "update"
    }
    story.cluster.set(master_instance_type="m6i.large", **before)


def test_a_worker_that_vanished_keeps_no_other_host_running_and_comes_back_alone(story: Story) -> None:
    story.aws.client("ec2").terminate_instances(InstanceIds=story.ids()["worker-1"])
    for name in ("worker-1", "master"):
        fire_now(story, name)
    assert story.fired("worker-1")[-1] == "IncorrectInstanceState"
    assert states(story) == {"master": "stopped"}
    story.aws.client("ec2").start_instances(InstanceIds=story.ids()["master"])
    # As `make start` does: nothing is applied over a time that is past.
    schedules.move(story.aws.region, NAME, FOREVER)
    anew = {"aws_instance.worker[0]": "create", "aws_scheduler_schedule.worker[0]": "update"}
    assert story.cluster.changes() == anew
    # Made anew beside a run, it is looked at alone; what another kind of worker would be is seen, and refused.
    first = Host("worker-1", "", "", None)
    alone = [f"-target={plan.address_of(kind, first)}" for kind in plan.OF_A_HOST]
    story.cluster.set(admin_cidrs=["198.51.100.7/32"], worker_count=3, worker_instance_type="c6i.xlarge")
    assert story.cluster.changes(*alone) == anew | {"terraform_data.worker_kind": "update"}
    story.cluster.set(admin_cidrs=["203.0.113.7/32"], worker_count=1, worker_instance_type=None)


def test_going_to_spot_replaces_the_workers_and_leaves_the_master(story: Story) -> None:
    master = story.hosts()["master"]["InstanceId"]
    assert story.cluster.outputs()["worker_tensorflow"] is False
    story.cluster.set(worker_spot=True, worker_spot_max_price=0.2, worker_tensorflow=True)
    story.cluster.apply()
    assert story.cluster.outputs()["worker_tensorflow"] is True
    hosts = story.hosts()
    assert hosts["worker-1"]["InstanceLifecycle"] == "spot"
    assert hosts["master"]["InstanceId"] == master
    assert "InstanceLifecycle" not in hosts["master"]
    # By which `make up` knows on which market the workers are that are there.
    assert story.cluster.attributes("terraform_data.worker_kind")["input"]["spot"] is True
    assert targets(story)["worker-1"] == ("terminateInstances", story.ids()["worker-1"])
    assert schedules.due(story.aws.region, NAME) == FOREVER
    fire_now(story, "worker-1")
    assert story.fired("worker-1")[-1] == ""
    assert "worker-1" not in story.hosts()
    schedules.move(story.aws.region, NAME, FOREVER)


def test_another_age_limit_counts_anew_and_brings_no_time_that_is_past(story: Story) -> None:
    story.cluster.set(max_age_hours=0.5)
    changes = story.cluster.changes()
    assert {changes[f"aws_scheduler_schedule.{name}"] for name in ("master", "worker[0]")} == {"replace"}
    story.cluster.set(max_age_hours=12)


def test_nothing_is_left_after_destroy(story: Story) -> None:
    # A key made on demand, outside Terraform, is no obstacle.
    story.aws.client("iam").create_access_key(UserName=story.cluster.outputs()["iam_user_name"])
    kinds = {thing.split()[0] for thing in resources_of(story.aws.client, NAME)}
    assert kinds >= {"instance", "schedule-group", "schedule", "dashboard", "alarm", "topic", "subscription"}
    story.cluster.must("destroy", "-auto-approve", "-input=false")
    assert resources_of(story.aws.client, NAME) == []
    assert all_resources(story.aws.client) == story.before
