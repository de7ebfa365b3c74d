"""What AWS and boto3 raise, in the operator's words: cause and next step."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import botocore.session
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigParseError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    InfiniteLoopConfigError,
    InvalidConfigError,
    LoginError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    ProxyConnectionError,
    SSLError,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from scripts.access import profile
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
# What AWS says of a signature whose time is not its own; EC2 and S3 have codes for it, others a message alone.
SKEWED = ("RequestTimeTooSkewed", "RequestInTheFuture")
WRONG_TIME = ("Signature expired", "Signature not yet current", "Request has expired")


def no_credentials() -> MissingError:
    """Without credentials, or with a file of them that may not be read, which AWS's libraries pass over in silence."""
    file = profile.credentials_file()
    if file.exists() and not os.access(file, os.R_OK):
        return MissingError(f"Your AWS credentials in {file} cannot be read: `chmod u+r {file}`, then try again.")
    return MissingError(NO_CREDENTIALS)


def how_to_log_in() -> str:
    """What the person does for a new login, by the profile in force and those that it stands on."""
    if os.environ.get("AWS_SESSION_TOKEN"):
        return "set new keys in AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN"
    try:
        session = botocore.session.get_session()
        profiles = session.full_config.get("profiles", {})
    except BotoCoreError:
        return "log in again"
    name = session.profile or "default"
    while name in profiles:
        of = "" if name == "default" else f" --profile {name}"
        settings = profiles.pop(name)
        if "login_session" in settings:
            return f"run `aws login{of}`"
        if {"sso_session", "sso_start_url"} & settings.keys():
            return f"run `aws sso login{of}`"
        name = settings.get("source_profile", "")
    return "log in again"


def login_expired() -> MissingError:
    """Without a login that holds."""
    return MissingError(
        f"Your AWS login has expired or was never made: {how_to_log_in()}, then the same command again goes on."
    )


def not_accepted(code: str) -> str:
    """A sentence on credentials that AWS does not take."""
    if code.startswith(("Expired", "RequestExpired")):
        return f"Your AWS credentials have expired ({code}): {how_to_log_in()}, then the same command again goes on."
    return f"AWS does not accept your credentials ({code}): check `aws configure` or AWS_PROFILE, then try again."


def wrong_clock(date: str = "") -> str:
    """A sentence on a clock by which AWS takes no signature; `date` is AWS's own, as its answers have it."""
    by = ""
    if date:
        seconds = (datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds()
        by = f" by {abs(seconds) / 60:.0f} minutes ({'fast' if seconds > 0 else 'slow'})"
    return (
        f"This machine's clock is wrong{by}, and AWS takes no request that it signs: set it (Linux: sudo timedatectl "
        "set-ntp true; macOS: sudo sntp -sS time.apple.com; WSL: sudo hwclock -s), then the same command again goes on."
    )


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
    if of_login := _of_login(error):
        return of_login
    match error:
        case NoRegionError():
            return MissingError("No AWS region is set: name it in terraform.tfvars.")
        case SSLError():
            return AwsError(
                f"What answers for AWS has a certificate that is not trusted here ({error}): where a proxy of your "
                "company's opens TLS, name its certificate: export AWS_CA_BUNDLE=/path/to/its/certificate.pem."
            )
        case EndpointConnectionError() | ConnectTimeoutError() | ProxyConnectionError():
            return AwsError(f"AWS cannot be reached ({error}): check the network and the region's name.")
    return AwsError(f"AWS would not {doing} ({error}): try again.")


def _of_login(error: BotoCoreError) -> MissingError | None:
    """What is wrong with profiles and credentials, of which AWS has not heard yet."""
    match error:
        case SSOError() | TokenRetrievalError() | LoginError():
            return login_expired()
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
        case InvalidConfigError() | InfiniteLoopConfigError():
            return MissingError(f"{str(error).rstrip('.')}: mend it in ~/.aws/config, then try again.")
        case ProfileNotFound():
            return MissingError(f"{error}: choose another AWS_PROFILE, or make it with `aws configure`.")
    return None


def _of_answer(doing: str, error: ClientError) -> OperatorError:
    """What AWS itself refused."""
    code = error.response.get("Error", {}).get("Code", "no code")
    message = error.response.get("Error", {}).get("Message", "")
    if code in SKEWED or any(words in message for words in WRONG_TIME):
        return MissingError(
            wrong_clock(error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", ""))
        )
    if code in NOT_ACCEPTED:
        return MissingError(not_accepted(code))
    if code in THROTTLED:
        return AwsError(throttled(code))
    return AwsError(f"AWS would not {doing} ({code}: {message.rstrip('.')}).")
