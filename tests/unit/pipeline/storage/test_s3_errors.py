"""pipeline.storage.s3_errors: which refusals are one object's own, and which the store's."""

from collections.abc import Callable
from typing import NoReturn

import pytest
from botocore.exceptions import ClientError, ProfileNotFound
from obstore.exceptions import GenericError, PermissionDeniedError

from pipeline.errors import StorageError, UnreachableError
from pipeline.storage import s3_errors
from pipeline.storage.s3_errors import once

URI = "s3://fruits/pictures/1.jpg"
# As obstore 0.12 says it.
TOLD = (
    "The operation lacked the necessary privileges to complete for path {path}: Error performing GET http://s3/1.jpg "
    'in 1ms - Server returned non-2xx status code: {status} Whatever: <?xml version="1.0" encoding="UTF-8"?>\n'
    "<Error><Code>{code}</Code><Message>words</Message></Error>\n\nDebug source:\nPermissionDenied"
)


@pytest.fixture(autouse=True)
def renewed(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The sessions whose credentials were to be found anew."""
    asked: list[object] = []
    monkeypatch.setattr(s3_errors, "session", object)
    monkeypatch.setattr(s3_errors, "renew", asked.append)
    return asked


def by_boto3(status: int, code: str) -> Exception:
    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    error: Exception = ClientError(answer, "GetObject")
    return error


def by_obstore(status: int, code: str, path: str = "pictures/1.jpg") -> Exception:
    kind = {403: PermissionDeniedError, 404: FileNotFoundError}.get(status, GenericError)
    error: Exception = kind(TOLD.format(path=path, status=status, code=code))
    return error


def failing(error: Exception) -> NoReturn:
    raise error


Refusal = Callable[[int, str], Exception]
BOTH = pytest.mark.parametrize("by", [by_boto3, by_obstore])


@BOTH
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "ExpiredToken"),
        (400, "InvalidToken"),
        (400, "TokenRefreshRequired"),
        (403, "InvalidAccessKeyId"),
        (403, "SignatureDoesNotMatch"),
        (403, "RequestTimeTooSkewed"),
        (403, "RequestExpired"),
    ],
)
def test_refused_credentials_are_the_store_s_failure_and_found_anew(
    by: Refusal, status: int, code: str, renewed: list[object]
) -> None:
    with pytest.raises(StorageError, match=rf"1\.jpg: S3 answered {code}: "):
        once(URI, lambda: failing(by(status, code)))
    assert len(renewed) == 1


@BOTH
@pytest.mark.parametrize(
    ("status", "code"),
    [(403, "AccountProblem"), (403, "AllAccessDisabled"), (404, "NoSuchUpload"), (503, "SlowDown"), (500, "Internal")],
)
def test_what_is_said_of_the_bucket_or_the_account_is_the_store_s(
    by: Refusal, status: int, code: str, renewed: list[object]
) -> None:
    with pytest.raises(StorageError, match=code):
        once(URI, lambda: failing(by(status, code)))
    assert not renewed


@BOTH
def test_a_refused_or_a_missing_object_is_that_object_s_own(by: Refusal, renewed: list[object]) -> None:
    with pytest.raises(PermissionError, match="access denied by the bucket: "):
        once(URI, lambda: failing(by(403, "AccessDenied")))
    with pytest.raises(PermissionError, match=r"access denied by the bucket \(InvalidObjectState\)"):
        once(URI, lambda: failing(by(403, "InvalidObjectState")))
    with pytest.raises(FileNotFoundError):
        once(URI, lambda: failing(by(404, "NoSuchKey")))
    assert not renewed


@BOTH
def test_a_bucket_that_is_gone_is_none_of_its_objects(by: Refusal) -> None:
    with pytest.raises(UnreachableError, match=r"1\.jpg cannot be reached: there is no such bucket; check the name\."):
        once(URI, lambda: failing(by(404, "NoSuchBucket")))


def test_a_head_that_is_refused_without_a_code_has_credentials_found_anew(renewed: list[object]) -> None:
    with pytest.raises(StorageError):
        once(URI, lambda: failing(by_boto3(400, "400")))
    assert len(renewed) == 1


def test_a_profile_that_is_nowhere_is_told_in_a_sentence(
    renewed: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_errors, "session", lambda: failing(ProfileNotFound(profile="nope")))
    with pytest.raises(
        UnreachableError, match=r"1\.jpg cannot be reached: The config profile \(nope\) could not be found; check"
    ):
        once(URI, lambda: None)
    assert not renewed


def test_a_name_cannot_pass_for_an_answer() -> None:
    path = "Server returned non-2xx status code: 403 Forbidden: <Code>AccessDenied</Code>"
    with pytest.raises(StorageError, match="SlowDown"):
        once(URI, lambda: failing(by_obstore(503, "SlowDown", path)))
