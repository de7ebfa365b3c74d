"""What AWS and boto3 raise, in the operator's words: cause and next step."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigParseError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from scripts.aws import profile
from scripts.errors import AwsError, MissingError, OperatorError

NOT_ACCEPTED = {
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
THROTTLED = {
    "RequestLimitExceeded",
    "RequestThrottled",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
NO_CREDENTIALS = (
    "There are no AWS credentials on this machine: run `aws configure`, or set AWS_PROFILE, then try again."
)
LOGIN_EXPIRED = "Your AWS login (SSO) has expired or was never made: run `aws sso login`, then try again."


def no_credentials() -> MissingError:
    """Without credentials, or with a file of them that may not be read, which AWS's libraries pass over in silence."""
    file = profile.credentials_file()
    if file.exists() and not os.access(file, os.R_OK):
        return MissingError(f"Your AWS credentials in {file} cannot be read: `chmod u+r {file}`, then try again.")
    return MissingError(NO_CREDENTIALS)


def not_accepted(code: str) -> str:
    """A sentence on credentials that AWS does not take."""
    if code.startswith(("Expired", "RequestExpired")):
        return f"Your AWS credentials have expired ({code}): log in again (`aws sso login`), then try again."
    return f"AWS does not accept your credentials ({code}): check `aws configure` or AWS_PROFILE, then try again."


def throttled(code: str) -> str:
    """A sentence on requests that came too fast, after the retries."""
    return (
        f"AWS had too many requests from your account just now ({code}): wait a minute, then the same command again "
        "goes on."
    )


@contextmanager
def aws_errors_as_sentences(doing: str) -> Iterator[None]:
    """Turn what boto3 raises in the block into one sentence. `doing` follows "AWS would not "."""
    try:
        yield
    except BotoCoreError as error:
        raise _of_library(doing, error) from None
    except ClientError as error:
        raise _of_answer(doing, error) from None
    except S3UploadFailedError as error:
        # boto3 puts it in place of AWS's own answer.
        cause = error.__context__
        if isinstance(cause, ClientError):
            raise _of_answer(doing, cause) from None
        raise AwsError(f"AWS would not {doing} ({error}): try again.") from None
    except ResponseParserError as error:
        raise AwsError(f"AWS would not {doing} ({error}): try again.") from None


def _of_library(doing: str, error: BotoCoreError) -> OperatorError:
    """What failed on this machine, or on the way to AWS."""
    match error:
        case SSOError() | TokenRetrievalError():
            return MissingError(LOGIN_EXPIRED)
        case NoCredentialsError():
            return no_credentials()
        case PartialCredentialsError():
            return MissingError(f"Your AWS credentials are not whole ({error}): run `aws configure`, then try again.")
        case CredentialRetrievalError():
            return MissingError(
                f"Your AWS credentials could not be fetched ({error}): log in again, or mend the profile, then try "
                "again."
            )
        case ConfigParseError():
            return MissingError(
                f"The AWS settings in {error.kwargs['path']} cannot be read: mend the file, then try again."
            )
        case ProfileNotFound():
            return MissingError(f"{error}: choose another AWS_PROFILE, or make it with `aws configure`.")
        case NoRegionError():
            return MissingError("No AWS region is set: name it in terraform.tfvars.")
        case EndpointConnectionError() | ConnectTimeoutError():
            return AwsError(f"AWS cannot be reached ({error}): check the network and the region's name.")
    return AwsError(f"AWS would not {doing} ({error}): try again.")


def _of_answer(doing: str, error: ClientError) -> OperatorError:
    """What AWS itself refused."""
    code = error.response.get("Error", {}).get("Code", "no code")
    message = error.response.get("Error", {}).get("Message", "")
    if code in NOT_ACCEPTED:
        return MissingError(not_accepted(code))
    if code in THROTTLED:
        return AwsError(throttled(code))
    return AwsError(f"AWS would not {doing} ({code}: {message.rstrip('.')}).")
