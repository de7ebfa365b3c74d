"""ansible/inventory.py: Terraform's outputs as Ansible takes an inventory."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

INVENTORY = Path(__file__).resolve().parents[3] / "ansible" / "inventory.py"


def host(name: str, private_ip: str, public_ip: str | None) -> dict[str, Any]:
    return {"name": name, "id": f"i-{name}", "private_ip": private_ip, "public_ip": public_ip}


@pytest.fixture
def outputs() -> dict[str, Any]:
    """The outputs of a cluster of one master and two workers, one of them without a public address."""
    return {
        "cluster_name": "demo",
        "region": "eu-west-1",
        "bucket": "demo-bucket",
        "master": host("master", "10.42.0.10", "198.51.100.10"),
        "workers": [host("worker-1", "10.42.0.11", "198.51.100.11"), host("worker-2", "10.42.0.12", None)],
        "ssh_user": "admin",
        "ssh_key_path": "/home/me/a checkout/.orchard/demo/id_ed25519",
        "ends": {"idle_minutes": 30, "max_age_hours": 12, "deaf_minutes": 20},
        "cloudwatch": True,
    }


class Asked:
    """Runs the inventory as Ansible does, with a `terraform` on PATH that answers what it is given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"PATH": f"{folder}:{Path(sys.executable).parent}:/usr/bin:/bin"}

    def terraform_says(self, outputs: dict[str, Any] | None, error: str = "") -> None:
        answer = self.folder / "answer.json"
        answer.write_text(json.dumps({name: {"value": value} for name, value in (outputs or {}).items()}))
        terraform = self.folder / "terraform"
        terraform.write_text(f"#!/bin/sh\necho '{error}' >&2\ncat {answer}\nexit {1 if error else 0}\n")
        terraform.chmod(0o755)

    def __call__(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, INVENTORY, *(arguments or ["--list"])],
            env=self.environment | environment,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    return Asked(tmp_path)


def listed(asked: Asked, **environment: str) -> Any:
    return json.loads(asked(**environment).stdout)


def test_hosts_are_grouped_and_carry_the_clusters_name(asked: Asked, outputs: dict[str, Any]) -> None:
    asked.terraform_says(outputs)
    inventory = listed(asked)
    assert inventory["master"]["hosts"] == ["demo-master"]
    assert inventory["workers"]["hosts"] == ["demo-worker-1", "demo-worker-2"]
    assert inventory["_meta"]["hostvars"]["demo-worker-1"]["cluster_host"] == "worker-1"


@pytest.mark.parametrize(
    ("told", "spot"), [({"worker_spot": True}, True), ({"worker_spot": False}, False), ({}, False)]
)
def test_whether_workers_are_on_the_spot_market_is_terraform_s_word(
    asked: Asked, outputs: dict[str, Any], told: dict[str, bool], spot: bool
) -> None:
    asked.terraform_says(outputs | told)
    assert listed(asked)["all"]["vars"]["cluster_worker_spot"] is spot


@pytest.mark.parametrize(("told", "has"), [({"worker_tensorflow": True}, True), ({}, False)])
def test_whether_workers_have_tensorflow_is_terraform_s_word(
    asked: Asked, outputs: dict[str, Any], told: dict[str, bool], has: bool
) -> None:
    asked.terraform_says(outputs | told)
    assert listed(asked)["all"]["vars"]["cluster_worker_tensorflow"] is has


def test_ssh_goes_to_the_public_address_and_spark_to_the_private_one(asked: Asked, outputs: dict[str, Any]) -> None:
    asked.terraform_says(outputs)
    master = listed(asked)["_meta"]["hostvars"]["demo-master"]
    assert (master["ansible_host"], master["cluster_private_ip"]) == ("198.51.100.10", "10.42.0.10")


def test_a_host_without_a_public_address_is_reached_at_its_private_one(asked: Asked, outputs: dict[str, Any]) -> None:
    asked.terraform_says(outputs)
    assert listed(asked)["_meta"]["hostvars"]["demo-worker-2"]["ansible_host"] == "10.42.0.12"


def test_a_cluster_without_workers_has_the_group_all_the_same(asked: Asked, outputs: dict[str, Any]) -> None:
    asked.terraform_says(outputs | {"workers": []})
    assert listed(asked)["workers"] == {"hosts": []}


