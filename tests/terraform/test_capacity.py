"""AWS has no room: `make up` goes on with what else the settings allow, and the next one and healing leave it there."""

from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import pytest

from tests.doubles.aws.double import AwsDouble
from tests.terraform.configuration import Configuration, Result
from tests.terraform.conftest import Make

NAME = "room"
OF_CLUSTER = [{"Name": "tag:Cluster", "Values": [NAME]}]
# As `make up` does it between its checks and SSH.
UP = f"""
from scripts.lifecycle import plan, up
from scripts.terraform import placement
planned = plan.plan_for("{NAME}", "203.0.113.7/32")
up.machines("{NAME}", "203.0.113.7/32", planned, None)
after = plan.plan_for("{NAME}", "203.0.113.7/32")
print(after.changes, placement.of(after))
"""
GROW = f"""
from scripts.lifecycle import plan, up
up.machines("{NAME}", "203.0.113.7/32", plan.plan_for("{NAME}", "203.0.113.7/32"), None)
"""
# As beside a run, between the look and Ansible.
HEAL = """
from scripts.errors import AwsError
from scripts.healing import workers
from scripts.hosts import ansible
from scripts.terraform import outputs
ansible.require_same_software = lambda _: None
workers._equip = lambda _, made: print("equipped", *sorted(host.name for host in made))
cluster = outputs.current()
gone = workers.lost(cluster)
try:
    cluster = workers.make_anew(cluster, gone)
except AwsError as error:
    print("refused", error)
print(cluster.worker_type, cluster.spot, *(host.id for host in cluster.workers))
"""


@dataclass
class Room:
    """How it ended, the hosts that there are then, the networks, and what has struck."""

    ended: Result
    hosts: dict[str, dict[str, Any]]
    zones: list[str]
    faults_left: int
    # How both tries to heal ended, and the hosts of then.
    healed: list[Result]
    afterwards: dict[str, dict[str, Any]]


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
        hosts, faults_left = running(aws), aws.pending_faults()
        subnets = aws.client("ec2").describe_subnets(Filters=OF_CLUSTER)["Subnets"]
        healed = lose_all(cluster, aws) if ended.returncode == 0 else []
        zones = [subnet["AvailabilityZone"] for subnet in subnets]
        return Room(ended, hosts, zones, faults_left, healed, running(aws))


def lose_all(cluster: Configuration, aws: AwsDouble) -> list[Result]:
    """Take two workers away, and give no more than one back at the first try to heal."""
    cluster.set(worker_count=2)
    grown = cluster.operate(GROW)
    lost = [host["InstanceId"] for name, host in running(aws).items() if "worker" in name]
    aws.client("ec2").terminate_instances(InstanceIds=lost)
    aws.fail("ec2:RunInstances", match="InstanceType=t2.xlarge", code="Unsupported")
    return [grown, cluster.operate(HEAL), cluster.operate(HEAL)]


def running(aws: AwsDouble) -> dict[str, dict[str, Any]]:
    """The cluster's hosts that run, by their name tags."""
    reservations = aws.client("ec2").describe_instances(Filters=OF_CLUSTER)["Reservations"]
    found = [host for one in reservations for host in one["Instances"]]
    return {name_of(host): host for host in found if host["State"]["Name"] == "running"}


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


def test_lost_workers_are_made_anew_of_the_kind_that_there_was_room_for_however_many_tries_it_takes(room: Room) -> None:
    grown, first, second = room.healed
    assert grown.returncode == 0, grown.stdout + grown.stderr
    assert "refused" in first.stdout, first.stdout + first.stderr
    assert "equipped" not in first.stdout
    # The one that was made at the first try has nothing on it yet.
    assert second.stdout.startswith("equipped worker-1 worker-2\n"), second.stdout + second.stderr
    made = [room.afterwards[f"orchard-{NAME}-worker-{number}"] for number in (1, 2)]
    assert second.stdout.splitlines()[-1].split() == ["t2.xlarge", "False", *(host["InstanceId"] for host in made)]
    assert {(host["InstanceType"], host.get("InstanceLifecycle")) for host in made} == {("t2.xlarge", None)}
