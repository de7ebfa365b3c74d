"""What the person's key, the nodes' role and the schedules' role may do, by calls: IAM's answers, not the policies'
text.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.doubles.aws.double import ACCOUNT, AwsDouble
from tests.terraform.conftest import Make

NAME = "guarded"
OTHERS_BUCKET = "somebody-elses-bucket"
HOSTS = 9  # one for each test that takes one, and one that stays
OTHERS = {
    "another cluster's": {"Project": "orchard", "Cluster": "other"},
    "another project's": {"Project": "else", "Cluster": NAME},
    "nobody's": {"Name": "a-host"},
}
POLICIES = [
    "aws_iam_user_policy.person",
    "aws_iam_role_policy.nodes",
    "aws_iam_role_policy.keeper",
    "aws_iam_role_policy.scheduler",
    "aws_s3_bucket_policy.tls_only",
    "aws_s3_bucket_versioning.data",
]

ClientOf = Callable[[str], Any]


@dataclass
class Guarded:
    """An AWS that enforces policies, and who is in it."""

    aws: AwsDouble
    bucket: str
    credentials: dict[str, dict[str, str]]
    mine: list[str]
    others: dict[str, str]

    def client_of(self, who: str) -> ClientOf:
        """A maker of clients that act as the person, a node or a schedule."""
        return lambda service: self.aws.client(service, **self.credentials[who])


def begin_early(make_configuration: Make, _: AwsDouble) -> Guarded:
    """The bucket, the person's user and the roles in an AWS that then enforces their policies."""
    aws = AwsDouble().start()
    cluster = make_configuration(aws, NAME, worker_spot=True)
    cluster.init()
    cluster.apply(*(f"-target={address}" for address in POLICIES))
    bucket = cluster.outputs()["bucket"]
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=OTHERS_BUCKET, CreateBucketConfiguration={"LocationConstraint": aws.region})
    s3.put_object(Bucket=bucket, Key="there.txt", Body=b"there")
    s3.put_object(Bucket=OTHERS_BUCKET, Key="theirs.txt", Body=b"theirs")
    credentials = {
        "person": key_of_the_person(aws),
        "node": session_of(aws, "nodes"),
        "schedule": session_of(aws, "scheduler"),
    }
    mine = [launch(aws, Project="orchard", Cluster=NAME) for _ in range(HOSTS)]
    others = {whose: launch(aws, **tags) for whose, tags in OTHERS.items()}
    aws.enforce_policies()
    return Guarded(aws, bucket, credentials, mine, others)


def key_of_the_person(aws: AwsDouble) -> dict[str, str]:
    """An access key, as the operator's tool makes one on demand."""
    key = aws.client("iam").create_access_key(UserName=f"orchard-{NAME}-person")["AccessKey"]
    return {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}


def session_of(aws: AwsDouble, role: str) -> dict[str, str]:
    """What the instance profile hands to a node, and what the scheduler takes for a schedule."""
    arn = f"arn:aws:iam::{ACCOUNT}:role/orchard-{NAME}-{role}"
    session = aws.client("sts").assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    return {
        "aws_access_key_id": session["AccessKeyId"],
        "aws_secret_access_key": session["SecretAccessKey"],
        "aws_session_token": session["SessionToken"],
    }


def launch(aws: AwsDouble, **tagged: str) -> str:
    """An instance that carries these tags."""
    tags = [{"Key": key, "Value": value} for key, value in tagged.items()]
    launched = aws.client("ec2").run_instances(
        ImageId="ami-0deb12amd64new0002",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )
    return launched["Instances"][0]["InstanceId"]


@pytest.fixture(scope="module")
def guarded(early: dict[str, Future[Guarded]]) -> Iterator[Guarded]:
    guarded = early[__name__].result()
    yield guarded
    guarded.aws.stop()


@pytest.fixture(params=["person", "node"])
def client(request: pytest.FixtureRequest, guarded: Guarded) -> ClientOf:
    """What the person may do, and then the same for a node."""
    return guarded.client_of(request.param)


