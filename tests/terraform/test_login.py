"""A login that Terraform itself could not make: a role with a code, asked for once, by this side."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts import console
from scripts.access import login
from scripts.aws import clients
from scripts.terraform.workspace import Workspace
from tests.doubles.aws.double import AwsDouble
from tests.terraform.conftest import Make

NAME = "coded"
CONFIG = """\
[default]
aws_access_key_id = {key}
aws_secret_access_key = secret
[profile work]
role_arn = arn:aws:iam::123456789012:role/administrator
mfa_serial = arn:aws:iam::123456789012:mfa/ada
source_profile = default
"""


@pytest.fixture
def asked(
    make_configuration: Make, aws: AwsDouble, terraform_environment: dict[str, str], tmp_path: Path
) -> Iterator[list[str]]:
    """A person whose profile wants a code: what they were asked."""
    configuration = make_configuration(aws, NAME)
    configuration.init()
    (tmp_path / "config").write_text(CONFIG.format(key=aws.environment()["AWS_ACCESS_KEY_ID"]))
    questions: list[str] = []
    with pytest.MonkeyPatch.context() as patched:
        for name, value in (aws.environment() | terraform_environment).items():
            patched.setenv(name, value)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SHARED_CREDENTIALS_FILE"):
            patched.delenv(name, raising=False)
        patched.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        patched.setenv("AWS_PROFILE", "work")
        patched.setenv("ORCHARD_TERRAFORM", str(configuration.folder))
        patched.setattr(console, "enquire_secret", lambda question: questions.append(question) or "123456")
        patched.setattr(console, "LOGS", tmp_path / "logs")
        patched.setattr(login, "CLI_CACHE", tmp_path / "cache")
        clients.forget()
        yield questions
    clients.forget()


def test_terraform_plans_and_applies_by_a_role_whose_code_was_asked_for_once(asked: list[str], aws: AwsDouble) -> None:
    assert clients.account(aws.region) == "123456789012"
    workspace = Workspace(NAME)
    planned = workspace.plan({}, targets=["aws_iam_role.nodes"])
    workspace.apply(planned, lambda _: None)
    assert aws.client("iam").get_role(RoleName=f"orchard-{NAME}-nodes")
    assert len(asked) == 1
