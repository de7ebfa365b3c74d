"""What `make evidence` reads of a cluster that was applied: each line is good, and turns when its thing is broken."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from scripts.aws import clients
from scripts.aws.bucket import bucket_of
from scripts.findings.finding import FACT, GONE, GOOD, NOT_GOOD, UNKNOWN, Finding
from scripts.handin import evidence
from scripts.handin.subject import Subject
from scripts.terraform import outputs
from tests.doubles.aws.double import ACCOUNT, AwsDouble
from tests.terraform.configuration import Configuration
from tests.terraform.conftest import Make

NAME = "evident"
NODES, PERSON = f"orchard-{NAME}-nodes", f"orchard-{NAME}-person"
RUN = "first"
SSH_GROUP = {"tag:Name": f"orchard-{NAME}-ssh"}
ANYBODY = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}
TRUST = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}},
}
EVERYTHING = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}


@dataclass
class Evident:
    """A cluster that was applied once, with a run in its bucket, in an AWS of its own."""

    configuration: Configuration
    aws: AwsDouble

    @property
    def subject(self) -> Subject:
        cluster = outputs.from_outputs(self.configuration.outputs())
        return Subject(cluster.name, cluster.region, bucket_of(cluster), cluster)

    def ids(self, call: str, listed: str, identity: str, **filters: str) -> list[str]:
        """Names of what EC2 has of the cluster."""
        asked = [{"Name": name, "Values": [value]} for name, value in ({"tag:Cluster": NAME} | filters).items()]
        described = getattr(self.aws.client("ec2"), call)(Filters=asked)
        return [one[identity] for one in described[listed]]


def begin_early(make_configuration: Make, _: AwsDouble) -> Evident:
    """The cluster, and a record in its bucket."""
    aws = AwsDouble().start()
    configuration = make_configuration(aws, NAME)
    configuration.init()
    configuration.apply()
    bucket = configuration.outputs()["bucket"]
    aws.client("s3").put_object(Bucket=bucket, Key=f"runs/{RUN}/run.json", Body=b"{}")
    return Evident(configuration, aws)


@pytest.fixture(scope="module")
def evident(early: dict[str, Future[Evident]]) -> Iterator[Evident]:
    """The same; its AWS taken by the product's clients for Amazon's."""
    evident = early[__name__].result()
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in evident.aws.environment().items():
            monkeypatch.setenv(name, value)
        clients.forget()
        yield evident
    clients.forget()
    evident.aws.stop()


@pytest.fixture(scope="module")
def subject(evident: Evident) -> Subject:
    """What the page is about."""
    return evident.subject


def lines(subject: Subject) -> list[Finding]:
    return [finding for section in evidence.read(subject, RUN).values() for finding in section]


def verdicts(subject: Subject) -> dict[str, str]:
    return {finding.question: finding.answer.verdict for finding in lines(subject)}


def test_every_line_of_a_cluster_as_it_was_applied_is_good_and_names_its_calls(subject: Subject) -> None:
    found = lines(subject)
    assert {line.question: line.answer for line in found if line.answer.verdict not in (GOOD, FACT)} == {}
    facts = {line.question for line in found if line.answer.verdict == FACT}
    assert facts == {
        "How long is it kept?",
        "Where do the hosts get to?",
        "Which identities does the cluster have?",
        "Who has asked all this?",
    }
    assert [line.question for line in found if not line.calls] == []
    said = {line.question: line.answer.text for line in found}
    assert said["Who reaches the hosts from outside, and on which port?"] == "tcp 22 from 203.0.113.7/32. Nothing else."
    assert said["Where do the hosts get to?"] == "tcp 443 to 0.0.0.0/0; tcp 80 to 0.0.0.0/0; and to one another."
    assert said["Are pictures and results stored in the European Union?"] == (
        "eu-west-1, Europe (Ireland): in the European Union."
    )
    assert said[f"What may {PERSON} do?"] == (
        f"list, see unfinished uploads to the bucket {subject.bucket.name}; read, write, delete, abort uploads of the "
        f"objects of {subject.bucket.name}."
    )


def test_only_calls_that_read_were_made(evident: Evident, subject: Subject) -> None:
    evident.aws.forget_faults()
    named = {call.name for line in lines(subject) for call in line.calls}
    made = {call for call in evident.aws.calls() if not call.startswith("s3:")}
    assert made <= named
    assert {call.partition(":")[2].partition(" ")[0] for call in evident.aws.calls() if call.startswith("s3:")} <= {
        "GET",
        "HEAD",
    }
    reading = ("Get", "List", "Describe", "Head")
    assert {name for name in named if not name.partition(":")[2].startswith(reading)} == set()


@contextmanager
def without_public_access_block(evident: Evident, bucket: str) -> Iterator[None]:
    s3 = evident.aws.client("s3")
    kept = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    s3.delete_public_access_block(Bucket=bucket)
    yield
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=kept)


@contextmanager
def with_half_a_public_access_block(evident: Evident, bucket: str) -> Iterator[None]:
    s3 = evident.aws.client("s3")
    kept = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=kept | {"BlockPublicPolicy": False})
    yield
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=kept)


@contextmanager
def with_policy(statements: list[dict[str, Any]] | None, evident: Evident, bucket: str) -> Iterator[None]:
    """Another policy of the bucket's, or none."""
    s3 = evident.aws.client("s3")
    kept = s3.get_bucket_policy(Bucket=bucket)["Policy"]
    if statements is None:
        s3.delete_bucket_policy(Bucket=bucket)
    else:
        own = [statement | {"Resource": f"arn:aws:s3:::{bucket}/*"} for statement in statements]
        more = {"Version": "2012-10-17", "Statement": json.loads(kept)["Statement"] + own}
        # As if nothing had blocked it.
        with without_public_access_block(evident, bucket):
            s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(more))
    yield
    s3.put_bucket_policy(Bucket=bucket, Policy=kept)


