"""What goes wrong with S3: what is tried again, what becomes an error row, and what a sentence for a person."""

import errno
import re
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
from obstore.exceptions import BaseError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from pipeline.errors import InputError, StorageError, UnreachableError
from pipeline.storage import retries
from pipeline.storage.s3_connection import ATTEMPTS, renew, session

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
# Refusals that say nothing of the object that was asked for: other credentials may be had a moment later,
_OF_CREDENTIALS = {
    "ExpiredToken": "the credentials have expired; get new ones",
    "ExpiredTokenException": "the credentials have expired; get new ones",
    "RequestExpired": "the credentials have expired, or this machine's clock is wrong",
    "InvalidToken": "the session token is not valid; get new credentials",
    "TokenRefreshRequired": "the session token is not valid; get new credentials",
    "InvalidAccessKeyId": "the access key is not known there; get new credentials",
    "InvalidClientTokenId": "the access key is not known there; get new credentials",
    "SignatureDoesNotMatch": "the secret key is wrong",
    "RequestTimeTooSkewed": "this machine's clock is wrong",
}
# and these are the bucket's or the account's, and an upload's that is gone.
_OF_THE_STORE = {
    "NoSuchUpload": "an upload is gone",
    "AllAccessDisabled": "all access is disabled",
    "AccountProblem": "there is a problem with the account",
    "NotSignedUp": "the account is not signed up for S3",
    "InvalidSecurity": "the credentials are not accepted",
    "UnauthorizedAccess": "the account may not use this region",
}
# What obstore says of an answer: its status, and its body, in which a code stands.
_ANSWER = re.compile(r".*Server returned non-2xx status code: (\d{3})(.*?)(?:\n\nDebug source:|$)", re.DOTALL)
_CODE = re.compile(r"<Code>([A-Za-z0-9.]+)</Code>")


def trying(uri: str, request: Callable[[], Result], turns: int = ATTEMPTS) -> Result:
    """The request's result, tried again with jittered exponential pauses where the server or the network fails.

    `turns` is how often in all. Raises FileNotFoundError, PermissionError, or StorageError when the last turn has
    failed, too.
    """
    attempts = Retrying(
        retry=retry_if_exception_type(StorageError),
        wait=wait_random_exponential(multiplier=0.2, max=LONGEST_PAUSE_SECONDS),
        stop=stop_after_attempt(turns),
        before_sleep=lambda _: retries.add(),
        reraise=True,
    )
    return attempts(lambda: once(uri, request))


def once(uri: str, request: Callable[[], Result]) -> Result:
    """The request's result; what boto3 and obstore raise becomes one of the errors that `trying` names.

    Credentials that were refused are found anew before the next request. Raises UnreachableError where there are
    none, or no bucket.
    """
    asking = None
    try:
        asking = session()
        return request()
    except StorageError:
        raise
    except (NoCredentialsError, *_NO_USABLE_CREDENTIALS) as error:
        raise UnreachableError(f"{uri} cannot be reached: {_without_credentials(error)}.") from error
    except (BaseError, BotoCoreError, ClientError, OSError) as error:
        status, code = _answer(error)
        # The answer to a HEAD has no body, and so no code.
        if code in _OF_CREDENTIALS or status == 401 or (status == 400 and not code):
            renew(asking)
        raise _failure(uri, status, code, _brief(error)) from error


def _answer(error: Exception) -> tuple[int, str]:
    """Status and code of the answer that was none; 0 and nothing where none came."""
    if isinstance(error, ClientError):
        code = str(error.response["Error"]["Code"])
        return error.response["ResponseMetadata"]["HTTPStatusCode"], "" if code.isdigit() else code
    if not (told := _ANSWER.match(str(error))):
        return 404 if isinstance(error, FileNotFoundError) else 0, ""
    found = _CODE.search(told[2])
    return int(told[1]), found[1] if found else ""


def _failure(uri: str, status: int, code: str, brief: str) -> Exception:
    """The error of this object alone where it is gone or refused for itself; else the store's."""
    if code == "NoSuchBucket":
        return UnreachableError(f"{uri} cannot be reached: {_CAUSES[code]}.")
    if cause := _OF_CREDENTIALS.get(code) or _OF_THE_STORE.get(code):
        return StorageError(f"S3 answered {code}: {cause}", uri)
    if status == 404:
        return FileNotFoundError(errno.ENOENT, "no such object", uri)
    if status == 403:
        is_plain = code in ("", "AccessDenied")
        return PermissionError(errno.EACCES, "access denied by the bucket" + ("" if is_plain else f" ({code})"), uri)
    return StorageError(f"S3 did not answer well in {ATTEMPTS} attempts ({code or brief})", uri)


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