@pytest.fixture
def bucket(guarded: Guarded) -> str:
    return guarded.bucket


@pytest.fixture
def mine(guarded: Guarded) -> str:
    """A host of this cluster that runs."""
    return guarded.mine.pop()


@pytest.fixture(params=OTHERS)
def others(request: pytest.FixtureRequest, guarded: Guarded) -> str:
    """A host that is not this cluster's."""
    return guarded.others[request.param]


def refused(call: Callable[..., Any], **arguments: Any) -> bool:
    """Whether IAM refuses the call. Any other error is an error of the test."""
    try:
        call(**arguments)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        assert code in {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"}, code
        return True
    return False


def test_objects_of_the_bucket_are_listed_put_read_and_deleted(client: ClientOf, bucket: str) -> None:
    s3 = client("s3")
    s3.put_object(Bucket=bucket, Key="runs/1/run.json", Body=b"{}")
    assert s3.get_object(Bucket=bucket, Key="runs/1/run.json")["Body"].read() == b"{}"
    s3.delete_object(Bucket=bucket, Key="runs/1/run.json")
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["there.txt"]


def test_a_large_object_is_uploaded_in_parts(client: ClientOf, bucket: str) -> None:
    s3 = client("s3")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="large")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="large", UploadId=upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket, Key="large", UploadId=upload, MultipartUpload=parts)
    s3.delete_object(Bucket=bucket, Key="large")


def test_uploads_that_nobody_ended_are_found_and_ended(client: ClientOf, bucket: str) -> None:
    s3 = client("s3")
    s3.create_multipart_upload(Bucket=bucket, Key="left")
    [left] = s3.list_multipart_uploads(Bucket=bucket, Prefix="left")["Uploads"]
    s3.abort_multipart_upload(Bucket=bucket, Key="left", UploadId=left["UploadId"])


def test_another_bucket_is_refused(client: ClientOf) -> None:
    s3 = client("s3")
    assert refused(s3.list_objects_v2, Bucket=OTHERS_BUCKET)
    assert refused(s3.list_multipart_uploads, Bucket=OTHERS_BUCKET)
    assert refused(s3.get_object, Bucket=OTHERS_BUCKET, Key="theirs.txt")
    assert refused(s3.put_object, Bucket=OTHERS_BUCKET, Key="mine.txt", Body=b"")
    assert refused(s3.delete_object, Bucket=OTHERS_BUCKET, Key="theirs.txt")
    assert refused(s3.list_buckets)


