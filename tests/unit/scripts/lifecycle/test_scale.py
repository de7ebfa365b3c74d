"""`make scale`: workers come, and go once they have handed over."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from scripts import console, tfvars
from scripts.aws.quotas import QuotaError
from scripts.cluster import Cluster, Host
from scripts.errors import BusyError, ConfigurationError, HostError, InputError
from scripts.hosts import readiness
from scripts.hosts.spark_master import MasterState
from scripts.lifecycle import preflight, scale
from scripts.terraform import validation
from scripts.terraform.workspace import Placement
from tests.doubles.fake_terraform import FakeTerraform
from tests.unit.scripts.lifecycle.conftest import WISHED, FakeHosts


class Workers:
    """The master and its workers: who was asked to go, who is still counted on, who cannot be reached."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.looks_until_gone = 2
        self.unreachable = False
        self.master_answers = True

    @contextmanager
    def connect(self, _: Cluster) -> Iterator[Any]:
        yield None

    def ask(self, _: None, host: Host, command: str) -> None:
        if self.unreachable:
            raise HostError(f"{host.name} cannot be reached.", "no answer")
        assert command == "decommission"
        self.asked.append(host.name)

    def state(self, *_: Any) -> MasterState | None:
        self.looks_until_gone -= 1
        alive = frozenset({"10.0.0.11"}) if self.looks_until_gone > 0 else frozenset()
        return MasterState(alive, (), 8) if self.master_answers else None


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Workers:
    """Workers that have handed over by the second look."""
    fake = Workers()
    monkeypatch.setattr(scale, "Hosts", fake.connect)
    monkeypatch.setattr(scale.orchard_run, "ask", fake.ask)
    monkeypatch.setattr(scale.spark_master, "master_state", fake.state)
    monkeypatch.setattr(scale.spark_master, "executors_on", lambda *_: 0)
    return fake


def one_worker_less(terraform: FakeTerraform) -> None:
    """What Terraform wishes, and says, once there is no worker."""
    terraform.wished.remove("aws_instance.worker[0]")


