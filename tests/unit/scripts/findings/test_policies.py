"""Policies in plain words, and which of their statements stay within the cluster."""

import json
from typing import Any

import pytest

from scripts.findings import policies

BUCKET = "orchard-fruits"
ARN = f"arn:aws:s3:::{BUCKET}"
OURS = {"aws:ResourceTag/Project": "orchard", "aws:ResourceTag/Cluster": "fruits"}
REFUSES: dict[str, Any] = {
    "Effect": "Deny",
    "Principal": {"AWS": "*"},
    "Action": "s3:*",
    "Resource": [ARN, f"{ARN}/*"],
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def allow(action: str | list[str], resource: str | list[str], **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def test_a_policy_that_denies_everybody_everything_over_http_refuses_it() -> None:
    assert policies.refuses_plain_http(policy(allow("s3:GetObject", ARN), REFUSES), BUCKET)
    china = json.loads(json.dumps(REFUSES).replace("arn:aws:", "arn:aws-cn:"))
    assert policies.refuses_plain_http(policy(china), BUCKET)


@pytest.mark.parametrize(
    "weaker",
    [
        {"Effect": "Allow"},
        {"Principal": {"AWS": "arn:aws:iam::123456789012:root"}},
        {"Action": ["s3:GetObject"]},
        {"Resource": f"{ARN}/*"},
        {"Resource": [f"{ARN}-other", f"{ARN}-other/*"]},
        {"Condition": {"Bool": {"aws:SecureTransport": "true"}}},
        {"Condition": {"Bool": {"aws:SecureTransport": "false"}, "StringEquals": {"aws:PrincipalTag/a": "b"}}},
        {"Condition": None},
    ],
)
def test_one_that_leaves_a_way_over_http_does_not(weaker: dict[str, Any]) -> None:
    assert not policies.refuses_plain_http(policy(REFUSES | weaker), BUCKET)


@pytest.mark.parametrize(
    "statement",
    [
        allow(["s3:GetObject", "s3:PutObject"], f"{ARN}/*"),
        allow(["s3:ListBucket", "s3:ListBucketMultipartUploads"], ARN),
        allow("S3:getobject", f"{ARN}/*"),
        allow("ec2:DescribeInstances", "*"),
        allow(["ec2:StopInstances", "ec2:TerminateInstances"], "*", Condition={"StringEquals": OURS}),
        # One condition more only narrows it.
        allow("ec2:StopInstances", "*", Condition={"StringEquals": OURS, "Bool": {"aws:SecureTransport": "true"}}),
        allow("cloudwatch:PutMetricData", "*", Condition={"StringEquals": {"cloudwatch:namespace": "Orchard"}}),
        allow(
            ["kms:Decrypt", "kms:GenerateDataKey"],
            "arn:aws:kms:eu-west-1:1:key/k",
            Condition={"StringEquals": {"kms:ViaService": ["s3.eu-west-1.amazonaws.com"]}},
        ),
    ],
)
def test_known_actions_on_the_bucket_or_bound_to_the_cluster_are_bounded(statement: dict[str, Any]) -> None:
    assert policies.is_bounded(statement, BUCKET, "fruits")


@pytest.mark.parametrize(
    "statement",
    [
        allow("s3:*", ARN),
        allow("*", "*"),
        allow("s3:Get*", f"{ARN}/*"),
        allow("s3:GetObject", f"{ARN}-other/*"),
        allow("s3:GetObject", [f"{ARN}/*", "*"]),
        # A condition makes no other bucket this one.
        allow("s3:GetObject", "*", Condition={"Bool": {"aws:SecureTransport": "true"}}),
        allow("ec2:StopInstances", "*"),
        allow("ec2:StopInstances", "*", Condition={}),
        allow("iam:GetRole", "*"),
        allow("s3:Get?bject", f"{ARN}/*"),
        allow(["s3:PutBucketPolicy", "s3:PutBucketPublicAccessBlock"], ARN),
        allow("S3:GetObject", "*", Condition={"StringLike": {"aws:PrincipalArn": "*"}}),
        allow("iam:CreateAccessKey", "*", Condition={"Bool": {"aws:SecureTransport": "true"}}),
        allow("iam:CreateAccessKey", "*", Condition={"StringEquals": OURS}),
        allow(["iam:PassRole", "ec2:RunInstances"], "*", Condition={"StringNotEquals": OURS}),
        allow("ec2:TerminateInstances", "*", Condition={"StringNotEquals": OURS}),
        allow("ec2:TerminateInstances", "*", Condition={"StringEquals": {"aws:ResourceTag/Project": "orchard"}}),
        allow("ec2:StopInstances", "*", Condition={"StringEquals": OURS | {"aws:ResourceTag/Cluster": "other"}}),
        allow(
            "ec2:StopInstances",
            "*",
            Condition={"StringEquals": OURS | {"aws:ResourceTag/Cluster": ["fruits", "other"]}},
        ),
        # Each condition bounds its own service.
        allow("ec2:StopInstances", "*", Condition={"StringEquals": {"cloudwatch:namespace": "Orchard"}}),
        allow("kms:Decrypt", "*", Condition={"StringEquals": {"kms:ViaService": "ec2.eu-west-1.amazonaws.com"}}),
        {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"},
        {"Effect": "Allow", "Action": "s3:GetObject", "NotResource": f"{ARN}/*"},
    ],
)
def test_whatever_else_is_not(statement: dict[str, Any]) -> None:
    assert not policies.is_bounded(statement, BUCKET, "fruits")


def test_a_statement_is_said_as_a_person_would() -> None:
    assert policies.in_words(allow(["s3:PutObject", "s3:GetObject", "s3:Odd"], f"{ARN}/*")) == (
        f"read, write, s3:Odd the objects of {BUCKET}"
    )
    condition = {"StringEquals": {"aws:ResourceTag/Cluster": ["a", "b"]}}
    instances = "arn:aws:ec2:eu-west-1:123456789012:instance/*"
    assert policies.in_words(allow("ec2:StopInstances", instances, Condition=condition)) == (
        "stop instances, only where aws:ResourceTag/Cluster is a or b"
    )
    elsewhere = {"StringNotEquals": {"aws:RequestedRegion": "us-east-1"}}
    assert policies.in_words(allow("ec2:RunInstances", "*", Condition=elsewhere)) == (
        "ec2:RunInstances the account, only where StringNotEquals aws:RequestedRegion us-east-1"
    )
    assert policies.in_words({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}) == (
        "everything but what it names"
    )


def test_a_statement_may_stand_alone_and_a_principal_be_one_word() -> None:
    alone = {"Version": "2012-10-17", "Statement": allow("s3:GetObject", ARN, Principal="*")}
    assert [policies.principals(one) for one in policies.allowed(alone)] == [["*"]]
    named = {"AWS": ["arn:a", "arn:b"], "Service": "ec2.amazonaws.com"}
    assert policies.principals(allow("x", "y", Principal=named)) == ["arn:a", "arn:b", "ec2.amazonaws.com"]
