"""What is said of a bucket that nobody has guarded, and of one that is kept otherwise than by default."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from scripts.aws import clients
from scripts.aws.bucket import Bucket
from scripts.findings import bucket as findings
from scripts.findings import region
from scripts.findings.finding import FACT, GOOD, NOT_GOOD, UNKNOWN, Answer, Asked

Aws = Callable[[str], Any]
NAME = "fruits"
ELSEWHERE = "us-west-2"


def kept(s3: Any, rules: list[dict[str, Any]]) -> str:
    """What is said of these rules."""
    s3.put_bucket_lifecycle_configuration(Bucket=NAME, LifecycleConfiguration={"Rules": rules})
    return answers()["How long is it kept?"].text


def answers() -> dict[str, Answer]:
    return {line.question: line.answer for line in findings.of_bucket(Asked(ELSEWHERE), Bucket(NAME, ELSEWHERE))}


@pytest.fixture
def bare(aws: Aws) -> Any:
    """A bucket as S3 once made them, and its client."""
    s3 = clients.client("s3", ELSEWHERE)
    s3.create_bucket(Bucket=NAME, CreateBucketConfiguration={"LocationConstraint": ELSEWHERE})
    return s3


def test_a_bucket_that_nobody_guards_looks_good_in_nothing_that_it_is_not(bare: Any) -> None:
    found = answers()
    assert {question for question, answer in found.items() if answer.verdict == GOOD} == {
        # Without a policy nobody is let in by one.
        "Does AWS take the bucket for public?",
        "Does the bucket itself let anybody in?",
    }
    place = found["Are pictures and results stored in the European Union?"]
    assert place == Answer(NOT_GOOD, "us-west-2, US West (Oregon): not in the European Union.")
    assert found["How long is it kept?"] == Answer(FACT, "Until somebody deletes it: no rule ends it.")


def test_a_bucket_that_is_gone_is_known_in_nothing(aws: Aws) -> None:
    assert {answer.verdict for answer in answers().values()} == {UNKNOWN}


def test_a_key_of_ones_own_is_named(bare: Any) -> None:
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "arn:aws:kms:k"}}
    bare.put_bucket_encryption(Bucket=NAME, ServerSideEncryptionConfiguration={"Rules": [rule]})
    assert answers()["Are they encrypted where they lie?"] == Answer(
        GOOD, "Yes, each object: AES-256 with a key in KMS: arn:aws:kms:k."
    )


def test_how_long_things_are_kept_is_said_by_rule(bare: Any) -> None:
    rules = [
        {"ID": "a", "Status": "Enabled", "Filter": {"Prefix": "runs/"}, "Expiration": {"Days": 90}},
        {"ID": "b", "Status": "Enabled", "Filter": {}, "NoncurrentVersionExpiration": {"NoncurrentDays": 30}},
        {"ID": "c", "Status": "Disabled", "Filter": {}, "Expiration": {"Days": 1}},
        {
            "ID": "d",
            "Status": "Enabled",
            "Filter": {"Prefix": "events/"},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
        },
    ]
    assert kept(bare, rules) == (
        "what lies under runs/: 90 days; all of it, once deleted or overwritten: 30 days more; what lies under "
        "events/, once deleted or overwritten: 1 day more."
    )


def test_a_rule_is_said_with_all_that_it_does_and_for_what(bare: Any) -> None:
    tag = {"Key": "a", "Value": "b"}
    rules = [
        {
            "ID": "a",
            "Status": "Enabled",
            "Filter": {"And": {"Prefix": "runs/", "Tags": [tag]}},
            "Expiration": {"Days": 1},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 2},
        },
        {
            "ID": "b",
            "Status": "Enabled",
            "Filter": {"Tag": tag},
            "Expiration": {"Date": datetime(2030, 1, 2, tzinfo=UTC)},
        },
        {
            "ID": "c",
            "Status": "Enabled",
            "Filter": {"Prefix": "pictures/"},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
        },
    ]
    assert kept(bare, rules) == (
        "some of what lies under runs/: 1 day; some of what lies under runs/, once deleted or overwritten: 2 days "
        "more; some of it: until 2030-01-02; what lies under pictures/, uploads that were broken off: 1 day."
    )


def replicate(bare: Any, status: str) -> None:
    """A bucket of somebody else's that has a copy of each object."""
    bare.create_bucket(Bucket="copies", CreateBucketConfiguration={"LocationConstraint": ELSEWHERE})
    for name in (NAME, "copies"):
        bare.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    rule = {"ID": "a", "Status": status, "Prefix": "", "Destination": {"Bucket": "arn:aws:s3:::copies"}}
    configuration = {"Role": "arn:aws:iam::123456789012:role/copies", "Rules": [rule]}
    bare.put_bucket_replication(Bucket=NAME, ReplicationConfiguration=configuration)


@pytest.mark.parametrize(("status", "verdict"), [("Enabled", NOT_GOOD), ("Disabled", GOOD)])
def test_copies_that_go_elsewhere_are_named(
    bare: Any, monkeypatch: pytest.MonkeyPatch, status: str, verdict: str
) -> None:
    monkeypatch.setattr(region, "is_in_eu", lambda _: True)
    replicate(bare, status)
    found = answers()["Are pictures and results stored in the European Union?"]
    assert found.verdict == verdict
    assert ("arn:aws:s3:::copies" in found.text) == (verdict == NOT_GOOD)
