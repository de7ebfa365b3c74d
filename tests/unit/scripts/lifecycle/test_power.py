"""`make stop` and `make start`."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scripts.aws import schedules
from scripts.aws.bucket import Bucket
from scripts.cluster import Cluster
from scripts.errors import BusyError, HostError
from scripts.hosts import readiness
from scripts.lifecycle import power, up
from scripts.terraform import outputs
from scripts.terraform.workspace import OnEvent, Plan
from tests.doubles.fake_terraform import FakeTerraform
from tests.unit.scripts.conftest import REGION
from tests.unit.scripts.lifecycle.conftest import FakeHosts

Aws = Callable[[str], Any]


def test_spot_workers_are_given_back_and_the_master_stops(
    cluster: Cluster, terraform: FakeTerraform, capsys: pytest.CaptureFixture[str]
) -> None:
    terraform.cluster_outputs["worker_spot"] = True
    power.stop()
    assert readiness.states(cluster) == {"master": "stopped", "worker-1": "terminated"}
    printed = capsys.readouterr().out
    assert "1 hosts stopped, 1 spot workers given back" in printed
    assert "its disks cost 0.09 USD a day" in printed
    power.stop()
    assert "is stopped already" in capsys.readouterr().out


def test_a_spot_cluster_without_workers_can_be_stopped(cluster: Cluster, terraform: FakeTerraform) -> None:
    terraform.cluster_outputs |= {"worker_spot": True, "workers": []}
    power.stop()
    assert readiness.states(cluster) == {"master": "stopped", "worker-1": "running"}


def test_stop_says_what_the_disks_cost_meanwhile(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    power.stop()
    assert readiness.are_all(cluster, "stopped")
    assert "While it is stopped, its disks cost 0.17 USD a day. Next: make start" in capsys.readouterr().out


def test_stop_closes_the_ledger_and_goes_on_where_the_master_is_deaf(
    cluster: Cluster, hosts: FakeHosts, bucket: Bucket
) -> None:
    power.stop()
    assert hosts.steps == ["keep the files", "end the stretch: make stop"]
    assert bucket.read_json("ledger/fruits/20260101T000000Z.json") == {"why": "make stop"}
    hosts.failing["end the stretch: make stop"] = HostError("master cannot be reached.")
    up.start()
    power.stop()
    assert readiness.are_all(cluster, "stopped")


def test_what_cannot_be_kept_of_a_master_keeps_it_from_no_stop(
    cluster: Cluster, hosts: FakeHosts, capsys: pytest.CaptureFixture[str]
) -> None:
    hosts.failing["keep the files"] = HostError("master cannot be reached.", "no answer")
    power.stop()
    assert readiness.are_all(cluster, "stopped")
    assert "event logs and notebooks were not kept to the last minute: no answer" in capsys.readouterr().out


def test_a_run_that_somebody_would_stop_ends_kindly_before_its_hosts_do(
    cluster: Cluster, hosts: FakeHosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts.at_work = ["run r"]
    monkeypatch.setenv("YES", "1")
    power.stop()
    assert hosts.steps == ["end the runs", "keep the files", "end the stretch: make stop"]
    assert readiness.are_all(cluster, "stopped")


def test_a_worker_that_is_gone_keeps_no_other_host_running(
    cluster: Cluster, terraform: FakeTerraform, aws: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    aws("ec2").terminate_instances(InstanceIds=[cluster.workers[0].id])
    power.stop()
    assert readiness.states(cluster) == {"master": "stopped", "worker-1": "terminated"}
    assert "1 hosts stopped" in capsys.readouterr().out
    terraform.cluster_outputs["worker_spot"] = True
    up_again(aws, cluster)
    power.stop()
    assert readiness.states(cluster)["master"] == "stopped"


def up_again(aws: Aws, cluster: Cluster) -> None:
    aws("ec2").start_instances(InstanceIds=[cluster.master.id])


def test_where_the_master_is_deaf_stop_itself_closes_the_ledger(
    cluster: Cluster, hosts: FakeHosts, bucket: Bucket
) -> None:
    bucket.write_json(LEDGER, entry())
    hosts.failing["end the stretch: make stop"] = HostError("master cannot be reached.")
    power.stop()
    assert bucket.read_json(LEDGER)["why"] == "make stop"


def test_an_earlier_clusters_ledger_is_not_taken_for_this_ones(
    off: Cluster, bucket: Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = [{"name": "master", "id": "i-theirs", "type": "m6i.large", "spot": False, "hours": 1.0}]
    bucket.write_json(LEDGER, entry(hosts=theirs))
    up.start()
    assert "stopped by itself at" not in capsys.readouterr().out
    assert bucket.read_json(LEDGER)["ended_at"] is None


def test_start_makes_spot_workers_anew(
    cluster: Cluster, terraform: FakeTerraform, hosts: FakeHosts, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    terraform.cluster_outputs["worker_spot"] = True
    power.stop()
    # What Terraform finds when it looks: the worker is no more.
    del terraform.state["aws_instance.worker[0]"]
    apply = terraform.apply

    def apply_for_real(planned: Plan, on_event: OnEvent) -> None:
        apply(planned, on_event)
        image = aws("ec2").describe_images()["Images"][0]["ImageId"]
        [made] = aws("ec2").run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"]
        terraform.cluster_outputs["workers"][0]["id"] = made["InstanceId"]

    monkeypatch.setattr(terraform, "apply", apply_for_real)
    up.start()
    assert readiness.are_all(outputs.current(), "running")
    assert hosts.steps[2:] == ["make the key", "connect", "configure", "verify"]


def entry(**changed: Any) -> dict[str, Any]:
    """An entry of the ledger that its keeper has left open."""
    return {
        "version": 1, "cluster": "fruits", "region": REGION, "started_at": "2026-01-01T00:00:00+00:00",
        "seen_at": "2026-01-01T01:00:00+00:00", "ended_at": None, "why": None,
        "hosts": [], "hours": {"work": 0.5, "idle": 0.5}, "currency": None, "usd": None, "spot_saved_usd": None,
        "disks_per_hour": None, "runs": [],
    } | changed  # fmt: skip


LEDGER = "ledger/fruits/20260101T000000Z.json"


@pytest.fixture
def off(cluster: Cluster, aws: Aws, bucket: Bucket) -> Cluster:
    """The cluster, switched off by something else than this laptop."""
    aws("ec2").stop_instances(InstanceIds=[host.id for host in cluster.hosts])
    return cluster


def test_start_says_when_and_why_the_cluster_had_stopped_by_itself(
    off: Cluster, bucket: Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    why = "idle: nothing at work since 10:00 UTC"
    bucket.write_json(LEDGER, entry(ended_at="2026-01-01T01:30:00+00:00", seen_at="2026-01-01T01:30:00+00:00", why=why))
    up.start()
    assert re.search(
        r"^It had stopped by itself at .*\d\d:\d\d: nothing at work since 10:00 UTC\.$", capsys.readouterr().out, re.M
    )


def test_a_stop_that_no_keeper_has_seen_is_settled_by_ec2s_word(
    off: Cluster, bucket: Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket.write_json(LEDGER, entry())
    up.start()
    assert (
        ": its keeper said nothing; somebody stopped it elsewhere, or its hosts were lost." in capsys.readouterr().out
    )
    closed = bucket.read_json(LEDGER)
    stopped = datetime.fromisoformat(closed["ended_at"])
    assert abs(stopped - datetime.now(UTC)) < timedelta(minutes=2)


def test_a_stop_by_aws_at_its_hour_is_told_as_such(
    off: Cluster, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket.write_json(LEDGER, entry())
    monkeypatch.setattr(schedules, "due", lambda *_: datetime.now(UTC))
    up.start()
    assert ": its hosts had not stopped by themselves by the hour that AWS was given." in capsys.readouterr().out


def test_make_stop_is_no_stop_by_itself(off: Cluster, bucket: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    bucket.write_json(LEDGER, entry(ended_at="2026-01-01T01:00:00+00:00", why="make stop"))
    up.start()
    assert "by itself at" not in capsys.readouterr().out


def test_stop_again_changes_nothing_and_says_so(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    power.stop()
    capsys.readouterr()
    power.stop()
    assert capsys.readouterr().out == "Cluster fruits is stopped already. Next: make start\n"


def test_a_run_at_work_is_not_stopped_without_asking(cluster: Cluster, hosts: FakeHosts) -> None:
    hosts.at_work = ["run r-1"]
    with pytest.raises(BusyError) as refused:
        power.stop()
    assert refused.value.code == 8
    assert readiness.are_all(cluster, "running")


def test_start_starts_what_is_stopped_and_verifies_the_cluster(
    cluster: Cluster, terraform: FakeTerraform, hosts: FakeHosts, aws: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    aws("ec2").stop_instances(InstanceIds=[cluster.workers[0].id])
    up.start()
    assert readiness.are_all(cluster, "running")
    assert terraform.calls == ["refresh"]
    assert hosts.steps == ["connect", "verify"]
    assert hosts.holds == ["start", "start no more"]
    assert hosts.told[0]["begins_anew"]
    assert "1 hosts started" in capsys.readouterr().out


def test_start_where_all_run_verifies_the_cluster(
    cluster: Cluster, terraform: FakeTerraform, hosts: FakeHosts, capsys: pytest.CaptureFixture[str]
) -> None:
    up.start()
    assert terraform.calls == []
    assert hosts.steps == ["connect", "verify"]
    assert "all were running" in capsys.readouterr().out
