"""`make credentials`: the person's key is new, works, and is the only one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.cluster import Cluster
from scripts.errors import AwsError, InputError
from scripts.lifecycle import credentials
from tests.doubles.fake_terraform import FakeTerraform

USER = "orchard-fruits-person"

Aws = Callable[[str], Any]


@pytest.fixture(autouse=True)
def person(aws: Aws) -> None:
    """The cluster's IAM user."""
    aws("iam").create_user(UserName=USER)


@pytest.fixture
def file(checkout: Path) -> Path:
    """The person's own credentials, with a profile of theirs."""
    file = checkout / "credentials"
    file.write_text("[work]\naws_access_key_id = THEIRS\n")
    return file


def keys(aws: Aws) -> list[str]:
    return [key["AccessKeyId"] for key in aws("iam").list_access_keys(UserName=USER)["AccessKeyMetadata"]]


class NewKey:
    """A session with a key that AWS refuses so many times before it knows it."""

    def __init__(self, refused: int) -> None:
        self.refused = refused

    def client(self, _: str, **__: object) -> "NewKey":
        return self

    def get_caller_identity(self) -> dict[str, str]:
        self.refused -= 1
        if self.refused >= 0:
            raise ClientError({"Error": {"Code": "InvalidClientTokenId", "Message": "unknown"}}, "GetCallerIdentity")
        return {"Account": "123456789012"}


def test_a_new_key_is_used_once_aws_knows_it(
    cluster: Cluster, aws: Aws, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_key = NewKey(refused=2)
    monkeypatch.setattr("boto3.session.Session", lambda *_, **__: new_key)
    credentials.credentials()
    assert new_key.refused == -1
    assert keys(aws)[0] in file.read_text()


@pytest.mark.parametrize("older", [0, 1, 2])
def test_the_new_key_is_in_the_profile_and_older_ones_are_retired(
    cluster: Cluster, aws: Aws, file: Path, older: int, capsys: pytest.CaptureFixture[str]
) -> None:
    before = [aws("iam").create_access_key(UserName=USER)["AccessKey"]["AccessKeyId"] for _ in range(older)]
    credentials.credentials()
    [key] = keys(aws)
    assert key not in before
    assert f"[orchard-fruits]\naws_access_key_id = {key}\n" in file.read_text()
    assert file.read_text().startswith("[work]\naws_access_key_id = THEIRS\n")
    said = capsys.readouterr().out
    assert key not in said
    assert "Next: AWS_PROFILE=orchard-fruits aws s3 ls s3://orchard-fruits-1/" in said


def test_a_key_that_aws_never_knows_leaves_the_profile_and_the_older_key_alone(
    cluster: Cluster, aws: Aws, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = aws("iam").create_access_key(UserName=USER)["AccessKey"]["AccessKeyId"]
    theirs = file.read_text()
    monkeypatch.setattr(credentials, "VALID_SECONDS", 0)
    monkeypatch.setattr("boto3.session.Session", lambda *_, **__: NewKey(refused=1000))
    with pytest.raises(AwsError) as failure:
        credentials.credentials()
    assert failure.value.code == 4
    assert str(failure.value) == "AWS does not know the new key after 0 s: `make credentials` makes another."
    assert file.read_text() == theirs
    assert keys(aws) == [before]


def test_without_a_user_there_is_no_key_to_make(cluster: Cluster, terraform: FakeTerraform) -> None:
    del terraform.cluster_outputs["iam_user_name"]
    with pytest.raises(InputError, match=r"^Cluster fruits has no IAM user \(iam_user = false\): use your own login"):
        credentials.credentials()
