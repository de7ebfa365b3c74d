"""AWS's policies in plain words, and whether a statement stays within its cluster."""

import json
import re
from collections.abc import Iterable
from typing import Any

from scripts.aws.resources import tags_of

Statement = dict[str, Any]

VERBS = {
    "s3:ListBucket": "list",
    "s3:ListBucketMultipartUploads": "see unfinished uploads to",
    "s3:GetObject": "read",
    "s3:PutObject": "write",
    "s3:DeleteObject": "delete",
    "s3:AbortMultipartUpload": "abort uploads of",
    "kms:Decrypt": "decrypt with",
    "kms:GenerateDataKey": "encrypt with",
    "ec2:StopInstances": "stop",
    "ec2:TerminateInstances": "terminate",
    "ec2:DescribeInstances": "see the instances of",
    "cloudwatch:PutMetricData": "write metrics in",
}
# What may be done with the bucket and its objects; whatever else, such as its policy, is not the cluster's to change.
OF_BUCKET = {action.lower() for action in VERBS if action.startswith("s3:")}
# EC2 binds no describe call to a resource: it shows, and changes nothing. To IAM an action has no case.
ONLY_LOOKS = re.compile(r"ec2:describe\w+")


def statements(document: dict[str, Any] | str) -> list[Statement]:
    """A policy's statements; it may have one alone, and it may be text."""
    parsed = json.loads(document) if isinstance(document, str) else document
    found = parsed["Statement"]
    return [found] if isinstance(found, dict) else list(found)


def refuses_plain_http(document: str, bucket: str) -> bool:
    """Whether a bucket's policy denies everybody everything that does not come over TLS."""
    arn = f"arn:aws:s3:::{bucket}"
    return any(
        statement["Effect"] == "Deny"
        and statement.get("Principal") in ("*", {"AWS": "*"})
        and "s3:*" in listed(statement.get("Action"))
        and {arn, f"{arn}/*"} <= {_in_any_partition(one) for one in listed(statement.get("Resource"))}
        and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
        for statement in statements(document)
    )


def allowed(document: dict[str, Any] | str) -> list[Statement]:
    """Those that allow something."""
    return [statement for statement in statements(document) if statement["Effect"] != "Deny"]


def principals(statement: Statement) -> list[str]:
    """Who a statement is about."""
    named = statement.get("Principal", "*")
    return [named] if isinstance(named, str) else [one for kind in named.values() for one in listed(kind)]


def is_bounded(statement: Statement, bucket: str, cluster_name: str) -> bool:
    """Whether it allows known actions alone, on this bucket, or bound to the cluster by a condition; or but to look."""
    actions = [action.lower() for action in listed(statement.get("Action"))]
    resources = listed(statement.get("Resource"))
    if not actions or not resources:
        return False
    if all(_is_of_bucket(resource, bucket) for resource in resources):
        return OF_BUCKET.issuperset(actions)
    bound = _bound(statement, cluster_name)
    return all(action in bound or ONLY_LOOKS.fullmatch(action) for action in actions)


def in_words(statement: Statement) -> str:
    """What a statement allows, as a person would say it."""
    actions, resources = listed(statement.get("Action")), listed(statement.get("Resource"))
    if not actions or not resources:
        return "everything but what it names"
    conditions = [
        f"{key} is {_plain(value)}" if operator == "StringEquals" else f"{operator} {key} {_plain(value)}"
        for operator, test in statement.get("Condition", {}).items()
        for key, value in test.items()
    ]
    order = list(VERBS)
    known = sorted(actions, key=lambda action: (order.index(action) if action in VERBS else len(order), action))
    what = ", ".join(VERBS.get(action, action) for action in known)
    return f"{what} {' and '.join(map(_thing, resources))}{_where(conditions)}"


def as_text(document: Any) -> str:
    """A policy as JSON for people."""
    return json.dumps(json.loads(document) if isinstance(document, str) else document, indent=1)


def listed(value: Any) -> list[str]:
    """One word or several, as a list."""
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


def _bound(statement: Statement, cluster_name: str) -> set[str]:
    """Actions that the statement's condition keeps within the cluster: each service has a key of its own for that."""
    equal = {key: listed(value) for key, value in (statement.get("Condition") or {}).get("StringEquals", {}).items()}
    through = equal.get("kms:ViaService", [])
    bounds = {
        "ec2": all(equal.get(f"aws:ResourceTag/{key}") == [value] for key, value in tags_of(cluster_name).items()),
        "kms": bool(through) and all(service.startswith("s3.") for service in through),
        "cloudwatch": bool(equal.get("cloudwatch:namespace")),
    }
    return {action.lower() for action in VERBS if bounds.get(action.partition(":")[0])}


def _plain(value: Any) -> str:
    return " or ".join(map(str, value if isinstance(value, list) else [value]))


def _where(conditions: Iterable[str]) -> str:
    said = " and ".join(conditions)
    return f", only where {said}" if said else ""


def _is_of_bucket(resource: str, bucket: str) -> bool:
    return _in_any_partition(resource) in (f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*")


def _in_any_partition(arn: str) -> str:
    return re.sub(r"^arn:aws[a-z-]*:", "arn:aws:", arn)


def _thing(resource: str) -> str:
    if resource == "*":
        return "the account"
    name = resource.split(":", 5)[-1]
    if resource.split(":")[2:3] == ["s3"]:
        return f"the objects of {name.removesuffix('/*')}" if name.endswith("/*") else f"the bucket {name}"
    return "instances" if name == "instance/*" else name
