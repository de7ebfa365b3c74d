"""What the keeper takes for its cluster's hosts, of what AWS has with the cluster's tags."""

from datetime import UTC, datetime
from typing import Any

import pytest

from orchard_keeper.aws import Aws


class Ec2:
    """EC2 with these instances, by name and role."""

    def __init__(self, hosts: dict[str, str]) -> None:
        self._hosts = hosts

    def get_paginator(self, _: str) -> "Ec2":
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [{"Reservations": [{"Instances": [_instance(name, role) for name, role in self._hosts.items()]}]}]


def _instance(name: str, role: str) -> dict[str, Any]:
    tags = [{"Key": "Name", "Value": f"orchard-fruits-{name}"}, {"Key": "Role", "Value": role}]
    launched_at = datetime(2026, 11, 26, tzinfo=UTC)
    return {"InstanceId": f"i-{name}", "InstanceType": "m6i.large", "LaunchTime": launched_at, "Tags": tags}


def test_hosts_that_images_are_made_of_are_neither_ended_nor_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = Aws("fruits", "eu-west-1", "bucket")
    there = Ec2({"master": "master", "worker-1": "worker", "bake-master": "bake", "bake-worker": "bake"})
    monkeypatch.setattr(aws, "_client", lambda _: there)
    assert [machine.name for machine in aws.machines()] == ["master", "worker-1"]
