"""`make init`: settings from flags and questions; what Terraform refuses is not written."""

from pathlib import Path

import pytest

from scripts import processes, tfvars
from scripts.aws import clients, quotas
from scripts.doctor import look
from scripts.errors import AwsError, InputError, MissingError
from scripts.lifecycle import init
from scripts.processes import Done
from scripts.terraform import validation

WRITTEN = """\
# mine
cluster_name = "fruits"   # short
owner        = "me"
worker_count = 2 # two will do
admin_cidrs = [
  "203.0.113.0/24",
]
budget_email = "me@example.com"
"""


@pytest.fixture
def file(checkout: Path) -> Path:
    """terraform.tfvars, which is not there yet."""
    (checkout / "terraform" / "terraform.tfvars").unlink()
    return checkout / "terraform" / "terraform.tfvars"


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine and an account that are ready."""
    monkeypatch.setattr(init, "check", lambda _: None)


def refuse(_: str) -> None:
    raise InputError("terraform.tfvars: owner takes 1 to 128 letters.")


def test_flags_become_settings_of_the_variables_types(file: Path, unchecked: None) -> None:
    init.init(cluster_name="pears", owner="me", worker_count="3", worker_spot="Yes", budget_email="-")
    settings = tfvars.read()
    assert (settings["cluster_name"], settings["worker_count"], settings["worker_spot"]) == ("pears", 3, True)
    assert settings["region"] == "eu-west-1"
    assert "budget_email" not in settings


@pytest.mark.parametrize(("own", "taken"), [("eu-central-1", "eu-central-1"), ("us-east-1", "eu-west-1")])
def test_the_first_region_is_that_of_the_persons_own_tools_where_it_is_allowed(
    file: Path, unchecked: None, monkeypatch: pytest.MonkeyPatch, own: str, taken: str
) -> None:
    monkeypatch.setenv("AWS_REGION", own)
    init.init(cluster_name="pears", owner="me")
    assert tfvars.read()["region"] == taken


def test_what_terraform_judges_is_what_is_written(file: Path, unchecked: None, settings_checked: list[str]) -> None:
    init.init(cluster_name="pears", owner="me")
    assert settings_checked == [file.read_text()]


@pytest.mark.parametrize("before", [None, WRITTEN])
def test_settings_that_terraform_refuses_are_not_written(
    file: Path, unchecked: None, monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    if before:
        file.write_text(before)
    monkeypatch.setattr(validation, "check", refuse)
    with pytest.raises(InputError) as refused:
        init.init(owner="me#")
    assert refused.value.code == 2
    assert (file.read_text() if file.exists() else None) == before


def test_a_question_without_an_answer_is_named(file: Path, unchecked: None) -> None:
    with pytest.raises(InputError) as refused:
        init.init(cluster_name="pears")
    assert str(refused.value) == "There is no answer to: Who answers for it: a name or an e-mail address, for a tag"
    assert not file.exists()


def test_init_again_keeps_what_it_does_not_ask_for(file: Path, unchecked: None) -> None:
    file.write_text(WRITTEN)
    init.init(worker_count="5", budget_email="-")
    assert file.read_text().startswith(WRITTEN.replace("= 2 #", "= 5 #").partition("budget_email")[0])
    settings = tfvars.read()
    assert settings["admin_cidrs"] == ["203.0.113.0/24"]
    assert settings["budget_email"] is None


def test_one_type_of_workers_as_it_was_spelled_becomes_the_list(file: Path, unchecked: None) -> None:
    file.write_text(f'{WRITTEN}worker_instance_type = "m6i.xlarge"\n')
    init.init(budget_email="-")
    settings = tfvars.read()
    assert (settings["worker_instance_types"], settings["worker_instance_type"]) == (["m6i.xlarge"], None)
    init.init(worker_instance_types="c6i.2xlarge,c5.2xlarge", budget_email="-")
    assert tfvars.read()["worker_instance_types"] == ["c6i.2xlarge", "c5.2xlarge"]


def test_without_terraform_nobody_is_asked_anything(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(program: str) -> str:
        raise MissingError(f"{program} is not installed.")

    monkeypatch.setattr(processes, "need", none)
    with pytest.raises(MissingError) as refused:
        init.init()
    assert (refused.value.code, str(refused.value)) == (3, "terraform is not installed.")


def terraform_version(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(look, "NETWORK", ())
    monkeypatch.setattr(processes, "capture", lambda *_, **__: Done(0, f"Terraform v{version}\non linux_amd64\n"))


ANSWERS = {
    "cluster_name": "fruits",
    "region": "eu-west-1",
    "master_instance_type": "m6i.large",
    "worker_instance_types": ["c6i.2xlarge"],
    "worker_count": 2,
    "worker_spot": False,
    "budget_email": None,
}


def test_everything_that_is_missing_is_named_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terraform_version(monkeypatch, "1.5.7")

    def refuse_them(_: str) -> str:
        raise MissingError("There are no AWS credentials.")

    monkeypatch.setattr(clients, "account", refuse_them)
    with pytest.raises(MissingError) as refused:
        init.check(ANSWERS)
    assert str(refused.value).splitlines()[0].startswith("Terraform 1.5.7 (")
    assert str(refused.value).splitlines()[1] == "There are no AWS credentials."
    assert capsys.readouterr().out.count("NOT READY") == 2


def test_the_quota_is_said_once_tools_and_credentials_are_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terraform_version(monkeypatch, "1.11.4")
    init.check(ANSWERS)
    assert "  quota         18 on-demand vCPUs needed, your quota is 64\n" in capsys.readouterr().out


def test_a_quota_that_does_not_reach_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    terraform_version(monkeypatch, "1.11.4")
    monkeypatch.setattr(quotas, "_allowed", lambda *_: 5)
    with pytest.raises(AwsError) as refused:
        init.check(ANSWERS)
    assert refused.value.code == 4