def test_a_number_that_terraform_refuses_leaves_settings_and_workers_alone(
    cluster: Cluster, terraform: FakeTerraform, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(settings: str) -> None:
        assert "worker_count = 101" in settings
        raise InputError("terraform.tfvars: worker_count is a whole number from 0 to 100.")

    monkeypatch.setattr(validation, "check", refuse)
    before = tfvars.text()
    with pytest.raises(InputError) as refused:
        scale.scale("101")
    assert refused.value.code == 2
    assert tfvars.text() == before
    assert (terraform.calls, workers.asked) == ([], [])


def test_a_worker_that_goes_hands_over_before_its_instance_ends(
    cluster: Cluster, terraform: FakeTerraform, workers: Workers, hosts: FakeHosts, capsys: pytest.CaptureFixture[str]
) -> None:
    one_worker_less(terraform)
    worker = cluster.workers[0]
    cluster.known_hosts.parent.mkdir(parents=True, exist_ok=True)
    cluster.known_hosts.write_text(f"{worker.id},{worker.address} ssh-ed25519 AAAA\n")
    scale.scale("0")
    assert workers.asked == ["worker-1"]
    assert workers.looks_until_gone <= 0
    assert tfvars.read()["worker_count"] == 0
    assert "aws_instance.worker[0]" not in terraform.state
    # What stays is not configured anew: a job at work goes on.
    assert hosts.steps == ["verify"]
    assert cluster.known_hosts.read_text().strip() == ""
    said = capsys.readouterr().out
    assert "waiting for worker-1 to finish tasks and hand over" in said
    assert "worker-1 may go" in said


def test_a_worker_that_cannot_be_reached_goes_all_the_same(
    cluster: Cluster, terraform: FakeTerraform, workers: Workers, capsys: pytest.CaptureFixture[str]
) -> None:
    one_worker_less(terraform)
    workers.unreachable = True
    scale.scale("0")
    assert "aws_instance.worker[0]" not in terraform.state
    assert "worker-1 could not be asked to go: no answer" in capsys.readouterr().out


def test_a_worker_that_does_not_end_in_time_goes_all_the_same(
    cluster: Cluster,
    terraform: FakeTerraform,
    workers: Workers,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    one_worker_less(terraform)
    workers.looks_until_gone = 1000
    monkeypatch.setattr(scale, "DECOMMISSION_SECONDS", 0)
    scale.scale("0")
    assert "worker-1 did not finish in 0 s: its tasks are repeated" in capsys.readouterr().out
    assert "aws_instance.worker[0]" not in terraform.state


def test_a_master_that_does_not_answer_ends_it_before_anything_goes(
    cluster: Cluster, terraform: FakeTerraform, workers: Workers
) -> None:
    workers.master_answers = False
    before = tfvars.text()
    with pytest.raises(ConfigurationError, match="The Spark master does not answer"):
        scale.scale("0")
    assert tfvars.text() == before
    assert set(terraform.state) == set(WISHED)


def test_more_workers_are_made_and_configured(
    cluster: Cluster, terraform: FakeTerraform, workers: Workers, hosts: FakeHosts
) -> None:
    terraform.wished.append("aws_instance.worker[1]")
    scale.scale("2")
    assert workers.asked == []
    assert tfvars.read()["worker_count"] == 2
    assert "aws_instance.worker[1]" in terraform.state
    assert hosts.steps == ["make the key", "connect", "configure", "verify"]


def test_a_host_that_was_lost_is_made_and_configured_as_by_up(
    cluster: Cluster, terraform: FakeTerraform, workers: Workers, hosts: FakeHosts
) -> None:
    # As Terraform plans it for a spot worker that AWS took away.
    terraform.wished.append("aws_instance.worker[1]")
    scale.scale("1")
    assert "aws_instance.worker[1]" in terraform.state
    assert hosts.steps == ["make the key", "connect", "configure", "verify"]


def test_a_cluster_that_has_stopped_hands_nothing_over_and_is_started_for_its_new_number(
    cluster: Cluster, terraform: FakeTerraform, workers: Workers, hosts: FakeHosts, aws: Any
) -> None:
    aws("ec2").stop_instances(InstanceIds=[host.id for host in cluster.hosts])
    one_worker_less(terraform)
    terraform.cluster_outputs["workers"] = []
    scale.scale("0")
    assert workers.asked == []
    assert hosts.steps == ["make the key", "connect", "configure", "verify"]
    assert readiness.states(cluster)["master"] == "running"


def test_no_worker_is_sent_away_from_what_is_at_work_unless_somebody_says_so(
    cluster: Cluster, terraform: FakeTerraform, workers: Workers, hosts: FakeHosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_worker_less(terraform)
    hosts.at_work, before = ["run r"], tfvars.text()
    with pytest.raises(BusyError) as refused:
        scale.scale("0")
    assert refused.value.code == 8
    assert str(refused.value).startswith(
        "At work on the cluster: run r. This would delete worker-1. Do it all the same?"
    )
    assert (terraform.calls, workers.asked, tfvars.text()) == (["plan"], [], before)
    # The number that is not in the settings yet.
    assert terraform.planned_with[0]["worker_count"] == 0
    monkeypatch.setenv("YES", "1")
    scale.scale("0")
    assert workers.asked == ["worker-1"]
    assert tfvars.read()["worker_count"] == 0


def test_a_growing_cluster_keeps_its_number_where_a_host_at_work_would_be_replaced(
    cluster: Cluster, terraform: FakeTerraform, workers: Workers, hosts: FakeHosts
) -> None:
    terraform.wished.append("aws_instance.worker[1]")
    # As where another type of worker was written into the settings meanwhile.
    terraform.changed, hosts.at_work, before = {"aws_instance.worker[0]": "replace"}, ["notebook"], tfvars.text()
    with pytest.raises(BusyError, match=r"^At work on the cluster: notebook. This would replace worker-1\. "):
        scale.scale("2")
    assert (terraform.calls, tfvars.text()) == (["plan"], before)


def test_a_question_that_is_left_with_ctrl_c_leaves_the_number_as_it_was(
    cluster: Cluster, terraform: FakeTerraform, hosts: FakeHosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: str) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(console, "ask", interrupted)
    terraform.wished.append("aws_instance.worker[1]")
    terraform.changed, hosts.at_work, before = {"aws_instance.worker[0]": "replace"}, ["notebook"], tfvars.text()
    with pytest.raises(KeyboardInterrupt):
        scale.scale("2")
    assert (terraform.calls, tfvars.text()) == (["plan"], before)


def test_a_question_after_the_machines_were_made_leaves_their_number_in_the_settings(
    cluster: Cluster, terraform: FakeTerraform, hosts: FakeHosts
) -> None:
    terraform.wished.append("aws_instance.worker[1]")
    hosts.failing["connect"] = BusyError("Nothing was rebooted.")
    with pytest.raises(BusyError):
        scale.scale("2")
    assert "aws_instance.worker[1]" in terraform.state
    assert tfvars.read()["worker_count"] == 2


def test_a_quota_that_refuses_it_leaves_the_number_and_another_place_is_planned_for_the_new_one(
    cluster: Cluster, terraform: FakeTerraform, aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    terraform.placements = (Placement("eu-west-3a", "m6i.large", True), Placement("eu-west-3a", "m6i.large", False))
    aws("ec2").terminate_instances(InstanceIds=[terraform.state.pop("aws_instance.worker[0]")])
    terraform.cluster_outputs["workers"] = []
    seen: list[object] = []

    def no_spot(settings: dict[str, Any]) -> None:
        seen.append(tfvars.read()["worker_count"])
        if settings["worker_spot"]:
            raise QuotaError("16 spot vCPUs are needed and your quota is 0.", "spot")

    monkeypatch.setattr(preflight, "check", no_spot)
    scale.scale("2")
    assert seen == [1, 1]
    assert [settings["worker_count"] for settings in terraform.planned_with] == [2, 2]
    assert tfvars.read()["worker_count"] == 2


def test_who_has_said_yes_is_not_asked_again_for_what_comes_with_it(
    cluster: Cluster, terraform: FakeTerraform, workers: Workers, hosts: FakeHosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(console, "ask", lambda question: not asked.append(question))
    one_worker_less(terraform)
    terraform.changed, terraform.stops = {"aws_instance.master": "update"}, frozenset({"aws_instance.master"})
    hosts.at_work = ["run r"]
    scale.scale("0")
    assert asked == [
        "At work on the cluster: run r. This would delete worker-1 and stop and start again master. Do it all the same?"
    ]
    assert hosts.steps == ["end the runs", "make the key", "connect", "configure", "verify"]
