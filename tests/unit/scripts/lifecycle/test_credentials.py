"""`make credentials`: the person's key is new, works, and is the only one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.cluster import Cluster
from scripts.errors import AwsError
from scripts.lifecycle import credentials

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
    monkeypatch.setattr(credentials, "wait_until", lambda *_, **__: False)
    with pytest.raises(AwsError) as failure:
        credentials.credentials()
    assert failure.value.code == 4
    assert str(failure.value) == "AWS does not know the new key after 0 s: `make credentials` makes another."
    assert file.read_text() == theirs
    assert before in keys(aws)
