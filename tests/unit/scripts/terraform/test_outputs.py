"""Terraform's outputs as a cluster."""

from pathlib import Path
from typing import Any

import pytest

from scripts.aws import clients
from scripts.errors import MissingError, NoClusterError
from scripts.terraform import outputs, workspace

OUTPUTS = {
    "cluster_name": "fruits",
    "region": "eu-west-1",
    "bucket": "bucket",
    "master": {"name": "master", "id": "i-0", "private_ip": "10.0.0.10", "public_ip": "203.0.113.10"},
    "workers": [{"name": "worker-1", "id": "i-1", "private_ip": "10.0.0.11", "public_ip": None}],
    "ssh_user": "admin",
    "ssh_key_path": "/keys/id_ed25519",
    "iam_user_name": "person",
    "master_instance_type": "m6i.large",
    "worker_instance_type": "c6i.2xlarge",
    "worker_spot": False,
    "root_volume_gb": 30,
    "tags": {},
}


@pytest.fixture
def answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What Terraform says of the cluster that the settings name."""
    (tmp_path / "terraform.tfvars").write_text('cluster_name = "fruits"\n')
    monkeypatch.setenv("ORCHARD_TERRAFORM", str(tmp_path))
    answer = dict(OUTPUTS)
    monkeypatch.setattr(workspace.Workspace, "outputs", lambda self: answer if self.cluster_name == "fruits" else {})
    return answer


def test_a_cluster_has_its_hosts_with_the_addresses_that_ssh_goes_to(answer: dict[str, Any]) -> None:
    assert [(host.name, host.address) for host in outputs.current().hosts] == [
        ("master", "203.0.113.10"),
        ("worker-1", "10.0.0.11"),
    ]


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ("master", "No cluster is up by the name fruits: run `make up`."),
        ("workers", "Cluster fruits is half made: `make up` goes on with it, `make down` takes it away."),
    ],
)
def test_a_cluster_that_is_not_up_says_what_to_do(answer: dict[str, Any], missing: str, sentence: str) -> None:
    del answer[missing]
    with pytest.raises(NoClusterError) as refused:
        outputs.current()
    assert (refused.value.code, str(refused.value)) == (7, sentence)


@pytest.mark.parametrize("there", ["master", "nothing"])
def test_a_cluster_of_another_account_is_refused_by_name(
    there: str, answer: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer["account"] = "111111111111"
    if there == "nothing":
        del answer["master"]
    monkeypatch.setattr(clients, "account", lambda _: "222222222222")
    monkeypatch.setenv("AWS_PROFILE", "work")
    with pytest.raises(MissingError) as refused:
        outputs.current()
    assert str(refused.value) == (
        "Cluster fruits is in AWS account 111111111111, and profile work in 222222222222: choose the profile of "
        "111111111111 (AWS_PROFILE=name), or another cluster_name in terraform.tfvars. Nothing was touched."
    )
    monkeypatch.setattr(clients, "account", lambda _: "111111111111")
    outputs.check_account("fruits")
