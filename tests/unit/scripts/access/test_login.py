"""scripts.access.login: asked once, and lent to a child for as long as it works."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.credentials import RefreshableCredentials

from scripts import console
from scripts.access import login
from scripts.aws import clients
from scripts.errors import MissingError

REGION = "eu-west-1"
CONFIG = """\
[default]
aws_access_key_id = AKIAEXAMPLE
aws_secret_access_key = secret
[profile work]
role_arn = arn:aws:iam::123456789012:role/administrator
mfa_serial = arn:aws:iam::123456789012:mfa/ada
source_profile = default
region = eu-central-1
"""


@pytest.fixture
def profile(mocked_aws: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A profile whose role wants a code, and no login of another test."""
    (tmp_path / "config").write_text(CONFIG)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_PROFILE", "work")
    monkeypatch.setattr(login, "CLI_CACHE", tmp_path / "cache")
    clients.forget()
    yield
    clients.forget()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the person was asked; the answer is always a code."""
    questions: list[str] = []
    monkeypatch.setattr(console, "enquire_secret", lambda question: questions.append(question) or "123456")
    return questions


@pytest.mark.usefixtures("profile")
def test_a_role_with_mfa_asks_once_however_many_services_are_asked(asked: list[str]) -> None:
    assert clients.account(REGION) == "123456789012"
    clients.client("s3", REGION).list_buckets()
    clients.client("ec2", "eu-central-1").describe_instances()
    with login.lent() as lent:
        fetch(lent)
    assert asked == ["Enter MFA code for arn:aws:iam::123456789012:mfa/ada: "]


@pytest.mark.usefixtures("profile")
def test_where_the_aws_cli_keeps_roles_the_next_command_asks_for_no_code(asked: list[str], tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    clients.account(REGION)
    clients.forget()
    clients.account(REGION)
    assert len(asked) == 1


@pytest.mark.usefixtures("profile")
def test_nobody_at_the_terminal_is_told_what_aws_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingError, match=r"nobody is at the terminal: Enter MFA code for .*:mfa/ada\.$"):
        clients.account(REGION)


@pytest.mark.usefixtures("profile")
def test_the_region_is_that_of_aws_s_own_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    assert login.region() == "eu-central-1"
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    assert login.region() == "eu-north-1"


def keys(number: int, seconds: float) -> dict[str, str]:
    ends = datetime.now(UTC) + timedelta(seconds=seconds)
    return {"access_key": f"K{number}", "secret_key": "s", "token": f"t{number}", "expiry_time": ends.isoformat()}


@pytest.fixture
def renewed(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], list[int]]:
    """A login whose keys live for so many seconds; gives how often it was renewed."""

    def lives(seconds: float) -> list[int]:
        times: list[int] = []

        def renew() -> dict[str, str]:
            times.append(1)
            return keys(len(times), seconds)

        made = RefreshableCredentials.create_from_metadata(keys(0, seconds), renew, "test")
        session = type("Session", (), {"get_credentials": lambda _: made})()
        monkeypatch.setattr(login, "session", lambda: session)
        return times

    return lives


def fetch(lent: dict[str, str | None], token: str | None = None) -> Any:
    """What is answered to whoever has this token."""
    headers = {"Authorization": token or lent["AWS_CONTAINER_AUTHORIZATION_TOKEN"] or ""}
    address = urlsplit(lent["AWS_CONTAINER_CREDENTIALS_FULL_URI"] or "").netloc
    with closing(HTTPConnection(address, timeout=10)) as connection:
        connection.request("GET", "/", headers=headers)
        answer = connection.getresponse()
        return json.loads(answer.read()) if answer.status == 200 else answer.status


def test_a_child_has_keys_that_hold_and_new_ones_before_they_end(renewed: Callable[[float], list[int]]) -> None:
    times = renewed(3600)
    with login.lent() as lent:
        assert [fetch(lent)["Token"] for _ in range(2)] == ["t0", "t0"]
    assert times == []
    times = renewed(60)
    with login.lent() as lent:
        assert [fetch(lent)["Token"] for _ in range(2)] == ["t1", "t2"]


def test_aws_s_own_library_in_a_child_takes_them_whatever_profile_the_person_has(
    renewed: Callable[[float], list[int]],
) -> None:
    renewed(3600)
    ask = "import boto3; print(boto3.Session().get_credentials().get_frozen_credentials().access_key)"
    with login.lent() as lent:
        set_names = {name: value for name, value in lent.items() if value is not None}
        environment = {"PATH": "/usr/bin", "AWS_CONFIG_FILE": "/nowhere", **set_names}
        done = subprocess.run([sys.executable, "-c", ask], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "K0\n"
    assert {"AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_ROLE_ARN"} <= {name for name in lent if lent[name] is None}


def test_nobody_without_the_token_has_them_nor_anybody_afterwards(renewed: Callable[[float], list[int]]) -> None:
    renewed(3600)
    with login.lent() as lent:
        assert fetch(lent, token="another") == 403
    with pytest.raises(ConnectionRefusedError):
        fetch(lent)


def test_a_login_that_cannot_be_renewed_is_what_the_person_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.exceptions import SSOTokenLoadError

    def renew() -> dict[str, str]:
        raise SSOTokenLoadError(error_msg="expired")

    made = RefreshableCredentials.create_from_metadata(keys(0, 1), renew, "sso")
    monkeypatch.setattr(login, "session", lambda: type("Session", (), {"get_credentials": lambda _: made})())
    with pytest.raises(MissingError, match=r"^Your AWS login has expired"), login.lent() as lent:
        assert fetch(lent) == 500


def test_keys_that_do_not_end_are_not_lent_for_the_child_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.credentials import Credentials

    session = type("Session", (), {"get_credentials": lambda _: Credentials("K", "s")})()
    monkeypatch.setattr(login, "session", lambda: session)
    with login.lent() as lent:
        assert lent == {}


@pytest.mark.usefixtures("profile")
@pytest.mark.parametrize(
    ("settings", "way"),
    [
        ("login_session = arn:aws:iam::123456789012:user/ada", "run `aws login --profile mine`"),
        (
            "sso_session = company\nsso_account_id = 1\nsso_role_name = x\n"
            "[sso-session company]\nsso_start_url = https://company\nsso_region = eu-west-1",
            "run `aws sso login --profile mine`",
        ),
        ("credential_process = false", "log in again, or mend the profile"),
        ("role_arn = arn:aws:iam::1:role/x\nsource_profile = none", "mend it in ~/.aws/config"),
    ],
)
def test_a_login_that_was_never_made_is_told_with_what_to_type(
    settings: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text(f"[profile mine]\n{settings}\n")
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(MissingError) as refused:
        clients.account(REGION)
    assert way in str(refused.value)
