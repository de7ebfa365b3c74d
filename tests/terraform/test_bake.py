"""Images are made of hosts that Terraform makes for it and takes away, and new hosts start from them."""

from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import pytest

from tests.doubles.aws.double import AwsDouble
from tests.terraform.configuration import Configuration, Result
from tests.terraform.conftest import Make
from tests.terraform.test_capacity import name_of

NAME = "baked"
OF_CLUSTER = [{"Name": "tag:Cluster", "Values": [NAME]}]
# What the hosts of a bake do is tests/cluster's; none stands behind these.
STAND_INS = """
from scripts import console
from scripts.baking import bake
from scripts.hosts import ansible, readiness
from scripts.lifecycle import plan, up
plan.check = lambda name: ""
console.ask = lambda question: not print("asked", question)
readiness.runs = lambda cluster: False
readiness.connect = lambda baking: print("connected", *(host.name for host in baking.hosts))
ansible.prepare_images = lambda name, note: print("prepared")
"""
BAKE = STAND_INS + 'bake.bake(admin_cidr="203.0.113.7/32")\n'
CLEAN = STAND_INS + "bake.bake(clean=True)\n"
# As a laptop that is switched off: nothing is taken away.
BROKEN_OFF = (
    STAND_INS
    + """
import os
ansible.prepare_images = lambda name, note: os._exit(9)
bake.bake(admin_cidr="203.0.113.7/32")
"""
)
# As `make up` does it between its checks and SSH.
UP = f"""
from scripts.lifecycle import plan, up
planned = plan.plan_for("{NAME}", "203.0.113.7/32")
print(*plan.images(planned), sep="\\n")
print("changes", sorted(planned.changes))
up.machines("{NAME}", "203.0.113.7/32", planned, None)
"""


@dataclass
class Story:
    """How each step ended, and what AWS had of hosts and images after it."""

    broken_off: Result
    left_by_it: list[str]
    baked: Result
    images: list[dict[str, Any]]
    snapshots: list[dict[str, Any]]
    after_bake: list[str]
    again: Result
    grown: Result
    hosts: dict[str, dict[str, Any]]
    cleaned: Result
    after_cleaning: tuple[list[Any], list[Any]]


def begin_early(make_configuration: Make, _: AwsDouble) -> Story:
    """A cluster of one worker, and the story in an AWS of its own."""
    with AwsDouble() as aws:
        cluster = make_configuration(aws, NAME, worker_count=1, cloudwatch=False)
        cluster.init()
        in_workspace(cluster)
        broken_off, left_by_it = cluster.operate(BROKEN_OFF), running(aws)
        baked = cluster.operate(BAKE)
        images, snapshots = made(aws)
        after_bake, again = running(aws), cluster.operate(BAKE)
        cluster.set(worker_count=2)
        grown = cluster.operate(UP)
        hosts = {name_of(host): host for host in described(aws)}
        cleaned = cluster.operate(CLEAN)
        return Story(
            broken_off, left_by_it, baked, images, snapshots, after_bake, again, grown, hosts, cleaned, made(aws)
        )


def made(aws: AwsDouble) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The cluster's images, and its snapshots."""
    ec2 = aws.client("ec2")
    images = ec2.describe_images(Owners=["self"], Filters=OF_CLUSTER)["Images"]
    return images, ec2.describe_snapshots(OwnerIds=["self"], Filters=OF_CLUSTER)["Snapshots"]


def in_workspace(cluster: Configuration) -> None:
    """The cluster is made as the operator makes it, in its own workspace."""
    done = cluster.operate(UP)
    assert done.returncode == 0, done.stdout + done.stderr


def described(aws: AwsDouble) -> list[dict[str, Any]]:
    """The cluster's instances, those that are gone, too."""
    reservations = aws.client("ec2").describe_instances(Filters=OF_CLUSTER)["Reservations"]
    return [host for one in reservations for host in one["Instances"]]


def running(aws: AwsDouble) -> list[str]:
    """Names of those that are not gone."""
    return sorted(
        name_of(host).removeprefix(f"orchard-{NAME}-")
        for host in described(aws)
        if host["State"]["Name"] != "terminated"
    )


def tags_of(thing: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in thing["Tags"]}


@pytest.fixture(scope="module")
def story(early: dict[str, Future[Story]]) -> Story:
    """The story, told."""
    return early[__name__].result()


def said(result: Result) -> str:
    return f"{result.returncode}\n{result.stdout}\n{result.stderr}"


def test_a_bake_makes_an_image_for_each_role_closed_and_named_by_what_it_is_made_of(story: Story) -> None:
    assert story.baked.returncode == 0, said(story.baked)
    assert "connected bake-master bake-worker\n" in story.baked.stdout
    [contents] = {tags_of(image)["Contents"] for image in story.images}
    assert sorted(image["Name"] for image in story.images) == [
        f"orchard-{NAME}-{role}-x86_64-debian12-{contents}" for role in ("master", "worker")
    ]
    assert [image["Public"] for image in story.images] == [False, False]
    disks = [mapping["Ebs"] for image in story.images for mapping in image["BlockDeviceMappings"]]
    # As small as a host's disk may be.
    assert [(disk["Encrypted"], disk["VolumeSize"]) for disk in disks] == [(True, 16), (True, 16)]
    assert {snapshot["SnapshotId"] for snapshot in story.snapshots} == {disk["SnapshotId"] for disk in disks}


def test_what_a_killed_bake_has_left_is_asked_for_and_taken_away_by_the_next(story: Story) -> None:
    assert story.broken_off.returncode == 9, said(story.broken_off)
    assert story.left_by_it == ["bake-master", "bake-worker", "master", "worker-1"]
    assert "asked AWS has hosts that images are made of already" in story.baked.stdout
    assert story.after_bake == ["master", "worker-1"]


def test_a_second_bake_of_the_same_checkout_makes_nothing(story: Story) -> None:
    assert story.again.returncode == 0, said(story.again)
    assert "prepared" not in story.again.stdout
    assert all(image["ImageId"] in story.again.stdout for image in story.images)


def test_new_workers_start_from_the_image_and_hosts_that_are_there_stay(story: Story) -> None:
    assert story.grown.returncode == 0, said(story.grown)
    worker = next(image for image in story.images if "-worker-" in image["Name"])
    assert f"Hosts start from image {worker['ImageId']} (worker), baked 20" in story.grown.stdout
    assert story.hosts[f"orchard-{NAME}-worker-2"]["ImageId"] == worker["ImageId"]
    first = story.hosts[f"orchard-{NAME}-worker-1"]
    assert (first["State"]["Name"], first["ImageId"] == worker["ImageId"]) == ("running", False)
    assert "changes ['aws_instance.worker[1]', 'aws_scheduler_schedule.worker[1]']" in story.grown.stdout


def test_cleaning_deletes_images_and_snapshots(story: Story) -> None:
    assert story.cleaned.returncode == 0, said(story.cleaned)
    assert story.after_cleaning == ([], [])