@contextmanager
def without_encryption(evident: Evident, bucket: str) -> Iterator[None]:
    s3 = evident.aws.client("s3")
    kept = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]
    s3.delete_bucket_encryption(Bucket=bucket)
    yield
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=kept)


@contextmanager
def without_versions(evident: Evident, bucket: str) -> Iterator[None]:
    s3 = evident.aws.client("s3")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    yield
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


@contextmanager
def with_access_lists(evident: Evident, bucket: str) -> Iterator[None]:
    s3 = evident.aws.client("s3")
    for rule in ("ObjectWriter", "BucketOwnerEnforced"):
        s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": rule}]})
        if rule == "ObjectWriter":
            yield


@contextmanager
def open_from(network: str, port: int, evident: Evident, _: str) -> Iterator[None]:
    """A port of the hosts that is open to a network."""
    ec2 = evident.aws.client("ec2")
    [group] = evident.ids("describe_security_groups", "SecurityGroups", "GroupId", **SSH_GROUP)
    kind = {"Ipv6Ranges": [{"CidrIpv6": network}]} if ":" in network else {"IpRanges": [{"CidrIp": network}]}
    rule = [{"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **kind}]
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=rule)
    yield
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=rule)


@contextmanager
def open_to_another_group(evident: Evident, _: str) -> Iterator[None]:
    ec2 = evident.aws.client("ec2")
    [group] = evident.ids("describe_security_groups", "SecurityGroups", "GroupId", **SSH_GROUP)
    [network] = evident.ids("describe_vpcs", "Vpcs", "VpcId")
    other = ec2.create_security_group(GroupName="others", Description="others", VpcId=network)["GroupId"]
    rule = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "UserIdGroupPairs": [{"GroupId": other}]}]
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=rule)
    yield
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=rule)
    ec2.delete_security_group(GroupId=other)


@contextmanager
def with_imdsv1(evident: Evident, _: str) -> Iterator[None]:
    ec2, master = evident.aws.client("ec2"), evident.configuration.outputs()["master"]["id"]
    ec2.modify_instance_metadata_options(InstanceId=master, HttpTokens="optional")
    yield
    ec2.modify_instance_metadata_options(InstanceId=master, HttpTokens="required")


