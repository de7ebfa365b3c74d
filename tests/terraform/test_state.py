"""Where state lies: one for each cluster, in a folder or in S3, and never two writers at once."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.doubles.aws.double import AwsDouble
from tests.terraform.configuration import SOURCE, Configuration
from tests.terraform.conftest import Make

STATES = "my-terraform-states"
QUICKLY_MADE = "-target=aws_iam_user.person"


@pytest.fixture(scope="module")
def in_s3(make_configuration: Make, aws: AwsDouble) -> Configuration:
    """A configuration whose state lies in S3, set up as the example file says."""
    location = {"LocationConstraint": aws.region}
    aws.client("s3").create_bucket(Bucket=STATES, CreateBucketConfiguration=location)
    configuration = make_configuration(aws, "first")
    example = (SOURCE / "backend_override.tf.example").read_text()
    (configuration.folder / "backend_override.tf").write_text(example)
    configuration.init()
    return configuration


@contextmanager
def somebody_at_work(configuration: Configuration) -> Iterator[None]:
    """While an apply waits for its answer, it holds the lock."""
    process = configuration.start("apply", QUICKLY_MADE, "-replace=aws_iam_user.person[0]")
    assert process.stdout
    printed = ""
    while "Enter a value:" not in printed:
        letter = process.stdout.read(1)
        assert letter, printed
        printed += letter
    try:
        yield
    finally:
        process.communicate("no\n", timeout=60)


def refusal_while_locked(configuration: Configuration) -> subprocess.CompletedProcess[str]:
    """What the second of two gets to hear."""
    with somebody_at_work(configuration):
        return configuration.run("plan", QUICKLY_MADE, "-lock-timeout=1s")


def test_two_clusters_live_side_by_side_in_one_account(in_s3: Configuration, aws: AwsDouble) -> None:
    for name in ("first", "second"):
        in_s3.must("workspace", "select", "-or-create", name)
        in_s3.set(cluster_name=name)
        in_s3.apply(QUICKLY_MADE)
    in_s3.must("destroy", "-auto-approve", QUICKLY_MADE)
    users = [user["UserName"] for user in aws.client("iam").list_users()["Users"]]
    assert "orchard-first-person" in users
    assert "orchard-second-person" not in users
    states = [item["Key"] for item in aws.client("s3").list_objects_v2(Bucket=STATES)["Contents"]]
    assert states == [f"env:/{name}/orchard/terraform.tfstate" for name in ("first", "second")]


def test_one_cluster_s_settings_never_reach_another_s_state(in_s3: Configuration) -> None:
    in_s3.must("workspace", "select", "first")
    in_s3.set(cluster_name="second")
    result = in_s3.run("plan", "-input=false", QUICKLY_MADE)
    in_s3.set(cluster_name="first")
    assert result.returncode == 1
    assert "This workspace holds another cluster's state." in " ".join(result.stderr.replace("│", "").split())


def test_a_lock_held_in_s3_is_named_with_its_holder(in_s3: Configuration) -> None:
    result = refusal_while_locked(in_s3)
    assert result.returncode == 1
    assert "Error acquiring the state lock" in result.stderr
    assert "OperationTypeApply" in result.stderr


def test_the_lock_is_gone_with_its_holder(in_s3: Configuration) -> None:
    in_s3.must("plan", QUICKLY_MADE)


def test_a_lock_held_in_the_folder_is_named_with_its_holder(make_configuration: Make, aws: AwsDouble) -> None:
    configuration = make_configuration(aws, "local")
    configuration.init()
    result = refusal_while_locked(configuration)
    assert result.returncode == 1
    assert "Error acquiring the state lock" in result.stderr
    assert "OperationTypeApply" in result.stderr
