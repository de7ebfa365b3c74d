"""`make credentials`: an access key for the cluster's IAM user, in an AWS profile on this machine and nowhere else."""

import boto3
from botocore.exceptions import ClientError

from scripts import console, lock, tfvars
from scripts.access import certificates
from scripts.access.errors import NOT_ACCEPTED, aws_errors_as_sentences
from scripts.access.profile import credentials_file, profile_name, write_profile
from scripts.aws import clients
from scripts.cluster import Cluster
from scripts.errors import AwsError, InputError
from scripts.terraform import outputs
from scripts.waiting import wait_until

VALID_SECONDS = 60  # a new key is known everywhere in AWS after some seconds
MOST_KEYS = 2  # that AWS lets a user have


def credentials() -> None:
    """Make a key, write it to the profile, see that it works, then retire the older ones. Nothing of it is printed."""
    with lock.changing(tfvars.read()["cluster_name"], "credentials"), console.phase("Credentials") as under_way:
        cluster = outputs.current()
        _refuse_without_user(cluster)
        profile = profile_name(cluster.name)
        older = _keys(cluster)
        if len(older) >= MOST_KEYS:
            # The oldest: the newer one is what the profile holds.
            _retire(cluster, older[:1])
        with aws_errors_as_sentences(f"make an access key for {cluster.iam_user}"):
            made = clients.client("iam", cluster.region).create_access_key(UserName=cluster.iam_user)["AccessKey"]
        try:
            _wait_until_valid(cluster, made["AccessKeyId"], made["SecretAccessKey"])
        except BaseException:
            # Nobody knows its secret any more, and the profile's key would count as the older one next time.
            _retire(cluster, [made["AccessKeyId"]])
            raise
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


def _refuse_without_user(cluster: Cluster) -> None:
    if cluster.iam_user is None:
        raise InputError(
            f"Cluster {cluster.name} has no IAM user (iam_user = false): use your own login for {cluster.bucket}."
        )


def _keys(cluster: Cluster) -> list[str]:
    """The user's keys, the oldest first."""
    with aws_errors_as_sentences(f"list the access keys of {cluster.iam_user}"):
        found = clients.client("iam", cluster.region).list_access_keys(UserName=cluster.iam_user)["AccessKeyMetadata"]
    return [key["AccessKeyId"] for key in sorted(found, key=lambda key: key["CreateDate"])]


def _retire(cluster: Cluster, keys: list[str]) -> int:
    with aws_errors_as_sentences(f"delete an access key of {cluster.iam_user}"):
        for key in keys:
            clients.client("iam", cluster.region).delete_access_key(UserName=cluster.iam_user, AccessKeyId=key)
    return len(keys)


def _wait_until_valid(cluster: Cluster, key: str, secret: str) -> None:
    sts = boto3.session.Session(key, secret).client("sts", region_name=cluster.region, verify=certificates.bundle())

    def is_known() -> bool:
        try:
            sts.get_caller_identity()
        except ClientError as error:
            if error.response["Error"]["Code"] in NOT_ACCEPTED:
                return False
            raise
        return True

    with aws_errors_as_sentences("take the new access key"):
        if not wait_until(is_known, seconds=VALID_SECONDS):
            raise AwsError(f"AWS does not know the new key after {VALID_SECONDS} s: `make credentials` makes another.")
