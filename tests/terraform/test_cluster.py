"""The story of one cluster in AWS: created, left alone, grown, shrunk, changed, taken away."""

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import pytest

from tests.doubles.aws.double import AwsDouble
from tests.doubles.aws.resources import all_resources, resources_of
from tests.terraform.configuration import Configuration
from tests.terraform.conftest import Make

NAME = "story"
NEWEST_DEBIAN = "ami-0deb12amd64new0002"
DEBIAN_FOR_ARM = "ami-0deb12arm64new0003"


@dataclass
class Story:
    """A cluster that was applied once, and what the account held before it."""

    cluster: Configuration
    aws: AwsDouble
    before: set[str]

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
    """Apply the cluster in an account of its own, so that all that appears there is this cluster's."""
    own = AwsDouble().start()
    cluster = make_configuration(own, NAME)
    cluster.init()
    story = Story(cluster, own, all_resources(own.client))
    cluster.apply()
    return story


@pytest.fixture(scope="module")
def story(early: dict[str, Future[Story]]) -> Iterator[Story]:
    """The cluster, applied."""
    story = early[__name__].result()
    yield story
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


def test_a_second_plan_changes_nothing(story: Story) -> None:
    story.cluster.must("plan", "-input=false", "-detailed-exitcode")


def workers_and_their_schedules(action: str, *indices: int) -> dict[str, str]:
    """What is planned where workers come or go: each has a schedule of its own."""
    kinds = ("aws_instance.worker", "aws_scheduler_schedule.worker")
    return {f"{kind}[{index}]": action for kind in kinds for index in indices}


def test_growing_touches_only_new_workers_and_their_schedules(story: Story) -> None:
    before = {name: host["InstanceId"] for name, host in story.hosts().items()}
    story.cluster.set(worker_count=4)
    assert story.cluster.changes() == workers_and_their_schedules("create", 2, 3)
    story.cluster.carry_out()
    after = {name: host["InstanceId"] for name, host in story.hosts().items()}
    assert set(after) == {"master", "worker-1", "worker-2", "worker-3", "worker-4"}
    assert after.items() >= before.items()
    assert [worker["name"] for worker in story.cluster.outputs()["workers"]] == [f"worker-{n}" for n in (1, 2, 3, 4)]


def test_shrinking_takes_the_last_workers(story: Story) -> None:
    before = {name: host["InstanceId"] for name, host in story.hosts().items()}
    story.cluster.set(worker_count=1)
    assert story.cluster.changes() == workers_and_their_schedules("delete", 1, 2, 3)
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


def test_a_worker_that_vanished_comes_back_alone(story: Story) -> None:
    lost = story.cluster.outputs()["workers"][0]["id"]
    story.aws.client("ec2").terminate_instances(InstanceIds=[lost])
    assert story.cluster.changes() == {"aws_instance.worker[0]": "create", "aws_scheduler_schedule.worker[0]": "update"}


def test_going_to_spot_replaces_the_workers_and_leaves_the_master(story: Story) -> None:
    master = story.hosts()["master"]["InstanceId"]
    story.cluster.set(worker_spot=True, worker_spot_max_price=0.2)
    story.cluster.apply()
    hosts = story.hosts()
    assert hosts["worker-1"]["InstanceLifecycle"] == "spot"
    assert hosts["master"]["InstanceId"] == master
    assert "InstanceLifecycle" not in hosts["master"]


def test_nothing_is_left_after_destroy(story: Story) -> None:
    # A key made on demand, outside Terraform, is no obstacle.
    story.aws.client("iam").create_access_key(UserName=story.cluster.outputs()["iam_user_name"])
    assert resources_of(story.aws.client, NAME), "the check sees a cluster that is there"
    story.cluster.must("destroy", "-auto-approve", "-input=false")
    assert resources_of(story.aws.client, NAME) == []
    assert all_resources(story.aws.client) == story.before
