"""What goes wrong with S3: what is tried again, what becomes an error row, and what a sentence for a person."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    InvalidConfigError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from pipeline.errors import InputError, StorageError
from pipeline.storage import retries
from pipeline.storage.s3_connection import ATTEMPTS

LONGEST_PAUSE_SECONDS = 10.0

Result = TypeVar("Result")

_NO_USABLE_CREDENTIALS = (
    CredentialRetrievalError,
    InvalidConfigError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)


def trying(uri: str, request: Callable[[], Result]) -> Result:
    """The request's result, tried again with jittered exponential pauses where the server or the network fails.

    Raises FileNotFoundError, PermissionError, or StorageError when the last attempt has failed, too.
    """
    attempts = Retrying(
        retry=retry_if_exception_type(StorageError),
        wait=wait_random_exponential(multiplier=0.2, max=LONGEST_PAUSE_SECONDS),
        stop=stop_after_attempt(ATTEMPTS),
        before_sleep=lambda _: retries.add(),
        reraise=True,
    )
    return attempts(lambda: once(uri, request))


def once(uri: str, request: Callable[[], Result]) -> Result:
    """The request's result; what boto3 and obstore raise becomes one of the errors that `trying` names.

    Raises InputError where there are no credentials to ask with.
    """
    try:
        return request()
    except StorageError:
        raise
    except (NoCredentialsError, *_NO_USABLE_CREDENTIALS) as error:
        raise InputError(f"{uri} cannot be reached: {_without_credentials(error)}.") from error
    except FileNotFoundError as error:
        raise FileNotFoundError(2, "no such object", uri) from error
    except (PermissionDeniedError, UnauthenticatedError, PermissionError) as error:
        raise PermissionError(13, "access denied by the bucket", uri) from error
    except ClientError as error:
        raise _of_boto3(error, uri) from error
    except (BaseError, BotoCoreError, OSError) as error:
        raise StorageError(f"S3 did not answer well in {ATTEMPTS} attempts ({_brief(error)})", uri) from error


def _of_boto3(error: ClientError, uri: str) -> OSError:
    code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    if status == 404:
        return FileNotFoundError(2, "no such object", uri)
    if status in (401, 403):
        return PermissionError(13, "access denied by the bucket", uri)
    return StorageError(f"S3 answered {code} in {ATTEMPTS} attempts", uri)


def _without_credentials(error: BotoCoreError) -> str:
    if isinstance(error, NoCredentialsError):
        return "there are no AWS credentials here; set AWS_PROFILE or run aws configure"
    return f"{_brief(error)}; check AWS_PROFILE and AWS's configuration files"


def _brief(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200].rstrip(".") if lines else type(error).__name__


_CAUSES = {
    "NoSuchBucket": "there is no such bucket; check the name",
    "404": "there is no such bucket; check the name",
    "AccessDenied": "access is denied; check that these credentials may use it",
    "403": "access is denied; check that these credentials may use it",
    "InvalidAccessKeyId": "the access key is not known there; check AWS_PROFILE or the keys in the environment",
    "SignatureDoesNotMatch": "the secret key is wrong; check AWS_PROFILE or the keys in the environment",
    "ExpiredToken": "the credentials have expired; get new ones",
    "PermanentRedirect": "it lies in another region; set AWS_REGION to the bucket's",
    "301": "it lies in another region; set AWS_REGION to the bucket's",
    "AuthorizationHeaderMalformed": "it lies in another region; set AWS_REGION to the bucket's",
    "400": "the request was refused; check AWS_REGION and that the credentials have not expired",
}


@contextmanager
def s3_errors_as_input_errors(bucket: str, verb: str = "used") -> Iterator[None]:
    """Turns what boto3 raises in the block into an InputError that names bucket and cause."""
    try:
        yield
    except (NoCredentialsError, *_NO_USABLE_CREDENTIALS) as error:
        raise InputError(f"The bucket {bucket} cannot be {verb}: {_without_credentials(error)}.") from error
    except ParamValidationError:
        raise InputError(f"The bucket {bucket} cannot be {verb}: no bucket can have that name; check it.") from None
    except ClientError as error:
        code = error.response["Error"]["Code"]
        cause = _CAUSES.get(code, f"the server answered {code}; try again later")
        raise InputError(f"The bucket {bucket} cannot be {verb}: {cause}.") from error
    except (BotoCoreError, ValueError) as error:  # ValueError: an endpoint that is no URL
        raise InputError(
            f"The bucket {bucket} cannot be {verb}: {_brief(error)}; check AWS_ENDPOINT_URL and the network."
        ) from error
