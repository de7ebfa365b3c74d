"""What the person's key and the nodes' role may do, proven by calls: IAM's answers, not the policies' text."""

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
POLICIES = [
    "aws_iam_user_policy.person",
    "aws_iam_role_policy.nodes",
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
    instances: dict[str, str]

    def client_of(self, who: str) -> ClientOf:
        """A maker of clients that act as the person or as a node."""
        return lambda service: self.aws.client(service, **self.credentials[who])


def begin_early(make_configuration: Make, _: AwsDouble) -> Guarded:
    """The bucket, the person's user and the nodes' role in an AWS that then enforces their policies."""
    aws = AwsDouble().start()
    cluster = make_configuration(aws, NAME)
    cluster.init()
    cluster.apply(*(f"-target={address}" for address in POLICIES))
    bucket = cluster.outputs()["bucket"]
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=OTHERS_BUCKET, CreateBucketConfiguration={"LocationConstraint": aws.region})
    s3.put_object(Bucket=bucket, Key="there.txt", Body=b"there")
    s3.put_object(Bucket=OTHERS_BUCKET, Key="theirs.txt", Body=b"theirs")
    credentials = {"person": key_of_the_person(aws), "node": session_of_a_node(aws)}
    guarded = Guarded(aws, bucket, credentials, {"mine": launch(aws, NAME), "other": launch(aws, "other")})
    aws.enforce_policies()
    return guarded


def key_of_the_person(aws: AwsDouble) -> dict[str, str]:
    """An access key, as the operator's tool makes one on demand."""
    key = aws.client("iam").create_access_key(UserName=f"orchard-{NAME}-person")["AccessKey"]
    return {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}


def session_of_a_node(aws: AwsDouble) -> dict[str, str]:
    """What the instance profile hands to a node."""
    role = f"arn:aws:iam::{ACCOUNT}:role/orchard-{NAME}-nodes"
    session = aws.client("sts").assume_role(RoleArn=role, RoleSessionName="node")["Credentials"]
    return {
        "aws_access_key_id": session["AccessKeyId"],
        "aws_secret_access_key": session["SecretAccessKey"],
        "aws_session_token": session["SessionToken"],
    }


def launch(aws: AwsDouble, cluster_name: str) -> str:
    """An instance that carries a cluster's tags."""
    tags = [{"Key": "Project", "Value": "orchard"}, {"Key": "Cluster", "Value": cluster_name}]
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
def instances(guarded: Guarded) -> dict[str, str]:
    return guarded.instances


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


def test_another_bucket_is_refused(client: ClientOf) -> None:
    s3 = client("s3")
    assert refused(s3.list_objects_v2, Bucket=OTHERS_BUCKET)
    assert refused(s3.get_object, Bucket=OTHERS_BUCKET, Key="theirs.txt")
    assert refused(s3.put_object, Bucket=OTHERS_BUCKET, Key="mine.txt", Body=b"")
    assert refused(s3.delete_object, Bucket=OTHERS_BUCKET, Key="theirs.txt")
    assert refused(s3.list_buckets)


def test_the_bucket_itself_cannot_be_changed(client: ClientOf, bucket: str) -> None:
    s3 = client("s3")
    assert refused(s3.delete_bucket_policy, Bucket=bucket)
    assert refused(s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    assert refused(s3.delete_bucket, Bucket=bucket)


def test_machines_are_out_of_reach(client: ClientOf, instances: dict[str, str]) -> None:
    ec2 = client("ec2")
    assert refused(ec2.describe_instances)
    assert refused(ec2.terminate_instances, InstanceIds=[instances["mine"]])
    assert refused(ec2.run_instances, ImageId="ami-0deb12amd64new0002", MinCount=1, MaxCount=1)


def test_identities_are_out_of_reach(client: ClientOf) -> None:
    iam = client("iam")
    assert refused(iam.list_users)
    assert refused(iam.create_access_key, UserName=f"orchard-{NAME}-person")
    assert refused(iam.create_user, UserName="intruder")


def test_neither_stops_machines_or_writes_metrics(client: ClientOf, instances: dict[str, str]) -> None:
    metrics = [{"MetricName": "pictures", "Value": 1.0}]
    assert refused(client("ec2").stop_instances, InstanceIds=[instances["mine"]])
    assert refused(client("cloudwatch").put_metric_data, Namespace="Orchard", MetricData=metrics)


def test_what_nothing_of_ours_asks_for_is_refused(client: ClientOf, bucket: str) -> None:
    s3 = client("s3")
    assert refused(s3.get_bucket_location, Bucket=bucket)
    assert refused(s3.list_multipart_uploads, Bucket=bucket)
    assert refused(s3.list_object_versions, Bucket=bucket)
    assert refused(client("kms").list_keys)
