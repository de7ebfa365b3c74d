"""AWS's refusals in the operator's words: what ran out or is not allowed, for which host, and what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

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
NO_CREDENTIALS = (
    "There are no AWS credentials on this machine: run `aws configure`, or set AWS_PROFILE, then try again."
)


def not_accepted(code: str) -> str:
    """A sentence on credentials that AWS does not take."""
    if code.startswith(("Expired", "RequestExpired")):
        return f"Your AWS credentials have expired ({code}): log in again (`aws sso login`), then try again."
    return f"AWS does not accept your credentials ({code}): check `aws configure` or AWS_PROFILE, then try again."


@contextmanager
def told(doing: str) -> Iterator[None]:
    """Turn what boto3 raises in the block into one sentence. `doing` follows "AWS would not "."""
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError):
        raise MissingError(NO_CREDENTIALS) from None
    except ProfileNotFound as error:
        raise MissingError(f"{error}: choose another AWS_PROFILE, or make it with `aws configure`.") from None
    except TokenRetrievalError:
        raise MissingError(not_accepted("ExpiredToken")) from None
    except NoRegionError:
        raise MissingError("No AWS region is set: name it in terraform.tfvars.") from None
    except EndpointConnectionError as error:
        raise AwsError(f"AWS cannot be reached ({error}): check the network and the region's name.") from None
    except ClientError as error:
        raise _of_client(doing, error) from None
    except (BotoCoreError, ResponseParserError) as error:
        raise AwsError(f"AWS would not {doing} ({error}): try again.") from None


def _of_client(doing: str, error: ClientError) -> OperatorError:
    code = error.response.get("Error", {}).get("Code", "no code")
    message = error.response.get("Error", {}).get("Message", "")
    if code in NOT_ACCEPTED:
        return MissingError(not_accepted(code))
    return AwsError(f"AWS would not {doing} ({code}: {message.rstrip('.')}).")
