"""What there is of a cluster in AWS, where its answers lag behind."""

from collections.abc import Callable
from typing import Any

import pytest

from scripts.aws import clients, resources
from scripts.aws.resources import Resource

Aws = Callable[[str], Any]
TAGS = [{"Key": "Project", "Value": "orchard"}, {"Key": "Cluster", "Value": "fruits"}]


def test_a_role_that_is_listed_and_gone_is_not_there(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("orchard-fruits-gone", "orchard-fruits-nodes"):
        aws("iam").create_role(RoleName=name, AssumeRolePolicyDocument="{}", Tags=TAGS)
    iam = clients.client("iam", "eu-west-1")
    get = iam.get_role

    def get_role(RoleName: str) -> Any:  # noqa: N803  as boto3 has it
        return get(RoleName="never-made" if RoleName.endswith("gone") else RoleName)

    monkeypatch.setattr(iam, "get_role", get_role)
    assert resources.of_cluster("eu-west-1", "fruits") == [Resource("IAM role", "orchard-fruits-nodes")]


def test_instances_are_in_the_order_of_their_names_and_only_this_clusters(aws: Aws) -> None:
    image = aws("ec2").describe_images()["Images"][0]["ImageId"]
    for name, tags in (("worker-10", TAGS), ("worker-2", TAGS), ("master", TAGS), ("stranger", [])):
        tagged = [{"ResourceType": "instance", "Tags": [*tags, {"Key": "Name", "Value": f"orchard-fruits-{name}"}]}]
        aws("ec2").run_instances(ImageId=image, MinCount=1, MaxCount=1, TagSpecifications=tagged)
    found = resources.instances("eu-west-1", "fruits")
    assert [resources.host_name(host, "fruits") for host in found] == ["master", "worker-2", "worker-10"]
    assert len(resources.every_instance("eu-west-1", ["running"])) == 4
