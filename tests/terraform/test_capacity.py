"""AWS has no room: a first `make up` goes on with what else the settings allow, and the next one leaves it there."""

from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import pytest

from tests.doubles.aws.double import AwsDouble
from tests.terraform.configuration import Result
from tests.terraform.conftest import Make

NAME = "room"
# As `make up` does it between its checks and SSH.
UP = f"""
from scripts.lifecycle import plan, up
from scripts.terraform import placement
planned = plan.plan_for("{NAME}", "203.0.113.7/32")
up.machines("{NAME}", "203.0.113.7/32", planned, None)
after = plan.plan_for("{NAME}", "203.0.113.7/32")
print(after.changes, placement.of(after))
"""


@dataclass
class Room:
    """How it ended, the hosts that there are then, the networks, and what has struck."""

    ended: Result
    hosts: dict[str, dict[str, Any]]
    zones: list[str]
    faults_left: int


def begin_early(make_configuration: Make, _: AwsDouble) -> Room:
    """A cluster of spot workers in an AWS of its own, which has none.

    Its master is of a type that two zones have, its workers of one that takes no EBS optimization.
    """
    with AwsDouble() as aws:
        cluster = make_configuration(
            aws,
            NAME,
            master_instance_type="m8id.large",
            worker_instance_types=["t2.xlarge", "c6i.2xlarge"],
            worker_count=1,
            worker_spot=True,
            spot_fallback=True,
            cloudwatch=False,
        )
        cluster.init()
        aws.fail("ec2:RunInstances", match="MarketType=spot", code="MaxSpotInstanceCountExceeded")
        aws.fail("ec2:RunInstances", match="InstanceType=t2.xlarge", code="Unsupported")
        ended = cluster.operate(UP)
        filters = [{"Name": "tag:Cluster", "Values": [NAME]}]
        ec2 = aws.client("ec2")
        found = [host for one in ec2.describe_instances(Filters=filters)["Reservations"] for host in one["Instances"]]
        hosts = {name_of(host): host for host in found if host["State"]["Name"] == "running"}
        zones = [subnet["AvailabilityZone"] for subnet in ec2.describe_subnets(Filters=filters)["Subnets"]]
        return Room(ended, hosts, zones, aws.pending_faults())


def name_of(host: dict[str, Any]) -> str:
    """The host's name tag."""
    return next(str(tag["Value"]) for tag in host["Tags"] if tag["Key"] == "Name")


@pytest.fixture(scope="module")
def room(early: dict[str, Future[Room]]) -> Room:
    """The cluster, where there was room for it."""
    found = early[__name__].result()
    assert found.ended.returncode == 0, found.ended.stdout + found.ended.stderr
    return found


def test_what_else_the_settings_allow_is_tried_a_line_each(room: Room) -> None:
    assert room.faults_left == 0
    [away] = {"eu-west-1b", "eu-west-1c"} - set(room.zones)
    [zone] = room.zones
    tried = [line for line in room.ended.stdout.splitlines() if "Trying" in line]
    assert [line.partition(" Trying ")[2] for line in tried] == [
        f"t2.xlarge, on demand, {away}.",
        f"{zone}; hosts that were made are made again there.",
    ]
    assert tried[1].startswith(f"worker-1 could not be started in {away}: AWS does not offer it in this zone (Unsupp")


def test_all_hosts_are_in_the_one_subnet_that_there_is(room: Room) -> None:
    assert set(room.hosts) == {f"orchard-{NAME}-master", f"orchard-{NAME}-worker-1"}
    assert {host["Placement"]["AvailabilityZone"] for host in room.hosts.values()} == set(room.zones)
    worker = room.hosts[f"orchard-{NAME}-worker-1"]
    assert (worker["InstanceType"], worker.get("InstanceLifecycle")) == ("t2.xlarge", None)


def test_the_price_is_said_anew_with_another_market_and_not_with_another_zone(room: Room) -> None:
    prices = [line for line in room.ended.stdout.splitlines() if line.startswith("Price: ")]
    assert len(prices) == 1


def test_the_next_plan_leaves_everything_where_it_is(room: Room) -> None:
    last = room.ended.stdout.splitlines()[-1]
    assert last == f"{{}} Placement(zone='{room.zones[0]}', worker_instance_type='t2.xlarge', worker_spot=False)"
