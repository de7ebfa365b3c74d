"""The bucket outlives its cluster, comes back with the next one, and goes when told to."""

from concurrent.futures import Future

import pytest
from botocore.exceptions import ClientError

from tests.doubles.aws.double import AwsDouble
from tests.doubles.aws.resources import resources_of
from tests.terraform.configuration import Configuration
from tests.terraform.conftest import Make

NAME = "kept"
# The bucket with all that guards it, and the user as the rest of the cluster: no hosts, to be quick.
PARTS = (
    "-target=aws_s3_bucket_policy.tls_only",
    "-target=aws_s3_bucket_versioning.data",
    "-target=aws_iam_user.person",
)
RULES = "-target=aws_s3_bucket_lifecycle_configuration.data"


def begin_early(make_configuration: Make, aws: AwsDouble) -> Configuration:
    """A bucket with its rules: the provider watches them settle for the better part of a minute."""
    tidy = make_configuration(aws, "tidy", bucket_lifecycle=True, runs_expire_days=90)
    tidy.init()
    tidy.apply(RULES)
    return tidy


@pytest.fixture(scope="module")
def cluster(make_configuration: Make, aws: AwsDouble) -> Configuration:
    """A cluster whose bucket holds a picture in two versions."""
    configuration = make_configuration(aws, NAME)
    configuration.init()
    configuration.apply(*PARTS)
    for body in (b"first", b"second"):
        aws.client("s3").put_object(Bucket=bucket_of(aws), Key="pictures/apple.jpg", Body=body)
    return configuration


def bucket_of(aws: AwsDouble) -> str:
    return f"orchard-{NAME}-123456789012-{aws.region}"


def picture(aws: AwsDouble) -> bytes:
    return aws.client("s3").get_object(Bucket=bucket_of(aws), Key="pictures/apple.jpg")["Body"].read()


def test_destroy_keeps_a_bucket_with_objects_and_says_so(cluster: Configuration, aws: AwsDouble) -> None:
    result = cluster.destroy()
    assert result.returncode == 1
    assert "BucketNotEmpty" in result.stderr
    assert bucket_of(aws) in result.stderr
    assert picture(aws) == b"second"
    assert resources_of(aws.client, NAME) == [f"bucket {bucket_of(aws)}"]


def test_a_bucket_let_go_from_the_state_keeps_what_guards_it(cluster: Configuration, aws: AwsDouble) -> None:
    cluster.apply(*PARTS)
    cluster.must("state", "rm", *(address for address in cluster.resources() if address.startswith("aws_s3_")))
    assert cluster.destroy().returncode == 0
    s3 = aws.client("s3")
    assert picture(aws) == b"second"
    assert "aws:SecureTransport" in s3.get_bucket_policy(Bucket=bucket_of(aws))["Policy"]
    assert all(s3.get_public_access_block(Bucket=bucket_of(aws))["PublicAccessBlockConfiguration"].values())
    assert resources_of(aws.client, NAME) == [f"bucket {bucket_of(aws)}"]


def test_the_next_cluster_refuses_to_guess_and_then_adopts_the_bucket(cluster: Configuration, aws: AwsDouble) -> None:
    refused = cluster.run("apply", "-auto-approve", "-input=false", *PARTS)
    assert refused.returncode == 1
    assert "BucketAlreadyOwnedByYou" in refused.stderr
    cluster.set(bucket_adopt=True)
    cluster.apply(*PARTS)
    assert picture(aws) == b"second"
    assert cluster.must("plan", "-input=false", "-detailed-exitcode", *PARTS)


def test_with_force_the_bucket_goes_with_every_version(cluster: Configuration, aws: AwsDouble) -> None:
    cluster.set(bucket_adopt=True, bucket_force_destroy=True)
    cluster.apply("-target=aws_s3_bucket.data")
    cluster.must("destroy", "-auto-approve", "-input=false")
    with pytest.raises(ClientError, match="404"):
        aws.client("s3").head_bucket(Bucket=bucket_of(aws))
    assert resources_of(aws.client, NAME) == []


def test_rules_tidy_the_bucket(early: dict[str, Future[Configuration]], aws: AwsDouble) -> None:
    tidy = early[__name__].result()
    configured = aws.client("s3").get_bucket_lifecycle_configuration(Bucket=tidy.outputs()["bucket"])["Rules"]
    rules = {rule["ID"]: rule for rule in configured}
    assert rules["abort-incomplete-uploads"]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 1
    assert rules["delete-old-versions"]["NoncurrentVersionExpiration"]["NoncurrentDays"] == 30
    assert rules["delete-old-runs"]["Expiration"]["Days"] == 90
    assert rules["delete-old-runs"]["Filter"]["Prefix"] == "runs/"
    assert rules["delete-old-event-logs"]["Expiration"]["Days"] == 90
    assert rules["delete-old-event-logs"]["Filter"]["Prefix"] == "events/"
    # One that grows is put anew each minute.
    growing = rules["delete-old-versions-of-event-logs"]
    assert (growing["Filter"]["Prefix"], growing["NoncurrentVersionExpiration"]["NoncurrentDays"]) == ("events/", 1)
    assert tidy.must("plan", "-input=false", "-detailed-exitcode", RULES)
