"""`make up`: converges from wherever the last time stopped."""

from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from scripts.aws import resources
from scripts.aws.clients import client
from scripts.cluster import Cluster
from scripts.errors import AwsError, ConfigurationError, InputError
from scripts.hosts import ansible, readiness
from scripts.lifecycle import up
from scripts.money import bounds
from scripts.repair import answering
from scripts.terraform import validation
from tests.doubles.fake_terraform import FakeTerraform
from tests.unit.scripts.conftest import REGION
from tests.unit.scripts.lifecycle.conftest import WISHED, FakeHosts


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts that run as soon as Terraform has made them."""
    monkeypatch.setattr(readiness, "states", lambda cluster: {host.name: "running" for host in cluster.hosts})


def test_a_first_up_makes_the_machines_before_it_works_on_them(
    terraform: FakeTerraform, hosts: FakeHosts, running: None, capsys: pytest.CaptureFixture[str]
) -> None:
    up.up()
    assert list(terraform.state) == list(WISHED)
    assert hosts.steps == ["make the key", "connect", "configure", "verify"]
    said = capsys.readouterr().out
    assert "4 to create; new key" in said
    assert "Next: make upload DATA=folder, then make run." in said


def test_up_goes_on_after_terraform_failed_in_the_middle(
    terraform: FakeTerraform, hosts: FakeHosts, running: None, capsys: pytest.CaptureFixture[str]
) -> None:
    terraform.fails_at = "aws_instance.worker[0]"
    with pytest.raises(AwsError) as failure:
        up.up()
    assert failure.value.code == 4
    assert list(terraform.state) == list(WISHED[:3])
    assert hosts.steps == ["make the key"]
    terraform.fails_at = None
    up.up()
    assert "1 to create" in capsys.readouterr().out
    assert set(terraform.state) == set(WISHED)
    assert hosts.steps[-3:] == ["connect", "configure", "verify"]


def test_up_goes_on_after_ansible_failed(terraform: FakeTerraform, hosts: FakeHosts, running: None) -> None:
    hosts.failing = {"configure": ConfigurationError("worker-1 could not be configured.")}
    with pytest.raises(ConfigurationError):
        up.up()
    assert "verify" not in hosts.steps
    hosts.failing = {}
    up.up()
    assert terraform.calls == ["plan", "apply", "plan"]
    assert hosts.steps[-2:] == ["configure", "verify"]


def test_a_stopped_host_is_started_and_terraform_learns_its_new_address(
    cluster: Cluster, terraform: FakeTerraform, hosts: FakeHosts
) -> None:
    ec2 = client("ec2", REGION)
    ec2.stop_instances(InstanceIds=[cluster.workers[0].id])
    up.up()
    assert terraform.calls == ["plan", "refresh"]
    assert set(readiness.states(cluster).values()) == {"running"}
    assert hosts.steps[-3:] == ["connect", "configure", "verify"]


def test_a_host_that_does_not_come_back_is_replaced_and_nothing_else_is(
    cluster: Cluster,
    terraform: FakeTerraform,
    hosts: FakeHosts,
    running: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def connect(found: Cluster, replace: answering.Replace) -> Cluster:
        return replace([found.workers[0]])

    monkeypatch.setattr(answering, "connect", connect)
    terraform.calls.clear()
    up.up()
    assert terraform.calls == ["plan", "plan", "apply"]
    assert terraform.replaced == ["aws_instance.worker[0]"]
    assert hosts.steps == ["make the key", "configure", "verify"]
    assert " s  1 of 1 done: worker-1 made anew\n" in capsys.readouterr().out


def test_a_worker_that_is_no_more_is_made_anew(
    cluster: Cluster, terraform: FakeTerraform, hosts: FakeHosts, running: None, capsys: pytest.CaptureFixture[str]
) -> None:
    client("ec2", REGION).terminate_instances(InstanceIds=[cluster.workers[0].id])
    # As Terraform's look at AWS has it.
    del terraform.state["aws_instance.worker[0]"]
    up.up()
    assert "1 to create" in capsys.readouterr().out
    assert "aws_instance.worker[0]" in terraform.state
    assert hosts.steps[-3:] == ["connect", "configure", "verify"]


def test_settings_that_terraform_refuses_end_it_before_anything_is_made(
    terraform: FakeTerraform, hosts: FakeHosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: str) -> None:
        raise InputError("terraform.tfvars: root_volume_gb is a whole number.")

    monkeypatch.setattr(validation, "check", refuse)
    with pytest.raises(InputError):
        up.up()
    assert (terraform.calls, hosts.steps) == ([], [])


def notes_of(error: BaseException) -> list[str]:
    """What follows the error's own sentence."""
    return getattr(error, "__notes__", [])


@pytest.mark.parametrize("error", [ConfigurationError("worker-1 could not be configured."), KeyboardInterrupt()])
def test_what_runs_by_then_and_its_price_follow_whatever_ends_it(
    cluster: Cluster, hosts: FakeHosts, running: None, error: BaseException
) -> None:
    hosts.failing = {"configure": error}
    with pytest.raises(type(error)) as ended:
        up.up()
    [note] = notes_of(ended.value)
    ids = [host.id for host in cluster.hosts]
    assert note.startswith(f"Running now: {', '.join(f'{name} (m6i.large)' for name in sorted(ids))}; 0.2")
    assert note.endswith(". `make down` takes it all away.")


def test_hosts_are_called_by_their_names_and_only_those_that_run_are_paid_for(named: Cluster) -> None:
    client("ec2", REGION).stop_instances(InstanceIds=[named.master.id])
    disks, address = 2 * 8 * 0.088 / 730, 0.005
    price = f"{0.107 + address + disks:.2f}"
    [line] = bounds.of_what_runs("fruits")
    assert line.startswith(f"Running now: worker-1 (m6i.large); {price} USD an hour by a table copied on ")


def test_an_up_that_made_nothing_says_nothing_of_what_runs(
    terraform: FakeTerraform, monkeypatch: pytest.MonkeyPatch
) -> None:
    terraform.fails_at = WISHED[0]
    with pytest.raises(AwsError) as failure:
        up.up()
    assert notes_of(failure.value) == []


def test_where_aws_does_not_tell_what_runs_the_error_stays_as_it_is(
    cluster: Cluster, hosts: FakeHosts, running: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: str) -> None:
        raise ClientError({"Error": {"Code": "UnauthorizedOperation"}}, "DescribeInstances")

    monkeypatch.setattr(resources, "instances", refuse)
    hosts.failing = {"configure": ConfigurationError("worker-1 could not be configured.")}
    with pytest.raises(ConfigurationError) as failure:
        up.up()
    assert notes_of(failure.value) == []


def test_settings_that_broke_meanwhile_do_not_hide_the_error(
    cluster: Cluster, running: None, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_and_fail(*_: object) -> int:
        (checkout / "terraform" / "terraform.tfvars").write_text("{")
        raise ConfigurationError("worker-1 could not be configured.")

    monkeypatch.setattr(ansible, "configure", break_and_fail)
    with pytest.raises(ConfigurationError):
        up.up()
