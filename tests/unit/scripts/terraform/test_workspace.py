"""Terraform in a cluster's own workspace, with a `terraform` on PATH that records how it was called."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from scripts import console, processes
from scripts.errors import BusyError
from scripts.terraform.errors import TerraformError
from scripts.terraform.workspace import Placement, Plan, Workspace

PROGRAM = """\
#!/bin/sh
echo "$TF_WORKSPACE $*" >> "$ANSWERS/calls"
cat "$ANSWERS/$1" 2>/dev/null
exit "$(cat "$ANSWERS/$1.code" 2>/dev/null || echo 0)"
"""


class Program:
    """The stand-in: what it answers by subcommand, and its calls as they came, each with its workspace in front."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def answers(self, subcommand: str, answer: str, code: int = 0) -> None:
        (self.folder / subcommand).write_text(answer)
        (self.folder / f"{subcommand}.code").write_text(str(code))

    @property
    def calls(self) -> list[str]:
        calls = self.folder / "calls"
        return calls.read_text().splitlines() if calls.exists() else []


@pytest.fixture
def terraform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Terraform with its provider installed."""
    folder = tmp_path / "terraform"
    folder.mkdir()
    (folder / ".terraform.lock.hcl").touch()
    (folder / ".terraform" / "providers").mkdir(parents=True)
    program = tmp_path / "terraform-stand-in"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    answers = tmp_path / "answers"
    answers.mkdir()
    monkeypatch.setattr(processes, "need", lambda _: str(program))
    monkeypatch.setattr(console, "LOGS", tmp_path / "logs")
    monkeypatch.setenv("ANSWERS", str(answers))
    monkeypatch.setenv("ORCHARD_TERRAFORM", str(folder))
    monkeypatch.delenv("TF_WORKSPACE", raising=False)
    console.begin("test", verbose=False)
    return Program(answers)


def planned(tmp_path: Path) -> Plan:
    return Plan({"aws_vpc.cluster[0]": "create"}, {}, {}, True, tmp_path / "next.tfplan")


def event(kind: str, **more: Any) -> str:
    return json.dumps({"type": kind, **more}) + "\n"


def error(summary: str, detail: str = "", address: str = "") -> str:
    diagnostic = {"severity": "error", "summary": summary, "detail": detail, "address": address}
    return event("diagnostic", diagnostic=diagnostic)


def test_a_plan_names_what_is_made_anew_and_what_alone_is_looked_at(terraform: Program) -> None:
    terraform.answers("show", "{}")
    Workspace("fruits").plan({}, replacing=["aws_instance.worker[0]"], targets=["a.b", "c.d[1]"])
    [call, _] = terraform.calls
    assert {word for word in call.split() if word.startswith(("-replace", "-target"))} == {
        "-replace=aws_instance.worker[0]",
        "-target=a.b",
        "-target=c.d[1]",
    }


def test_two_clusters_are_worked_on_from_one_process_whose_own_environment_stays(terraform: Program) -> None:
    terraform.answers("output", '{"region": {"value": "eu-west-1"}}')
    assert Workspace("fruits").outputs() == {"region": "eu-west-1"}
    Workspace("pears").outputs()
    assert [call.split(" ")[0] for call in terraform.calls] == ["fruits", "pears"]
    assert "TF_WORKSPACE" not in os.environ


def test_the_provider_is_installed_before_the_first_command_that_needs_it(terraform: Program, tmp_path: Path) -> None:
    (tmp_path / "terraform" / ".terraform" / "providers").rmdir()
    terraform.answers("output", "{}")
    Workspace("fruits").outputs()
    assert [call.split(" ")[1] for call in terraform.calls] == ["init", "output"]
    assert "-lockfile=readonly" in terraform.calls[0]


def test_a_plan_says_what_would_change_by_which_settings(terraform: Program) -> None:
    changes = [
        {"address": "aws_vpc.cluster[0]", "change": {"actions": ["create"], "after": {"cidr_block": "10.0.0.0/16"}}},
        {"address": "aws_instance.master", "change": {"actions": ["delete", "create"], "after": None}},
        {"address": "aws_key_pair.cluster", "change": {"actions": ["no-op"], "after": {}}},
        {"address": "data.aws_ami.debian", "change": {"actions": ["read"], "after": {}}},
    ]
    shown = {"resource_changes": changes, "variables": {"region": {"value": "eu-west-1"}}, "applyable": True}
    terraform.answers("show", json.dumps(shown))
    plan = Workspace("fruits").plan({"admin_cidrs": ["203.0.113.7/32"]})
    assert plan.changes == {"aws_vpc.cluster[0]": "create", "aws_instance.master": "replace"}
    assert plan.variables == {"region": "eu-west-1"}
    assert (plan.count("create"), plan.count("delete"), plan.applicable) == (1, 0, True)
    # A plan holds whatever the settings say.
    assert plan.file.stat().st_mode & 0o077 == 0


def test_a_plan_says_what_is_there_which_kind_was_chosen_and_what_is_allowed(terraform: Program) -> None:
    chosen = {"instance_type": "c5.2xlarge", "spot": False, "max_price": None}
    changes = [
        {"address": "aws_instance.master", "change": {"actions": ["no-op"], "before": {"id": "i-0"}, "after": {}}},
        {"address": "aws_instance.worker[0]", "change": {"actions": ["create"], "before": None, "after": {}}},
        {"address": "terraform_data.worker_kind", "change": {"actions": ["create"], "after": {"input": chosen}}},
    ]
    place = {"zone": "eu-west-1b", "worker_instance_type": "c5.2xlarge", "worker_spot": False}
    shown = {
        "resource_changes": changes,
        "variables": {"worker_spot": {"value": True}, "worker_instance_type": {}, "root_volume_gb": {"value": 16}},
        "planned_values": {"outputs": {"placements": {"value": [place]}}},
    }
    terraform.answers("show", json.dumps(shown))
    plan = Workspace("fruits").plan({"placement": place}, ["aws_subnet.public[0]"])
    assert plan.variables == {"worker_spot": False, "worker_instance_type": "c5.2xlarge", "root_volume_gb": 16}
    assert plan.before == {"aws_instance.master": {"id": "i-0"}}
    assert plan.placements == (Placement("eu-west-1b", "c5.2xlarge", False),)
    assert "-replace=aws_subnet.public[0]" in terraform.calls[0].split()


def test_a_plan_says_which_hosts_are_stopped_and_started_again(terraform: Program) -> None:
    def update(address: str, before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
        change = {"actions": ["update"], "before": before, "after": after}
        return {"address": address, "type": address.partition(".")[0], "change": change}

    changes = [
        update("aws_instance.master", {"instance_type": "m6i.large"}, {"instance_type": "m6i.xlarge"}),
        update("aws_instance.worker[0]", {"instance_type": "c6i.large", "tags": {}}, {"instance_type": "c6i.large"}),
        update("terraform_data.applied", {"instance_type": "m6i.large"}, {"instance_type": "m6i.xlarge"}),
    ]
    terraform.answers("show", json.dumps({"resource_changes": changes}))
    assert Workspace("fruits").plan({}).stops == {"aws_instance.master"}


def test_events_of_an_apply_are_handed_on_as_they_come(terraform: Program, tmp_path: Path) -> None:
    terraform.answers("apply", event("apply_start") + "no event\n" + event("apply_complete"))
    heard: list[dict[str, Any]] = []
    Workspace("fruits").apply(planned(tmp_path), heard.append)
    assert [one["type"] for one in heard] == ["apply_start", "apply_complete"]


def test_an_apply_that_fails_gives_terraforms_reason(terraform: Program, tmp_path: Path) -> None:
    terraform.answers("apply", error("api error VcpuLimitExceeded: no", address="aws_instance.master"), code=1)
    with pytest.raises(TerraformError, match="The master could not be started: your account's quota") as failure:
        Workspace("fruits").apply(planned(tmp_path), lambda _: None)
    assert failure.value.code == 4


def test_a_locked_state_is_unlocked_in_the_clusters_own_workspace(terraform: Program) -> None:
    terraform.answers("destroy", error("Error acquiring the state lock", "ID: 8c57-1\nWho: ada\n"), code=1)
    with pytest.raises(BusyError, match="TF_WORKSPACE=fruits terraform force-unlock 8c57-1"):
        Workspace("fruits").destroy(lambda _: None)


def test_resources_of_the_state_are_listed_without_what_was_only_read(terraform: Program) -> None:
    terraform.answers("state", "aws_vpc.cluster[0]\ndata.aws_ami.debian\n")
    assert Workspace("fruits").state_list() == ["aws_vpc.cluster[0]"]


def test_the_zone_is_that_of_the_network_that_is_there(terraform: Program) -> None:
    terraform.answers("state", "")
    assert Workspace("fruits").zone() is None

    def subnet(mode: str, name: str, zone: str) -> dict[str, Any]:
        instances = [{"index_key": 0, "attributes": {"availability_zone": zone}}]
        return {"mode": mode, "type": "aws_subnet", "name": name, "instances": instances}

    gone = subnet("managed", "public", "") | {"instances": []}
    for resources, zone in (
        ([subnet("data", "existing", "eu-west-1a"), subnet("managed", "public", "eu-west-1b")], "eu-west-1b"),
        ([subnet("data", "existing", "eu-west-1a"), gone], None),
    ):
        terraform.answers("state", json.dumps({"version": 4, "resources": resources}))
        assert Workspace("fruits").zone() == zone


def test_nothing_to_forget_is_no_command(terraform: Program) -> None:
    Workspace("fruits").forget([])
    assert terraform.calls == []
    Workspace("fruits").forget(["aws_s3_bucket.data"])
    [call] = terraform.calls
    assert call.startswith("fruits state rm ")
    assert call.endswith(" aws_s3_bucket.data")


def test_a_refresh_changes_nothing_but_the_state(terraform: Program) -> None:
    Workspace("fruits").refresh()
    [call] = terraform.calls
    assert call.startswith("fruits apply ")
    assert "-refresh-only" in call
