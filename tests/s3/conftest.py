"""What unit tests of S3 share: a server that can be made to misbehave, and this process led to it."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.storage import s3_connection
from pipeline.storage.s3 import S3Storage
from tests.doubles.aws.double import AwsDouble
from tests.doubles.s3.faulty import FaultyS3
from tests.doubles.s3.server import S3Server

Lead = Callable[[dict[str, str]], None]


def forget_connections() -> None:
    """Make this process find credentials, region and endpoint anew."""
    for name in ("session", "client", "lister", "store", "bucket_region"):
        getattr(s3_connection, name).cache_clear()


@pytest.fixture
def lead(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Lead]:
    """Lead this process's S3 to where these variables say, and nowhere else; undone at the end."""

    def lead_to(environment: dict[str, str]) -> None:
        for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        forget_connections()

    yield lead_to
    forget_connections()


@pytest.fixture(scope="session")
def faulty_s3(s3_server: S3Server) -> Iterator[FaultyS3]:
    """The proxy that spoils requests to the real server."""
    with FaultyS3(s3_server) as proxy:
        yield proxy


@pytest.fixture
def bucket(s3_server: S3Server, faulty_s3: FaultyS3, lead: Lead) -> Iterator[str]:
    """A bucket behind the proxy; this process's S3 is led there."""
    lead(faulty_s3.environment())
    faulty_s3.seen.clear()
    with s3_server.bucket() as name:
        yield name


@pytest.fixture
def impatient(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that says nothing for two seconds is given up; where nothing stalls, a busy machine has more time."""
    monkeypatch.setattr(s3_connection, "SILENCE_SECONDS", 2.0)
    forget_connections()


@pytest.fixture
def pictures(bucket: str) -> S3Storage:
    """The prefix `pictures` in that bucket."""
    return S3Storage.at(f"s3://{bucket}/pictures")


@pytest.fixture(scope="session")
def aws_double() -> Iterator[AwsDouble]:
    """moto, where, as in S3, a key may go on where another one ends; SeaweedFS has folders instead."""
    with AwsDouble() as aws:
        yield aws


@pytest.fixture
def moto_bucket(aws_double: AwsDouble, lead: Lead) -> str:
    """A bucket of moto's; this process's S3 is led there."""
    name = f"moto-{secrets.token_hex(4)}"
    where = {"LocationConstraint": aws_double.region}
    aws_double.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration=where)
    lead(aws_double.environment())
    return name
