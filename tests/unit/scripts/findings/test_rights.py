"""Who is asked about: the cluster's own identities, and whatever role its hosts have."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from scripts.aws import resources
from scripts.findings import hosts, rights
from scripts.findings.finding import FACT, NOT_GOOD, UNKNOWN, Asked, Finding
from tests.unit.scripts.conftest import REGION

Aws = Callable[[str], Any]
NODES = "orchard-fruits-nodes"
IDENTITIES = "Which identities does the cluster have?"


@pytest.fixture
def iam(aws: Aws) -> Any:
    """IAM with the hosts' role and one that may all, each with a profile; gives its client."""
    client = aws("iam")
    tags = [{"Key": key, "Value": value} for key, value in resources.tags_of("fruits").items()]
    for role, carried in ((NODES, tags), ("admin", [])):
        client.create_role(
            RoleName=role, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": []}), Tags=carried
        )
        client.create_instance_profile(InstanceProfileName=f"{role}-profile", Path="/a/")
        client.add_role_to_instance_profile(InstanceProfileName=f"{role}-profile", RoleName=role)
    everything = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
    client.put_role_policy(RoleName="admin", PolicyName="all", PolicyDocument=json.dumps(everything))
    return client


def lines(monkeypatch: pytest.MonkeyPatch, *profiles: str) -> dict[str, Finding]:
    """What is said where the hosts have these profiles; of a host with an empty one EC2 names none."""
    arns = [f"arn:aws:iam::123456789012:instance-profile/a/{profile}" for profile in profiles]
    there = [
        {"InstanceId": f"i-{number}", **({"IamInstanceProfile": {"Arn": arn}} if profile else {})}
        for number, (profile, arn) in enumerate(zip(profiles, arns, strict=True))
    ]
    monkeypatch.setattr(hosts, "instances_of", lambda *_: there)
    return {line.question: line for line in rights.of_rights(Asked(REGION), "fruits", "a-bucket")}


def test_hosts_with_the_clusters_own_role_add_nobody(iam: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = lines(monkeypatch, f"{NODES}-profile", f"{NODES}-profile", "")
    assert found[IDENTITIES].answer.verdict == FACT
    assert list(found) == [IDENTITIES, f"What may {NODES} do?", f"Who may act as {NODES}?"]


def test_a_host_with_another_role_is_named_and_the_role_is_asked(iam: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = lines(monkeypatch, f"{NODES}-profile", "admin-profile")
    answer = found[IDENTITIES].answer
    assert (answer.verdict, answer.text) == (NOT_GOOD, f"{NODES}; and admin, no role of this cluster, on i-1.")
    assert found["What may admin do?"].answer.verdict == NOT_GOOD
    assert "iam:GetInstanceProfile" in [call.name for call in found[IDENTITIES].calls]


def test_a_profile_that_is_gone_lends_nothing(iam: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lines(monkeypatch, "gone")[IDENTITIES].answer.verdict == FACT


def test_where_hosts_are_not_told_of_the_rest_is_asked(iam: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def odd(*_: object) -> list[Any]:
        raise KeyError("Reservations")

    monkeypatch.setattr(hosts, "instances_of", odd)
    found = {line.question: line for line in rights.of_rights(Asked(REGION), "fruits", "a-bucket")}
    assert found[IDENTITIES].answer.verdict == UNKNOWN
    assert f"What may {NODES} do?" in found
