"""What boto3 raises, in the operator's words: word for word."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import (
    ClientError,
    ConfigParseError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
    SSLError,
    SSOTokenLoadError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)
from botocore.parsers import ResponseParserError
from botocore.stub import Stubber

from scripts.access import errors
from scripts.errors import AwsError, MissingError, OperatorError


@pytest.fixture(autouse=True)
def credentials_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the person's credentials would lie."""
    file = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return file


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        (
            NoCredentialsError(),
            MissingError,
            "There are no AWS credentials on this machine: run `aws configure`, or set AWS_PROFILE, then try again.",
        ),
        (
            ClientError({"Error": {"Code": "InvalidClientTokenId", "Message": "The token is invalid."}}, "Get"),
            MissingError,
            "AWS does not accept your credentials (InvalidClientTokenId): check `aws configure` or AWS_PROFILE, then "
            "try again.",
        ),
        (
            ClientError({"Error": {"Code": "Throttling", "Message": "Rate exceeded."}}, "Get"),
            AwsError,
            "AWS had too many requests from your account just now (Throttling): wait a minute, then the same command "
            "again goes on.",
        ),
        (
            ClientError({"Error": {"Code": "AccessDenied", "Message": "No."}}, "Get"),
            AwsError,
            "AWS would not list the buckets (AccessDenied: No).",
        ),
        *(
            (
                error,
                MissingError,
                "Your AWS login has expired or was never made: log in again, then the same command again goes on.",
            )
            for error in (
                UnauthorizedSSOTokenError(),
                SSOTokenLoadError(profile_name="work", error_msg="no token"),
                TokenRetrievalError(provider="sso", error_msg="Token has expired and refresh failed"),
            )
        ),
        (
            ConfigParseError(path="/home/ada/.aws/config"),
            MissingError,
            "The AWS settings in /home/ada/.aws/config cannot be read: mend the file, then try again.",
        ),
        (
            ProfileNotFound(profile="work"),
            MissingError,
            "The config profile (work) could not be found: choose another AWS_PROFILE, or make it with `aws "
            "configure`.",
        ),
        (NoRegionError(), MissingError, "No AWS region is set: name it in terraform.tfvars."),
        (
            EndpointConnectionError(endpoint_url="https://ec2.nowhere.amazonaws.com"),
            AwsError,
            'AWS cannot be reached (Could not connect to the endpoint URL: "https://ec2.nowhere.amazonaws.com"): check '
            "the network and the region's name.",
        ),
        (
            ReadTimeoutError(endpoint_url="https://ec2"),
            AwsError,
            'AWS would not list the buckets (Read timeout on endpoint URL: "https://ec2"): try again.',
        ),
        (ResponseParserError("no XML"), AwsError, "AWS would not list the buckets (no XML): try again."),
        (
            PartialCredentialsError(provider="shared-credentials-file", cred_var="aws_secret_access_key"),
            MissingError,
            "Your AWS credentials are not whole (Partial credentials found in shared-credentials-file, missing: "
            "aws_secret_access_key): run `aws configure`, then try again.",
        ),
        (
            CredentialRetrievalError(provider="custom-process", error_msg="exit 1"),
            MissingError,
            "Your AWS credentials could not be fetched (Error when retrieving credentials from custom-process: exit "
            "1): log in again, or mend the profile, then try again.",
        ),
    ],
)
def test_what_boto3_raises_becomes_one_sentence(error: Exception, kind: type[OperatorError], sentence: str) -> None:
    with pytest.raises(kind) as refused, errors.aws_errors_as_sentences("list the buckets"):
        raise error
    assert str(refused.value) == sentence


def test_aws_s_own_answer_to_a_large_upload_is_told() -> None:
    client = boto3.client("s3", "eu-west-1", aws_access_key_id="k", aws_secret_access_key="s")
    with Stubber(client) as stub:
        stub.add_client_error("put_object", "AccessDenied", "No.")
        with (
            pytest.raises(AwsError, match=r"^AWS would not take it \(AccessDenied: No\)\.$"),
            errors.aws_errors_as_sentences("take it"),
        ):
            client.upload_file(__file__, "bucket", "key")


@pytest.mark.parametrize(
    "code", ["Throttling", "ThrottlingException", "RequestLimitExceeded", "SlowDown", "TooManyRequestsException"]
)
def test_throttling_has_a_sentence_of_its_own_whichever_service_throttles(code: str) -> None:
    with pytest.raises(AwsError, match="too many requests") as refused, errors.aws_errors_as_sentences("list"):
        raise ClientError({"Error": {"Code": code, "Message": "slow"}}, "List")
    assert refused.value.code == 4


def test_a_credentials_file_that_may_not_be_read_is_named(
    credentials_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials_file.write_text("[default]\n")
    # To root, every file is readable.
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(MissingError) as refused, errors.aws_errors_as_sentences("list"):
        raise NoCredentialsError
    assert str(refused.value) == (
        f"Your AWS credentials in {credentials_file} cannot be read: `chmod u+r {credentials_file}`, then try again."
    )


CONFIG = """\
[default]
region = eu-west-1
[profile single]
sso_session = company
[profile console]
login_session = arn:aws:sts::1:ada
[profile role]
role_arn = arn:aws:iam::1:role/x
source_profile = single
[profile circle]
source_profile = circle
[sso-session company]
sso_start_url = https://company
"""


@pytest.mark.parametrize(
    ("profile", "way"),
    [
        ("default", "log in again"),
        ("single", "run `aws sso login --profile single`"),
        ("console", "run `aws login --profile console`"),
        ("role", "run `aws sso login --profile single`"),
        ("circle", "log in again"),
        ("none", "log in again"),
    ],
)
def test_how_to_log_in_is_said_by_the_profile_in_force(
    profile: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text(CONFIG)
    monkeypatch.setenv("AWS_PROFILE", profile)
    assert errors.how_to_log_in() == way


def test_keys_of_a_session_are_set_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "t")
    assert errors.how_to_log_in().startswith("set new keys in AWS_ACCESS_KEY_ID")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("RequestTimeTooSkewed", "The difference between the request time and the current time is too large."),
        ("SignatureDoesNotMatch", "Signature expired: 20261127T070000Z is now earlier than 20261127T071000Z"),
        ("AuthFailure", "Request has expired. Timestamp date is 2026-11-27"),
    ],
)
def test_a_clock_that_is_wrong_is_named_as_such_with_the_minutes(code: str, message: str) -> None:
    aws_says = datetime.now(UTC) + timedelta(minutes=10)
    answer = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPHeaders": {"date": format_datetime(aws_says, usegmt=True)}},
    }
    with pytest.raises(MissingError) as refused, errors.aws_errors_as_sentences("list the buckets"):
        raise ClientError(answer, "Get")
    assert str(refused.value).startswith("This machine's clock is wrong by 10 minutes (slow), and AWS takes no request")


def test_a_certificate_that_nobody_trusts_is_said_with_the_variable_that_names_it() -> None:
    with pytest.raises(AwsError, match=r"export AWS_CA_BUNDLE=/path/to"), errors.aws_errors_as_sentences("say it"):
        raise SSLError(endpoint_url="https://sts", error="self-signed certificate in certificate chain")
