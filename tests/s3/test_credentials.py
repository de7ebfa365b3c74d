"""Credentials that end while a run is under way: new ones are found, and where there are none, the store has failed."""

import secrets
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.errors import StorageError
from pipeline.job.extract import FeatureJob, FeatureTask, extract
from pipeline.network.keras_model import FEATURES
from pipeline.storage.local import LocalStorage
from pipeline.storage.s3 import CHUNK_BYTES, S3Storage
from tests.doubles.aws.double import AwsDouble
from tests.doubles.aws.instance_metadata import Role, instance_metadata
from tests.doubles.s3.faulty import FaultyS3
from tests.pictures import encoded
from tests.s3.conftest import Lead, forget_connections
from tests.unit.pipeline.without_spark import made_network

# Far more than it takes until what obstore keeps is asked for again.
READS = 500


@pytest.fixture(scope="module")
def proxy(aws_double: AwsDouble) -> Iterator[FaultyS3]:
    """A bucket's server that takes any key but the expired ones."""
    with FaultyS3(aws_double) as made:
        yield made


@pytest.fixture
def role() -> Role:
    """An instance's role, whose keys say truly that they are about to end; boto3 puts that off on its own."""
    return Role("AKIAFIRST", "secret", timedelta(minutes=4))


@pytest.fixture
def pictures(
    proxy: FaultyS3, role: Role, aws_double: AwsDouble, lead: Lead, monkeypatch: pytest.MonkeyPatch
) -> Iterator[S3Storage]:
    """A prefix with four pictures in it, of a process whose only credentials are those of the role."""
    bucket = f"moto-{secrets.token_hex(4)}"
    where = {"LocationConstraint": aws_double.region}
    client = aws_double.client("s3")
    client.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
    for number in range(4):
        client.put_object(Bucket=bucket, Key=f"pictures/{number}.jpg", Body=encoded())
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    proxy.expired.clear()
    proxy.asked_with.clear()
    with instance_metadata(role) as endpoint:
        lead({"AWS_EC2_METADATA_SERVICE_ENDPOINT": endpoint, "AWS_ENDPOINT_URL_S3": proxy.endpoint_url})
        yield S3Storage.at(f"s3://{bucket}/pictures")


@pytest.fixture
def task() -> FeatureTask:
    return FeatureTask(0, [f"{number}.jpg" for number in range(4)], ["fruit"] * 4, [len(encoded())] * 4)


@pytest.fixture
def job(pictures: S3Storage, tmp_path: Path) -> FeatureJob:
    network = made_network(FEATURES, tmp_path)
    return FeatureJob(pictures, LocalStorage.at(str(tmp_path / "run")), network, resume=False)


def turn(role: Role, proxy: FaultyS3) -> None:
    """The role has other keys, and those that it had are refused from now on."""
    proxy.expired.add(role.access_key)
    role.access_key = "AKIASECOND"


def test_a_task_goes_on_with_new_credentials_where_the_old_ones_have_expired(
    job: FeatureJob, task: FeatureTask, role: Role, proxy: FaultyS3
) -> None:
    assert job.images.read("0.jpg") == encoded()
    turn(role, proxy)
    result = extract(job, task)
    assert (result.features, result.errors) == (4, 0)
    assert proxy.asked_with == ["AKIAFIRST", "AKIASECOND"]


def test_lists_large_files_and_deletions_go_on_with_new_credentials_too(
    pictures: S3Storage, role: Role, proxy: FaultyS3
) -> None:
    with pictures.writer("before.bin") as stream:
        stream.write(b"with the first keys")
    turn(role, proxy)
    with pictures.writer("after.bin") as stream:
        stream.write(bytes(CHUNK_BYTES + 1))
    assert pictures.remote("after.bin").size == CHUNK_BYTES + 1
    proxy.expired.add(role.access_key)
    role.access_key = "AKIATHIRD"
    pictures.delete("after.bin")
    assert not pictures.exists("after.bin")
    assert proxy.asked_with == ["AKIAFIRST", "AKIASECOND", "AKIATHIRD"]


def test_credentials_that_nobody_renews_are_the_store_s_failure_and_no_row(
    job: FeatureJob, task: FeatureTask, role: Role, proxy: FaultyS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    assert job.images.read("0.jpg") == encoded()
    proxy.expired.add(role.access_key)
    with pytest.raises(StorageError, match="S3 answered ExpiredToken: the credentials have expired; get new ones"):
        extract(job, task)
    assert not Path(job.run.uri).exists()


def test_credentials_that_say_when_they_end_are_left_before_anybody_refuses_them(
    pictures: S3Storage, proxy: FaultyS3, lead: Lead, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # A program that is asked for credentials gives others each time, and says that they last for five minutes.
    program = tmp_path / "credentials.sh"
    program.write_text(
        "#!/bin/sh\n"
        f"echo >> {tmp_path}/asked\n"
        f"number=$(wc -l < {tmp_path}/asked)\n"
        """printf '{"Version": 1, "AccessKeyId": "AKIA%s", "SecretAccessKey": "secret", "Expiration": "%s"}' """
        """"$number" "$(date -u -d '+5 minutes' +%Y-%m-%dT%H:%M:%SZ)"\n"""
    )
    program.chmod(0o700)
    lead({})
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {program}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    forget_connections()
    pictures.read("0.jpg")
    before = len(proxy.asked_with)
    for _ in range(READS):
        assert pictures.read("0.jpg", len(encoded())) == encoded()
        if len(proxy.asked_with) > before:
            break
    else:
        pytest.fail(f"{READS} reads later the first credentials were still in use")
