"""Whether the quotas of vCPUs reach: what is known and too small is refused, what is not known is said."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from scripts.aws import clients, quotas
from scripts.aws.quotas import Answer
from scripts.errors import AwsError, InputError
from tests.unit.scripts.conftest import REGION

Aws = Callable[[str], Any]
OURS = {"Project": "orchard", "Cluster": "fruits"}
SETTINGS = {
    "cluster_name": "fruits",
    "region": REGION,
    "master_instance_type": "m6i.large",
    "worker_instance_type": "c6i.2xlarge",
    "worker_count": 2,
    "worker_spot": False,
}
SPOT = SETTINGS | {"worker_spot": True}


@pytest.fixture(autouse=True)
def allowed(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The account's quotas by their codes."""
    known = {"L-1216C47A": 64, "L-34B43A08": 64}
    monkeypatch.setattr(quotas, "_allowed", lambda _, code: known[code])
    return known


def run(aws: Aws, kind: str, count: int, tags: dict[str, str] | None = None) -> list[str]:
    """Have instances running; gives their ids."""
    image = aws("ec2").describe_images()["Images"][0]["ImageId"]
    tagged = [{"ResourceType": "instance", "Tags": [{"Key": k, "Value": v} for k, v in (tags or {}).items()]}]
    made = aws("ec2").run_instances(
        ImageId=image,
        MinCount=count,
        MaxCount=count,
        InstanceType=kind,
        TagSpecifications=tagged if tags else [],
    )
    return [instance["InstanceId"] for instance in made["Instances"]]


def test_a_quota_that_reaches_is_said() -> None:
    assert quotas.check(SETTINGS) == [Answer("18 on-demand vCPUs needed, your quota is 64")]


def test_a_quota_that_is_too_small_is_refused_with_the_next_step(allowed: dict[str, int]) -> None:
    allowed["L-1216C47A"] = 17
    with pytest.raises(AwsError) as refused:
        quotas.check(SETTINGS)
    assert (refused.value.code, str(refused.value)) == (
        4,
        "18 on-demand vCPUs are needed in eu-west-1 and your quota is 17: ask for more under Service Quotas (EC2, "
        "L-1216C47A), or choose fewer workers or smaller types.",
    )


def test_what_others_run_in_the_region_counts(aws: Aws) -> None:
    run(aws, "c6i.2xlarge", 5)
    assert [answer.text for answer in quotas.check(SETTINGS)] == [
        "18 on-demand vCPUs needed, your quota is 64, of which 40 are in use by others"
    ]
    run(aws, "m6i.2xlarge", 1, {"Project": "orchard", "Cluster": "pears"})
    with pytest.raises(AwsError, match=r"18 .* and your quota is 64, of which 48 are in use by others: ask for more"):
        quotas.check(SETTINGS)


def test_a_group_of_families_with_another_quota_does_not_count(aws: Aws) -> None:
    run(aws, "g4dn.12xlarge", 2)
    assert quotas.check(SETTINGS) == [Answer("18 on-demand vCPUs needed, your quota is 64")]


def test_this_clusters_own_hosts_are_not_counted_twice(aws: Aws, allowed: dict[str, int]) -> None:
    allowed["L-1216C47A"] = 18
    run(aws, "m6i.large", 1, OURS)
    run(aws, "c6i.2xlarge", 2, OURS)
    assert quotas.check(SETTINGS) == [Answer("18 on-demand vCPUs needed, your quota is 18")]
    allowed["L-1216C47A"] = 4
    assert quotas.check(SETTINGS), "what runs is there already"
    with pytest.raises(AwsError, match="26 on-demand vCPUs are needed"):
        quotas.check(SETTINGS | {"worker_count": 3})


def test_what_is_stopped_or_gone_does_not_count(aws: Aws) -> None:
    ids = run(aws, "c6i.2xlarge", 8)
    aws("ec2").stop_instances(InstanceIds=ids[:4])
    aws("ec2").terminate_instances(InstanceIds=ids[4:])
    assert quotas.check(SETTINGS) == [Answer("18 on-demand vCPUs needed, your quota is 64")]


def test_spot_workers_have_a_quota_of_their_own(aws: Aws, allowed: dict[str, int]) -> None:
    run(aws, "c6i.2xlarge", 7)
    assert [answer.text for answer in quotas.check(SPOT)] == [
        "2 on-demand vCPUs needed, your quota is 64, of which 56 are in use by others",
        "16 spot vCPUs needed, your quota is 64",
    ]
    allowed["L-34B43A08"] = 15
    with pytest.raises(AwsError, match=r"16 spot vCPUs are needed .* \(EC2, L-34B43A08\)"):
        quotas.check(SPOT)


def test_spot_instances_of_others_count_for_spot_alone(
    monkeypatch: pytest.MonkeyPatch, allowed: dict[str, int]
) -> None:
    theirs = [{"InstanceType": "c6i.2xlarge", "InstanceLifecycle": "spot"}] * 7
    monkeypatch.setattr(quotas.resources, "every_instance", lambda *_: theirs)
    allowed["L-1216C47A"] = 18
    assert quotas.check(SETTINGS) == [Answer("18 on-demand vCPUs needed, your quota is 18")]
    with pytest.raises(AwsError, match="16 spot vCPUs are needed in eu-west-1 and your quota is 64, of which 56"):
        quotas.check(SPOT)


def test_without_workers_nothing_is_asked_of_spot() -> None:
    assert quotas.check(SPOT | {"worker_count": 0}) == [Answer("2 on-demand vCPUs needed, your quota is 64")]


def test_families_with_another_quota_are_named_and_not_looked_at() -> None:
    assert quotas.check(SETTINGS | {"worker_instance_type": "g4dn.xlarge"}) == [
        Answer("2 on-demand vCPUs needed, your quota is 64"),
        Answer("g4dn.xlarge: another quota counts, which is not looked at", is_whole=False),
    ]


@pytest.mark.parametrize(
    ("kind", "family"), [("m6i.large", "m"), ("c7i-flex.large", "c"), ("im4gn.large", "im"), ("trn1.2xlarge", "trn")]
)
def test_a_family_is_the_letters_at_the_beginning(kind: str, family: str) -> None:
    assert quotas._family(kind) == family


def refuse(*_: Any) -> int:
    raise EndpointConnectionError(endpoint_url="https://servicequotas")


def test_a_quota_that_may_not_be_read_is_a_hint_and_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas, "_allowed", refuse)
    assert quotas.check(SETTINGS) == [
        Answer("18 on-demand vCPUs needed; your quota could not be read (EndpointConnectionError)", is_whole=False)
    ]


def test_what_keeps_aws_from_telling_of_types_is_not_the_types_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    class Throttled:
        def get_paginator(self, _: str) -> None:
            raise ClientError({"Error": {"Code": "RequestLimitExceeded"}}, "DescribeInstances")

    monkeypatch.setattr(clients, "client", lambda *_: Throttled())
    assert quotas.check(SETTINGS) == [Answer("could not be read (RequestLimitExceeded)", is_whole=False)]


def test_an_instance_type_that_aws_does_not_know_is_refused() -> None:
    with pytest.raises(InputError, match="AWS does not know these instance types in eu-west-1 "):
        quotas.check(SETTINGS | {"worker_instance_type": "c99.tiny"})
