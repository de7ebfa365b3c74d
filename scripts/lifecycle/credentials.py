"""`make credentials`: an access key for the cluster's IAM user, in an AWS profile on this machine and nowhere else."""

import os
import re
import time
from pathlib import Path

import boto3
from botocore.exceptions import ClientError

from scripts import console, lock
from scripts.aws import clients
from scripts.aws.errors import NOT_ACCEPTED, told
from scripts.cluster import Cluster
from scripts.errors import AwsError
from scripts.terraform import outputs

VALID_SECONDS = 60  # a new key is known everywhere in AWS after some seconds
PAUSE = 1.0
MOST_KEYS = 2  # that AWS lets a user have


def credentials() -> None:
    """Make a key, write it to the profile, see that it works, then retire the older ones. Nothing of it is printed."""
    cluster = outputs.current()
    profile = f"orchard-{cluster.name}"
    with lock.changing(cluster.name, "credentials"), console.phase("Credentials") as under_way:
        older = _keys(cluster)
        if len(older) >= MOST_KEYS:
            # The oldest: the newer one is what the profile holds.
            _retire(cluster, older[:1])
        with told(f"make an access key for {cluster.iam_user}"):
            made = clients.client("iam", cluster.region).create_access_key(UserName=cluster.iam_user)["AccessKey"]
        _wait_until_valid(cluster, made["AccessKeyId"], made["SecretAccessKey"])
        lines = {
            "aws_access_key_id": made["AccessKeyId"],
            "aws_secret_access_key": made["SecretAccessKey"],
            "region": cluster.region,
        }
        write_profile(credentials_file(), profile, lines)
        retired = _retire(cluster, [key for key in _keys(cluster) if key != made["AccessKeyId"]])
        under_way.result = f"a key of {cluster.iam_user} in profile {profile}; {retired} older retired"
    console.say(
        f"The profile reaches the bucket and nothing else. Next: AWS_PROFILE={profile} aws s3 ls s3://{cluster.bucket}/"
    )


def credentials_file() -> Path:
    """Where AWS's tools look for keys."""
    return Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials").expanduser()


def write_profile(file: Path, profile: str, lines: dict[str, str]) -> None:
    """Have the profile say just this; everything else in the file stays. Only its owner may read it."""
    text = file.read_text() if file.exists() else ""
    others = re.sub(rf"^\[{re.escape(profile)}\]\s*$.*?(?=^\[|\Z)", "", text, flags=re.MULTILINE | re.DOTALL)
    section = "".join(f"{name} = {value}\n" for name, value in lines.items())
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = file.with_name(f"{file.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(f"{others.rstrip()}\n\n[{profile}]\n{section}".lstrip())
    new.replace(file)


def _keys(cluster: Cluster) -> list[str]:
    """The user's keys, the oldest first."""
    with told(f"list the access keys of {cluster.iam_user}"):
        found = clients.client("iam", cluster.region).list_access_keys(UserName=cluster.iam_user)["AccessKeyMetadata"]
    return [key["AccessKeyId"] for key in sorted(found, key=lambda key: key["CreateDate"])]


def _retire(cluster: Cluster, keys: list[str]) -> int:
    with told(f"delete an access key of {cluster.iam_user}"):
        for key in keys:
            clients.client("iam", cluster.region).delete_access_key(UserName=cluster.iam_user, AccessKeyId=key)
    return len(keys)


def _wait_until_valid(cluster: Cluster, key: str, secret: str) -> None:
    session = boto3.session.Session(key, secret, region_name=cluster.region)
    deadline = time.monotonic() + VALID_SECONDS
    with told("take the new access key"):
        while True:
            try:
                session.client("sts").get_caller_identity()
                return
            except ClientError as error:
                if error.response["Error"]["Code"] not in NOT_ACCEPTED:
                    raise
            if time.monotonic() > deadline:
                raise AwsError(
                    f"AWS does not know the new key after {VALID_SECONDS} s: `make credentials` makes another."
                )
            time.sleep(PAUSE)
