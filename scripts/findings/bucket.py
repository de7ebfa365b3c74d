"""What AWS says of the bucket: where it is, who can reach it, how it is kept."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from scripts.aws.bucket import Bucket, record_key
from scripts.findings import policies, region
from scripts.findings.finding import FACT, GOOD, NOT_GOOD, UNKNOWN, Answer, Asked, Finding, find, judged

NO_POLICY = "NoSuchBucketPolicy"
BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
# What S3 calls the places of its oldest buckets.
OLD_NAMES = {None: "us-east-1", "": "us-east-1", "EU": "eu-west-1"}
ALGORITHMS = {
    "AES256": "AES-256 with keys of S3's own (SSE-S3)",
    "aws:kms": "AES-256 with a key in KMS",
    "aws:kms:dsse": "AES-256, twice, with a key in KMS",
}


def of_bucket(asked: Asked, bucket: Bucket) -> list[Finding]:
    """A line for each question."""
    questions = {
        "Are pictures and results stored in the European Union?": _place,
        "Are they encrypted where they lie?": _encryption,
        "Is public access blocked, whatever a policy or an object says?": _public_access,
        "Does AWS take the bucket for public?": _is_public,
        "Is it reached over TLS only?": _tls,
        "Does the bucket itself let anybody in?": _let_in,
        "Can an object have an owner or readers of its own?": _ownership,
        "Can what was deleted or overwritten be brought back?": _versions,
        "How long is it kept?": _kept,
    }
    return [find(asked, question, bucket.name, partial(read, bucket.name)) for question, read in questions.items()]


def of_run(asked: Asked, bucket: Bucket, run_id: str) -> Finding:
    """How the run's own record lies there."""
    key = record_key(run_id)

    def read(asked: Asked) -> Answer:
        head = asked("s3", "HeadObject", Bucket=bucket.name, Key=key)
        algorithm = head.get("ServerSideEncryption")
        if algorithm is None:
            return Answer(UNKNOWN, "AWS does not say how this object is encrypted.")
        return judged(algorithm in ALGORITHMS, ALGORITHMS.get(algorithm, algorithm))

    return find(asked, "Is this run's record itself encrypted?", key, read)


def _place(bucket: str, asked: Asked) -> Answer:
    found = asked("s3", "GetBucketLocation", Bucket=bucket).get("LocationConstraint")
    place = str(OLD_NAMES.get(found, found))
    if copies := _copies(bucket, asked):
        more = f"Each new object is copied to {', '.join(copies)}, too, of which nothing is read here."
        return Answer(NOT_GOOD, f"{region.sentence(place)} {more}")
    return judged(region.is_in_eu(place), region.sentence(place))


def _copies(bucket: str, asked: Asked) -> list[str]:
    """Other buckets that S3 itself copies to."""
    found = asked.unless("ReplicationConfigurationNotFoundError", "s3", "GetBucketReplication", Bucket=bucket)
    rules = found["ReplicationConfiguration"]["Rules"] if found else []
    return sorted({str(rule["Destination"]["Bucket"]) for rule in rules if rule["Status"] == "Enabled"})


def _encryption(bucket: str, asked: Asked) -> Answer:
    code = "ServerSideEncryptionConfigurationNotFoundError"
    found = asked.unless(code, "s3", "GetBucketEncryption", Bucket=bucket)
    if found is None:
        return Answer(NOT_GOOD, "The bucket names no encryption.")
    [rule] = found["ServerSideEncryptionConfiguration"]["Rules"]
    default = rule["ApplyServerSideEncryptionByDefault"]
    key = f": {default['KMSMasterKeyID']}" if default.get("KMSMasterKeyID") else ""
    algorithm = default["SSEAlgorithm"]
    return judged(algorithm in ALGORITHMS, f"Yes, each object: {ALGORITHMS.get(algorithm, algorithm)}{key}.")


def _public_access(bucket: str, asked: Asked) -> Answer:
    found = asked.unless("NoSuchPublicAccessBlockConfiguration", "s3", "GetPublicAccessBlock", Bucket=bucket)
    blocks = found["PublicAccessBlockConfiguration"] if found else {}
    if missing := [name for name in BLOCKS if not blocks.get(name)]:
        return Answer(NOT_GOOD, f"No: {', '.join(missing)} not set.")
    return Answer(GOOD, f"Yes, all four: {', '.join(BLOCKS)}.")