@contextmanager
def with_a_bare_disk(evident: Evident, _: str) -> Iterator[None]:
    ec2, master = evident.aws.client("ec2"), evident.configuration.outputs()["master"]["id"]
    disk = ec2.create_volume(AvailabilityZone="eu-west-1a", Size=1, Encrypted=False)["VolumeId"]
    ec2.attach_volume(InstanceId=master, VolumeId=disk, Device="/dev/sdz")
    yield
    ec2.detach_volume(VolumeId=disk, InstanceId=master, Device="/dev/sdz")
    ec2.delete_volume(VolumeId=disk)


@contextmanager
def with_a_role_that_may_all(evident: Evident, _: str) -> Iterator[None]:
    iam = evident.aws.client("iam")
    iam.put_role_policy(RoleName=NODES, PolicyName="all", PolicyDocument=json.dumps(EVERYTHING))
    yield
    iam.delete_role_policy(RoleName=NODES, PolicyName="all")


@contextmanager
def with_a_policy_of_awss_own(evident: Evident, _: str) -> Iterator[None]:
    iam, arn = evident.aws.client("iam"), "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
    iam.attach_user_policy(UserName=PERSON, PolicyArn=arn)
    yield
    iam.detach_user_policy(UserName=PERSON, PolicyArn=arn)


@contextmanager
def with_a_person_behind_the_hosts_role(evident: Evident, _: str) -> Iterator[None]:
    iam = evident.aws.client("iam")
    kept = iam.get_role(RoleName=NODES)["Role"]["AssumeRolePolicyDocument"]
    who = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    let_in = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": who}
    more = {"Version": "2012-10-17", "Statement": [*kept["Statement"], let_in]}
    iam.update_assume_role_policy(RoleName=NODES, PolicyDocument=json.dumps(more))
    yield
    iam.update_assume_role_policy(RoleName=NODES, PolicyDocument=json.dumps(kept))


@contextmanager
def with_a_password(evident: Evident, _: str) -> Iterator[None]:
    iam = evident.aws.client("iam")
    iam.create_login_profile(UserName=PERSON, Password="a-Passw0rd!")
    yield
    iam.delete_login_profile(UserName=PERSON)


@contextmanager
def with_a_host_under_another_role(evident: Evident, _: str) -> Iterator[None]:
    """The profile of the hosts lends another role than the cluster's."""
    iam, name = evident.aws.client("iam"), "admin"
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=json.dumps(EVERYTHING))
    iam.remove_role_from_instance_profile(InstanceProfileName=NODES, RoleName=NODES)
    iam.add_role_to_instance_profile(InstanceProfileName=NODES, RoleName=name)
    yield
    iam.remove_role_from_instance_profile(InstanceProfileName=NODES, RoleName=name)
    iam.add_role_to_instance_profile(InstanceProfileName=NODES, RoleName=NODES)
    iam.delete_role_policy(RoleName=name, PolicyName="all")
    iam.delete_role(RoleName=name)


