"""How long links live, and who signs them; that they work and then do not is shown by a real S3 server (tests/s3)."""

import urllib.error
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.message import Message
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from scripts.aws.bucket import Bucket
from scripts.errors import AwsError, InputError
from scripts.handin import links

Aws = Callable[[str], Any]
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("given", ["0", "-1", "abc", "", "169", "1000", "nan", "inf", "0.001", "0.01"])
def test_hours_that_are_none_are_refused(given: str) -> None:
    with pytest.raises(
        InputError, match=r"^HOURS=.* is no time for links to work: give hours from 0\.02 \(a minute\) up to 168 \("
    ):
        links.hours_of(given)


@pytest.mark.parametrize(("given", "hours"), [("24", 24.0), ("0.5", 0.5), ("0.02", 0.02), ("168", 168.0)])
def test_other_hours_are_taken(given: str, hours: float) -> None:
    assert links.hours_of(given) == hours


def test_a_key_without_an_end_signs_for_as_long_as_was_asked(bucket: Bucket) -> None:
    signer = links.signer(bucket, 24)
    assert abs(signer.until - datetime.now(UTC) - timedelta(hours=24)) < MINUTE
    assert (signer.is_cut, signer.may_end_earlier) == (False, False)
    assert signer.arn.startswith("arn:aws:")


def test_no_link_is_said_to_outlive_the_credentials_that_signed_it(
    bucket: Bucket, temporary: Callable[[datetime | None], None]
) -> None:
    ends = (datetime.now(UTC) + timedelta(hours=3)).replace(microsecond=0)
    temporary(ends)
    signer = links.signer(bucket, 24)
    assert (signer.until, signer.is_cut, signer.may_end_earlier) == (ends, True, False)
    lives = int(parse_qs(urlsplit(signer.link("runs/first/pca.csv")).query)["X-Amz-Expires"][0])
    assert 0 <= 3 * 3600 - lives < 60
    # Those that outlive what was asked for cut nothing.
    assert not links.signer(bucket, 2).is_cut


def test_temporary_credentials_that_do_not_say_when_they_end_are_told_of(
    bucket: Bucket, temporary: Callable[[datetime | None], None]
) -> None:
    temporary(None)
    signer = links.signer(bucket, 24)
    assert (signer.is_cut, signer.may_end_earlier) == (False, True)


def test_a_link_names_its_region_and_how_a_browser_is_to_take_it(bucket: Bucket) -> None:
    signer = links.signer(bucket, 1)
    report = urlsplit(signer.link("runs/first/report.html", "first-report.html"))
    assert report.hostname == f"{bucket.name}.s3.eu-west-1.amazonaws.com"
    query = parse_qs(report.query)
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert query["response-content-type"] == ["text/html; charset=utf-8"]
    assert query["response-content-disposition"] == ["inline; filename*=UTF-8''first-report.html"]
    saved = parse_qs(urlsplit(signer.link("runs/first/pca.csv", 'a"; x\r\nb.csv')).query)
    assert saved["response-content-disposition"] == ["attachment; filename*=UTF-8''a%22%3B%20x%0D%0Ab.csv"]
    assert saved["response-content-type"] == ["application/octet-stream"]


class Answered:
    """An answer with a status, as urllib gives one."""

    def __init__(self, status: int) -> None:
        self.status = status

    def __enter__(self) -> "Answered":
        return self

    def __exit__(self, *_: object) -> None:
        pass


def answering(signed: int, unsigned: int) -> Callable[..., Answered]:
    def urlopen(address: str, timeout: float) -> Answered:
        assert timeout > 0
        status = signed if "?" in address else unsigned
        if status >= 400:
            raise urllib.error.HTTPError(address, status, "", Message(), None)
        return Answered(status)

    return urlopen


def test_a_link_that_works_and_is_refused_without_its_signature_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", answering(200, 403))
    links.check("https://b.s3/key?X-Amz-Signature=1")


@pytest.mark.parametrize(
    ("signed", "unsigned", "said"),
    [
        (403, 403, r"^A link that was just signed is answered with 403: your credentials may not read the bucket, or"),
        (200, 200, r"^The bucket gives its objects to anybody who asks \(200 without a signature\): `make evidence`"),
    ],
)
def test_one_that_does_not_work_or_needs_no_signature_is_not_handed_out(
    monkeypatch: pytest.MonkeyPatch, signed: int, unsigned: int, said: str
) -> None:
    monkeypatch.setattr("urllib.request.urlopen", answering(signed, unsigned))
    with pytest.raises(AwsError, match=said):
        links.check("https://b.s3/key?X-Amz-Signature=1")


def test_a_bucket_that_does_not_answer_is_said_not_to(monkeypatch: pytest.MonkeyPatch) -> None:
    def urlopen(*_: Any, **__: Any) -> None:
        raise urllib.error.URLError("no route")

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    with pytest.raises(AwsError, match=r"^The bucket cannot be reached to try a link \(no route\): check the"):
        links.check("https://b.s3/key?X-Amz-Signature=1")
