"""What there is of a cluster in AWS, where its answers lag behind or are refused."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.aws import clients, resources
from scripts.aws.resources import Resource
from scripts.errors import AwsError

Aws = Callable[[str], Any]
REGION = "eu-west-1"
TAGS = [{"Key": "Project", "Value": "orchard"}, {"Key": "Cluster", "Value": "fruits"}]


def test_a_role_that_is_listed_and_gone_is_not_there(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("orchard-fruits-gone", "orchard-fruits-nodes"):
        aws("iam").create_role(RoleName=name, AssumeRolePolicyDocument="{}", Tags=TAGS)
    iam = clients.client("iam", REGION)
    get = iam.get_role

    def get_role(RoleName: str) -> Any:  # noqa: N803  as boto3 has it
        return get(RoleName="never-made" if RoleName.endswith("gone") else RoleName)

    monkeypatch.setattr(iam, "get_role", get_role)
    assert resources.of_cluster(REGION, "fruits") == [Resource("IAM role", "orchard-fruits-nodes")]


def test_a_group_of_schedules_that_is_being_deleted_is_on_its_way_out(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws("scheduler").create_schedule_group(Name="orchard-fruits", Tags=TAGS)
    assert resources.of_cluster(REGION, "fruits") == [Resource("schedule group", "orchard-fruits")]
    scheduler = clients.client("scheduler", REGION)
    get = scheduler.get_schedule_group
    monkeypatch.setattr(scheduler, "get_schedule_group", lambda **named: get(**named) | {"State": "DELETING"})
    assert resources.of_cluster(REGION, "fruits") == []


def test_a_group_an_alarm_and_a_topic_of_the_name_alone_are_somebody_elses(aws: Aws) -> None:
    aws("scheduler").create_schedule_group(Name="orchard-fruits")
    aws("sns").create_topic(Name="orchard-fruits")
    aws("cloudwatch").put_metric_alarm(
        AlarmName="orchard-fruits-mine", ComparisonOperator="LessThanThreshold", EvaluationPeriods=1
    )
    aws("cloudwatch").put_dashboard(DashboardName="orchard-fruits-mine", DashboardBody="{}")
    assert resources.of_cluster(REGION, "fruits") == []


def refuse(monkeypatch: pytest.MonkeyPatch, service: str, call: str, code: str) -> None:
    """Have AWS refuse this call."""
    client = clients.client(service, REGION)
    refusal = ClientError({"Error": {"Code": code, "Message": "not you"}}, call)

    def refused(*_: Any, **__: Any) -> None:
        raise refusal

    monkeypatch.setattr(client, "get_paginator" if service != "scheduler" else call, refused)


def test_who_may_not_look_at_cloudwatch_and_sns_has_nothing_there(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    aws("scheduler").create_schedule_group(Name="orchard-fruits", Tags=TAGS)
    refuse(monkeypatch, "cloudwatch", "describe_alarms", "AccessDenied")
    refuse(monkeypatch, "sns", "list_topics", "AuthorizationError")
    assert resources.of_cluster(REGION, "fruits") == [Resource("schedule group", "orchard-fruits")]


@pytest.mark.parametrize(
    ("service", "code"), [("cloudwatch", "InternalFailure"), ("scheduler", "AccessDeniedException")]
)
def test_every_other_refusal_is_a_sentence(aws: Aws, monkeypatch: pytest.MonkeyPatch, service: str, code: str) -> None:
    refuse(monkeypatch, service, "get_schedule_group", code)
    with pytest.raises(AwsError, match=f"AWS would not say what there is of the cluster \\({code}: not you\\)"):
        resources.of_cluster(REGION, "fruits")


def test_instances_are_in_the_order_of_their_names_and_only_this_clusters(aws: Aws) -> None:
    image = aws("ec2").describe_images()["Images"][0]["ImageId"]
    for name, tags in (("worker-10", TAGS), ("worker-2", TAGS), ("master", TAGS), ("stranger", [])):
        tagged = [{"ResourceType": "instance", "Tags": [*tags, {"Key": "Name", "Value": f"orchard-fruits-{name}"}]}]
        aws("ec2").run_instances(ImageId=image, MinCount=1, MaxCount=1, TagSpecifications=tagged)
    found = resources.instances("eu-west-1", "fruits")
    assert [resources.host_name(host, "fruits") for host in found] == ["master", "worker-2", "worker-10"]
    assert len(resources.every_instance("eu-west-1", ["running"])) == 4