@pytest.mark.parametrize(
    "key", ["/home/me/a checkout/.orchard/demo/id_ed25519", "/home/me/.ssh/id_ed25519", "/it's 100% ü/key"]
)
def test_host_keys_are_looked_for_in_the_clusters_folder_wherever_its_key_lies(
    asked: Asked, outputs: dict[str, Any], key: str
) -> None:
    asked.terraform_says(outputs | {"ssh_key_path": key})
    variables = listed(asked, ORCHARD_TERRAFORM="/home/me/a checkout/terraform")["all"]["vars"]
    options = shlex.split(variables["ansible_ssh_common_args"])
    resolved = subprocess.run(["ssh", "-G", *options, "host"], capture_output=True, text=True, check=True).stdout
    # The folder has a space in its name, which must not become two file names.
    assert "userknownhostsfile /home/me/a checkout/.orchard/demo/known_hosts" in resolved
    # As it reads names: a percent sign begins a token there, and two are one.
    assert f"identityfile {key.replace('%', '%%')}" in resolved


def test_ansible_itself_takes_it(asked: Asked, outputs: dict[str, Any]) -> None:
    asked.terraform_says(outputs)
    listed = subprocess.run(
        [Path(sys.executable).parent / "ansible-inventory", "--inventory", INVENTORY, "--list"],
        env=asked.environment | {"HOME": os.environ["HOME"], "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(listed.stdout)["workers"]["hosts"] == ["demo-worker-1", "demo-worker-2"]
    assert "WARNING" not in listed.stderr


def test_no_cluster_is_one_sentence(asked: Asked) -> None:
    asked.terraform_says({})
    refused = asked(ORCHARD_TERRAFORM="/some/terraform")
    assert refused.returncode == 2
    assert refused.stderr == "No whole cluster is up by the state in /some/terraform: run `make up` first.\n"


def test_no_terraform_is_one_sentence(asked: Asked) -> None:
    refused = asked(PATH="/nowhere")
    assert (refused.returncode, refused.stderr) == (2, "Terraform is not installed: put terraform on PATH.\n")


def test_terraforms_own_reason_is_passed_on(asked: Asked) -> None:
    asked.terraform_says(None, error="Error: Backend initialization required")
    refused = asked(ORCHARD_TERRAFORM="/some/terraform")
    assert refused.returncode == 2
    assert refused.stderr == (
        "Terraform could not read its outputs in /some/terraform (Error: Backend initialization required): "
        "run `terraform init` there.\n"
    )


def test_the_environment_of_whoever_calls_loosens_nothing(asked: Asked, outputs: dict[str, Any]) -> None:
    asked.terraform_says(outputs | {"ssh_proxy_command": "ssh -W '[%h]:%p' ssh://me@jump"})
    variables = listed(asked)["all"]["vars"]
    # An inventory's variables win over ANSIBLE_HOST_KEY_CHECKING and the like.
    assert variables["ansible_host_key_checking"] is True
    assert variables["ansible_ssh_args"] == "-o ControlPath=none"
    options = shlex.split(variables["ansible_ssh_common_args"])
    assert options[:2] == ["-F", str(INVENTORY.with_name("ssh_config"))]
    assert options[-1] == "ProxyCommand=ssh -W '[%h]:%p' ssh://me@jump"


def test_hosts_that_images_are_made_of_are_a_master_and_a_worker_of_their_own(
    asked: Asked, outputs: dict[str, Any]
) -> None:
    bakers = {role: host(f"bake-{role}", "10.42.0.20", None) for role in ("master", "worker")}
    asked.terraform_says(outputs | {"bake": bakers})
    inventory = listed(asked, ORCHARD_BAKING="1")
    assert inventory["master"]["hosts"] == ["demo-bake-master"]
    assert inventory["workers"]["hosts"] == ["demo-bake-worker"]
    # And the cluster's own are not among them; nor they among the cluster's.
    assert set(inventory["_meta"]["hostvars"]) == {"demo-bake-master", "demo-bake-worker"}
    assert listed(asked)["master"]["hosts"] == ["demo-master"]


def test_without_hosts_to_make_images_of_it_is_one_sentence(asked: Asked, outputs: dict[str, Any]) -> None:
    asked.terraform_says(outputs | {"bake": {}})
    done = asked(ORCHARD_BAKING="1")
    assert (done.returncode, done.stderr) == (2, "No hosts are there to make images of: `make bake` makes them.\n")