@contextmanager
def with_copies_elsewhere(evident: Evident, bucket: str) -> Iterator[None]:
    s3 = evident.aws.client("s3")
    s3.create_bucket(Bucket="copies", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_bucket_versioning(Bucket="copies", VersioningConfiguration={"Status": "Enabled"})
    rule = {"ID": "a", "Status": "Enabled", "Prefix": "", "Destination": {"Bucket": "arn:aws:s3:::copies"}}
    role = f"arn:aws:iam::{ACCOUNT}:role/copies"
    s3.put_bucket_replication(Bucket=bucket, ReplicationConfiguration={"Role": role, "Rules": [rule]})
    yield
    s3.delete_bucket_replication(Bucket=bucket)
    s3.delete_bucket(Bucket="copies")


FROM_OUTSIDE = "Who reaches the hosts from outside, and on which port?"
BREAKS: dict[str, tuple[Callable[..., Any], set[str]]] = {
    "no public access block": (
        without_public_access_block,
        {"Is public access blocked, whatever a policy or an object says?"},
    ),
    "half of one": (
        with_half_a_public_access_block,
        {"Is public access blocked, whatever a policy or an object says?"},
    ),
    "no policy": (partial(with_policy, None), {"Is it reached over TLS only?"}),
    "a policy for anybody": (
        partial(with_policy, [ANYBODY]),
        {"Does the bucket itself let anybody in?", "Does AWS take the bucket for public?"},
    ),
    "no encryption": (without_encryption, {"Are they encrypted where they lie?"}),
    "no versions": (without_versions, {"Can what was deleted or overwritten be brought back?"}),
    "access lists": (with_access_lists, {"Can an object have an owner or readers of its own?"}),
    "SSH from everywhere": (partial(open_from, "0.0.0.0/0", 22), {FROM_OUTSIDE}),
    "SSH from half of everywhere": (partial(open_from, "128.0.0.0/1", 22), {FROM_OUTSIDE}),
    "SSH from all of IPv6": (partial(open_from, "::/0", 22), {FROM_OUTSIDE}),
    "Spark's page from one address": (partial(open_from, "203.0.113.7/32", 8080), {FROM_OUTSIDE}),
    "another group": (open_to_another_group, {"Who reaches them from within?"}),
    "IMDSv1": (with_imdsv1, {"Can a program on a host be led to hand out the host's rights (IMDSv1)?"}),
    "a bare disk": (with_a_bare_disk, {"Are the hosts' disks encrypted?"}),
    "a role that may all": (with_a_role_that_may_all, {f"What may {NODES} do?"}),
    "a policy of AWS's own": (with_a_policy_of_awss_own, {f"What may {PERSON} do?"}),
    "somebody behind the hosts' role": (with_a_person_behind_the_hosts_role, {f"Who may act as {NODES}?"}),
    "a host under another role": (
        with_a_host_under_another_role,
        {"Which identities does the cluster have?", "What may admin do?"},
    ),
    "copies elsewhere": (with_copies_elsewhere, {"Are pictures and results stored in the European Union?"}),
    "a password": (with_a_password, {f"Which keys does {PERSON} have?"}),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_thing_that_is_broken_turns_its_line_and_no_other(evident: Evident, subject: Subject, name: str) -> None:
    broken, turned = BREAKS[name]
    with broken(evident, subject.bucket.name):
        found = verdicts(subject)
    assert {question for question, verdict in found.items() if verdict not in (GOOD, FACT)} == turned
    assert {found[question] for question in turned} == {NOT_GOOD}


def test_what_aws_does_not_say_is_not_known_with_its_reason_and_the_rest_is_read(
    evident: Evident, subject: Subject
) -> None:
    denied = {"status": 403, "times": 9, "message": "not you"}
    evident.aws.fail("iam:GetRolePolicy", code="AccessDenied", **denied)
    evident.aws.fail("ec2:DescribeSecurityGroups", code="UnauthorizedOperation", **denied)
    found = {line.question: line.answer for line in lines(subject)}
    evident.aws.forget_faults()
    unknown = {question for question, answer in found.items() if answer.verdict == UNKNOWN}
    assert unknown == {
        f"What may {NODES} do?",
        f"What may orchard-{NAME}-scheduler do?",
        FROM_OUTSIDE,
        "Who reaches them from within?",
        "Where do the hosts get to?",
    }
    assert found[FROM_OUTSIDE].text == "AWS would not say: UnauthorizedOperation: not you"


def test_the_key_of_the_person_is_named_without_its_secret(evident: Evident, subject: Subject) -> None:
    key = evident.aws.client("iam").create_access_key(UserName=PERSON)["AccessKey"]
    [line] = [line for line in lines(subject) if line.question == f"Which keys does {PERSON} have?"]
    assert line.answer.verdict == FACT
    assert key["AccessKeyId"] in line.answer.text
    assert key["SecretAccessKey"] not in repr(line)


def test_once_the_cluster_is_down_the_bucket_is_still_told_and_the_rest_is_gone(
    evident: Evident, subject: Subject
) -> None:
    mine = evident.configuration
    mine.must("state", "rm", *(address for address in mine.resources() if address.startswith("aws_s3_")))
    assert mine.destroy().returncode == 0
    sections = evidence.read(subject, RUN)
    assert {line.answer.verdict for line in sections["The data"]} == {GOOD, FACT}
    assert {line.answer.verdict for line in sections["The hosts"]} == {GONE}
    assert [line.answer.verdict for line in sections["Who may do what"]] == [GONE, FACT]
