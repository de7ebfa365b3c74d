"""A line of evidence: what is not read never looks good."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from scripts.findings.finding import GOOD, UNKNOWN, Answer, Asked, find
from tests.unit.scripts.conftest import REGION

Aws = Callable[[str], Any]


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "for a reason"}}, "GetBucketPolicy")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (refusal("AccessDenied"), "AWS would not say: AccessDenied: for a reason"),
        (EndpointConnectionError(endpoint_url="https://s3"), "AWS could not be asked: Could not connect to"),
        (KeyError("Rules"), "AWS's answer has not the form that is known (KeyError: 'Rules')."),
    ],
)
def test_what_cannot_be_read_is_not_known_with_the_reason(error: Exception, said: str) -> None:
    def read(_: Asked) -> Answer:
        raise error

    line = find(Asked(REGION), "Is it?", "a thing", read)
    assert line.answer.verdict == UNKNOWN
    assert line.answer.text.startswith(said)


def test_a_line_names_its_own_calls_with_the_time_and_aws_s_number(aws: Aws) -> None:
    aws("s3").create_bucket(Bucket="fruits", CreateBucketConfiguration={"LocationConstraint": REGION})
    asked = Asked(REGION)

    def read(asked: Asked) -> Answer:
        asked("s3", "GetBucketLocation", Bucket="fruits")
        assert asked.unless("NoSuchBucketPolicy", "s3", "GetBucketPolicy", Bucket="fruits") is None
        return Answer(GOOD, "Yes.")

    calls = find(asked, "Is it?", "fruits", read).calls
    assert [call.name for call in calls] == ["s3:GetBucketLocation", "s3:GetBucketPolicy"]
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d", call.at) and call.request_id for call in calls)
    other = find(asked, "Is it?", "fruits", lambda asked: Answer(GOOD, str(asked("s3", "ListBuckets"))))
    assert [call.name for call in other.calls] == ["s3:ListBuckets"]


def test_another_refusal_than_the_one_that_was_looked_for_is_no_absence(aws: Aws) -> None:
    line = find(
        Asked(REGION),
        "Is it?",
        "nowhere",
        lambda asked: Answer(GOOD, str(asked.unless("NoSuchBucketPolicy", "s3", "GetBucketPolicy", Bucket="nowhere"))),
    )
    assert line.answer.verdict == UNKNOWN
    assert [call.name for call in line.calls] == ["s3:GetBucketPolicy"]


def test_a_list_that_is_refused_names_its_call_too(aws: Aws) -> None:
    def read(asked: Asked) -> Answer:
        return Answer(GOOD, str(list(asked.every("AccessKeyMetadata", "iam", "ListAccessKeys", UserName="nobody"))))

    line = find(Asked(REGION), "Which keys?", "nobody", read)
    assert line.answer.verdict == UNKNOWN
    assert [(call.name, bool(call.request_id)) for call in line.calls] == [("iam:ListAccessKeys", True)]