def test_the_bucket_itself_cannot_be_changed(client: ClientOf, bucket: str) -> None:
    s3 = client("s3")
    assert refused(s3.delete_bucket_policy, Bucket=bucket)
    assert refused(s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    assert refused(s3.delete_bucket, Bucket=bucket)


def test_no_host_is_started_launched_or_changed(client: ClientOf, mine: str) -> None:
    ec2 = client("ec2")
    assert refused(ec2.start_instances, InstanceIds=[mine])
    assert refused(ec2.reboot_instances, InstanceIds=[mine])
    assert refused(ec2.run_instances, ImageId="ami-0deb12amd64new0002", MinCount=1, MaxCount=1)
    # Tags bound the rights below: who could set them could end what is not theirs.
    assert refused(ec2.create_tags, Resources=[mine], Tags=[{"Key": "Cluster", "Value": NAME}])
    assert refused(ec2.modify_instance_attribute, InstanceId=mine, Attribute="userData", Value="")


def test_the_person_neither_sees_nor_ends_hosts(guarded: Guarded, mine: str) -> None:
    ec2 = guarded.client_of("person")("ec2")
    assert refused(ec2.describe_instances)
    assert refused(ec2.stop_instances, InstanceIds=[mine])
    assert refused(ec2.terminate_instances, InstanceIds=[mine])


def state_of(guarded: Guarded, instance_id: str) -> str:
    """What a node sees."""
    described = guarded.client_of("node")("ec2").describe_instances(InstanceIds=[instance_id])
    state: str = described["Reservations"][0]["Instances"][0]["State"]["Name"]
    return state


@pytest.mark.parametrize("who", ["node", "schedule"])
@pytest.mark.parametrize(("call", "state"), [("stop_instances", "stopped"), ("terminate_instances", "terminated")])
def test_a_host_of_this_cluster_is_ended(guarded: Guarded, mine: str, who: str, call: str, state: str) -> None:
    getattr(guarded.client_of(who)("ec2"), call)(InstanceIds=[mine])
    assert state_of(guarded, mine) == state


@pytest.mark.parametrize("who", ["node", "schedule"])
@pytest.mark.parametrize("call", ["stop_instances", "terminate_instances"])
def test_a_host_that_is_not_this_cluster_s_is_not_ended_alone_or_among_ours(
    guarded: Guarded, others: str, who: str, call: str
) -> None:
    end, kept = getattr(guarded.client_of(who)("ec2"), call), guarded.mine[0]
    assert refused(end, InstanceIds=[others])
    assert refused(end, InstanceIds=[kept, others])
    assert state_of(guarded, others) == state_of(guarded, kept) == "running"


def test_a_node_writes_metrics_of_orchard_and_no_others(guarded: Guarded) -> None:
    cloudwatch = guarded.client_of("node")("cloudwatch")
    metrics = [{"MetricName": "WorkersAlive", "Value": 2.0}]
    cloudwatch.put_metric_data(Namespace="Orchard", MetricData=metrics)
    assert refused(cloudwatch.put_metric_data, Namespace="AWS/EC2", MetricData=metrics)
    assert refused(cloudwatch.put_metric_data, Namespace="Orchard/Other", MetricData=metrics)
    assert refused(cloudwatch.delete_alarms, AlarmNames=["any"])


@pytest.mark.parametrize("who", ["person", "schedule"])
def test_nobody_else_writes_metrics(guarded: Guarded, who: str) -> None:
    put = guarded.client_of(who)("cloudwatch").put_metric_data
    assert refused(put, Namespace="Orchard", MetricData=[{"MetricName": "WorkersAlive", "Value": 2.0}])


def test_a_schedule_may_do_nothing_else(guarded: Guarded, bucket: str, mine: str) -> None:
    client = guarded.client_of("schedule")
    assert refused(client("ec2").describe_instances)
    assert refused(client("ec2").start_instances, InstanceIds=[mine])
    assert refused(client("ec2").run_instances, ImageId="ami-0deb12amd64new0002", MinCount=1, MaxCount=1)
    assert refused(client("s3").list_objects_v2, Bucket=bucket)
    assert refused(client("s3").get_object, Bucket=bucket, Key="there.txt")
    assert refused(client("iam").list_users)


def test_nobody_moves_the_time_at_which_aws_ends_the_cluster(guarded: Guarded) -> None:
    for who in guarded.credentials:
        scheduler = guarded.client_of(who)("scheduler")
        assert refused(scheduler.list_schedules), who
        assert refused(scheduler.delete_schedule_group, Name=f"orchard-{NAME}"), who
        assert refused(scheduler.delete_schedule, GroupName=f"orchard-{NAME}", Name="master"), who
        assert refused(
            scheduler.update_schedule,
            GroupName=f"orchard-{NAME}",
            Name="master",
            ScheduleExpression="at(2099-01-01T00:00:00)",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={
                "Arn": "arn:aws:scheduler:::aws-sdk:ec2:stopInstances",
                "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/x",
            },
        ), who


def test_identities_are_out_of_reach(client: ClientOf) -> None:
    iam = client("iam")
    assert refused(iam.list_users)
    assert refused(iam.create_access_key, UserName=f"orchard-{NAME}-person")
    assert refused(iam.create_user, UserName="intruder")


def test_what_nothing_of_ours_asks_for_is_refused(client: ClientOf, bucket: str) -> None:
    s3 = client("s3")
    assert refused(s3.get_bucket_location, Bucket=bucket)
    assert refused(s3.list_object_versions, Bucket=bucket)
    assert refused(client("kms").list_keys)
