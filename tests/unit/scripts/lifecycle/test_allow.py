"""`make allow`: another address is let in, and nothing else changes."""

from collections.abc import Callable
from typing import Any

import pytest

from scripts.aws import own_address
from scripts.cluster import Cluster
from scripts.errors import BusyError, HostError, NoClusterError
from scripts.hosts import ssh
from scripts.lifecycle import allow
from tests.doubles.fake_terraform import FakeTerraform
from tests.unit.scripts.lifecycle.conftest import NAME

Aws = Callable[[str], Any]


def test_the_rule_alone_is_planned_and_applied(
    cluster: Cluster, terraform: FakeTerraform, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = [f'{allow.RULE}["203.0.113.7/32"]', "aws_instance.worker[9]"]
    terraform.wished += rules
    terraform.calls.clear()
    allow.allow()
    assert terraform.calls == ["plan", "apply"]
    assert terraform.planned_with[-1] == {"admin_cidrs": ["203.0.113.7/32"]}
    assert rules[0] in terraform.state
    assert rules[1] not in terraform.state
    assert "Let in: 203.0.113.7/32\n" in capsys.readouterr().out


def test_what_the_rule_stands_on_is_not_changed_with_it(
    cluster: Cluster, terraform: FakeTerraform, monkeypatch: pytest.MonkeyPatch
) -> None:
    terraform.changed = {"aws_security_group.ssh": "update"}
    plan = terraform.plan
    # As Terraform's own: what a target stands on is planned with it.
    on_it = ["aws_security_group.ssh"]
    monkeypatch.setattr(terraform, "plan", lambda given, targets: plan(given, targets=[*targets, *on_it]))
    with pytest.raises(BusyError, match=r"more than who is let in \(aws_security_group\.ssh\): `make up` does it all"):
        allow.allow()
    assert "apply" not in terraform.calls


def test_without_a_cluster_there_is_nothing_to_open(terraform: FakeTerraform) -> None:
    with pytest.raises(NoClusterError):
        allow.allow()


@pytest.fixture
def firewall(aws: Aws) -> Callable[..., None]:
    """A firewall like the cluster's, open to these networks."""
    ec2 = aws("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.42.0.0/16")["Vpc"]["VpcId"]
    group = ec2.create_security_group(GroupName=f"orchard-{NAME}-ssh", Description="SSH", VpcId=vpc)["GroupId"]

    def open_to(*networks: str) -> None:
        ranges = [{"CidrIp": network} for network in networks]
        permission = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": ranges}
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])

    return open_to


def why(cluster: Cluster, reason: str) -> str:
    return str(ssh.unreachable(cluster, cluster.master, reason))


def test_a_host_that_is_silent_because_the_address_is_another_says_make_allow(
    cluster: Cluster, firewall: Callable[..., None]
) -> None:
    firewall("198.51.100.4/32", "192.0.2.0/24")
    assert why(cluster, ssh.SILENT).endswith(
        "cannot be reached (no answer). Your address is now 203.0.113.7, and the cluster lets in 192.0.2.0/24, "
        "198.51.100.4/32: `make allow` lets you in."
    )
    assert "make allow" not in why(cluster, "connection refused")


def test_where_the_address_is_let_in_it_is_something_else(cluster: Cluster, firewall: Callable[..., None]) -> None:
    firewall("203.0.113.0/24")
    assert why(cluster, ssh.SILENT).endswith("cannot be reached (no answer): `make up` checks and mends.")


def test_an_address_that_nobody_tells_is_no_reason(
    cluster: Cluster, firewall: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> str:
        raise HostError("no network")

    firewall("198.51.100.4/32")
    monkeypatch.setattr(own_address, "own_address", fails)
    assert "make allow" not in why(cluster, ssh.SILENT)


def test_behind_a_proxy_silence_may_be_that_ssh_goes_by_none(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://ada:secret@proxy:3128")
    said = why(cluster, ssh.SILENT)
    assert "ssh goes by no proxy, and HTTPS_PROXY=http://proxy:3128 says that there is one here." in said
    assert "set ssh_proxy_jump in terraform.tfvars" in said