def _is_public(bucket: str, asked: Asked) -> Answer:
    found = asked.unless(NO_POLICY, "s3", "GetBucketPolicyStatus", Bucket=bucket)
    if found is None:
        return Answer(GOOD, "No: it has no policy that could make it so.")
    is_public = found["PolicyStatus"]["IsPublic"]
    return judged(not is_public, "Yes, by its policy." if is_public else "No, by its policy's status.")


def _tls(bucket: str, asked: Asked) -> Answer:
    found = asked.unless(NO_POLICY, "s3", "GetBucketPolicy", Bucket=bucket)
    if found is None:
        return Answer(NOT_GOOD, "No: there is no policy that refuses plain HTTP.")
    text = policies.as_text(found["Policy"])
    if policies.refuses_plain_http(found["Policy"], bucket):
        return Answer(GOOD, "Yes: the policy denies everybody everything over plain HTTP.", text)
    return Answer(NOT_GOOD, "No: its policy does not refuse plain HTTP to everybody.", text)


def _let_in(bucket: str, asked: Asked) -> Answer:
    found = asked.unless(NO_POLICY, "s3", "GetBucketPolicy", Bucket=bucket)
    let_in = policies.allowed(found["Policy"]) if found else []
    if not let_in:
        return Answer(GOOD, "No: its policy allows nobody anything. Who may read it has the right from the account.")
    who = sorted({one for statement in let_in for one in policies.principals(statement)})
    return Answer(NOT_GOOD, f"Yes: its policy lets in {', '.join(who)}.", policies.as_text(found and found["Policy"]))


def _ownership(bucket: str, asked: Asked) -> Answer:
    found = asked.unless("OwnershipControlsNotFoundError", "s3", "GetBucketOwnershipControls", Bucket=bucket)
    rules = [rule["ObjectOwnership"] for rule in found["OwnershipControls"]["Rules"]] if found else []
    if rules == ["BucketOwnerEnforced"]:
        return Answer(GOOD, "No: access lists (ACLs) are off, all is the account's (BucketOwnerEnforced).")
    return Answer(NOT_GOOD, f"Yes: access lists (ACLs) are on ({', '.join(rules) or 'no ownership controls'}).")


def _versions(bucket: str, asked: Asked) -> Answer:
    status = asked("s3", "GetBucketVersioning", Bucket=bucket).get("Status", "never switched on")
    return judged(status == "Enabled", f"{'Yes' if status == 'Enabled' else 'No'}: versioning is {status}.")


def _kept(bucket: str, asked: Asked) -> Answer:
    code = "NoSuchLifecycleConfiguration"
    found = asked.unless(code, "s3", "GetBucketLifecycleConfiguration", Bucket=bucket)
    rules = [rule for rule in found["Rules"] if rule["Status"] == "Enabled"] if found else []
    said = [one for rule in rules for one in _rule(rule)]
    return Answer(FACT, f"{'; '.join(said)}." if said else "Until somebody deletes it: no rule ends it.")


def _rule(rule: dict[str, Any]) -> Iterator[str]:
    """A sentence for each thing that the rule ends."""
    where, expires = _where(rule), rule.get("Expiration", {})
    if days := expires.get("Days"):
        yield f"{where}: {_days(days)}"
    if date := expires.get("Date"):
        yield f"{where}: until {date:%Y-%m-%d}"
    if days := rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays"):
        yield f"{where}, once deleted or overwritten: {_days(days)} more"
    if days := rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation"):
        yield f"{where}, uploads that were broken off: {_days(days)}"


def _where(rule: dict[str, Any]) -> str:
    """What a rule is about: by the beginning of the key, and some of it alone by tags and sizes."""
    filters = rule.get("Filter", {})
    filters = filters.get("And", filters)
    below = filters.get("Prefix") or rule.get("Prefix") or ""
    if filters.keys() - {"Prefix"}:
        return f"some of what lies under {below}" if below else "some of it"
    return f"what lies under {below}" if below else "all of it"


def _days(number: int) -> str:
    return f"{number} day{'' if number == 1 else 's'}"
