"""`make down`: what goes, what stays, and when nothing is touched."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scripts.aws import resource_removal, resources
from scripts.aws.bucket import Bucket
from scripts.aws.resources import Resource
from scripts.cluster import Cluster
from scripts.errors import AwsError, BusyError
from scripts.images import shelf
from scripts.lifecycle import down
from scripts.money import ledger
from tests.doubles.fake_terraform import FakeTerraform
from tests.unit.scripts.conftest import REGION
from tests.unit.scripts.lifecycle.conftest import NAME, TAGS, FakeHosts
from tests.unit.scripts.money.ledger_entries import ENTRY, of_time

BUCKET = f"orchard-{NAME}-1"

Aws = Callable[[str], Any]


@pytest.fixture
def bucket(aws: Aws) -> str:
    """The cluster's bucket with an object in it."""
    s3 = aws("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_tagging(Bucket=BUCKET, Tagging={"TagSet": TAGS})
    s3.put_object(Bucket=BUCKET, Key="runs/r/run.json", Body=b"x" * 3_000_000)
    return BUCKET


@pytest.fixture
def lost_vpc(aws: Aws) -> str:
    """A network that carries the cluster's tags, and that no state knows of."""
    tagged = [{"ResourceType": "vpc", "Tags": TAGS}]
    return str(aws("ec2").create_vpc(CidrBlock="10.9.0.0/24", TagSpecifications=tagged)["Vpc"]["VpcId"])


def end_with_the_state(terraform: FakeTerraform, cluster: Cluster, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the instances end when Terraform destroys what it knows."""
    destroy = terraform.destroy

    def destroy_them(on_event: Any) -> None:
        destroy(on_event)
        aws("ec2").terminate_instances(InstanceIds=[host.id for host in cluster.hosts])

    monkeypatch.setattr(terraform, "destroy", destroy_them)


def states(aws: Aws, cluster: Cluster) -> set[str]:
    found = aws("ec2").describe_instances(InstanceIds=[host.id for host in cluster.hosts])["Reservations"]
    return {instance["State"]["Name"] for group in found for instance in group["Instances"]}


def test_everything_goes_but_the_bucket_whose_price_is_said(
    cluster: Cluster,
    terraform: FakeTerraform,
    bucket: str,
    hosts: FakeHosts,
    aws: Aws,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    end_with_the_state(terraform, cluster, aws, monkeypatch)
    cluster.known_hosts.parent.mkdir(parents=True, exist_ok=True)
    cluster.known_hosts.write_text(f"{cluster.master.id},{cluster.master.address} ssh-ed25519 AAAA\n")
    credentials = cluster.folder / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    credentials.write_text(f"[mine]\nx = y\n[orchard-{NAME}]\naws_secret_access_key = secret\n")
    for key in ("id_ed25519", "id_ed25519.pub", "jupyter.html", "spark-remote.sh"):
        (cluster.folder / key).write_text("key")
    down.down()
    # No secret of the cluster's stays on this machine, and the person's own do.
    assert credentials.read_text() == "[mine]\nx = y\n"
    assert [file.name for file in cluster.folder.iterdir() if file.read_text() == "key"] == []
    assert hosts.steps == ["end the stretch: make down was begun", "save the logs"]
    # Before Terraform destroys anything, the bucket is out of its hands.
    assert terraform.calls == ["forget aws_s3_bucket.data", "destroy"]
    assert states(aws, cluster) == {"terminated"}
    assert [found["Name"] for found in aws("s3").list_buckets()["Buckets"]] == [bucket]
    assert cluster.known_hosts.read_text().strip() == ""
    said = capsys.readouterr().out
    assert "3 resources destroyed" in said
    assert f"Swept from this machine: the cluster's key pair and the AWS profile orchard-{NAME}.\n" in said
    assert f"nothing of cluster {NAME} is left in {REGION}" in said
    assert f"The bucket {BUCKET} stays with 2 objects and versions (3.0 MB)" in said


def test_a_run_at_work_ends_kindly_before_its_cluster_goes(
    cluster: Cluster, terraform: FakeTerraform, hosts: FakeHosts, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_with_the_state(terraform, cluster, aws, monkeypatch)
    hosts.at_work = ["run r-1"]
    monkeypatch.setenv("YES", "1")
    down.down()
    assert hosts.steps == ["end the runs", "end the stretch: make down was begun", "save the logs"]


def test_with_a_run_at_work_and_nobody_to_answer_nothing_is_changed(
    cluster: Cluster, terraform: FakeTerraform, hosts: FakeHosts, aws: Aws
) -> None:
    hosts.at_work = ["run r-1"]
    before = dict(terraform.state)
    with pytest.raises(BusyError) as refused:
        down.down()
    assert refused.value.code == 8
    assert str(refused.value) == (
        "At work on the cluster: run r-1. Take the cluster down all the same? Nobody is here to answer: say YES=1 to "
        "go on."
    )
    assert (terraform.state, terraform.calls, hosts.steps) == (before, [], [])
    assert states(aws, cluster) == {"running"}


def test_what_is_left_in_the_end_is_named_and_the_end_is_4(
    cluster: Cluster, terraform: FakeTerraform, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Terraform says that all is destroyed; the instances are there all the same, and nothing helps.
    monkeypatch.setenv("YES", "1")
    monkeypatch.setattr(resource_removal, "remove", lambda *_: None)
    with pytest.raises(AwsError) as failure:
        down.down()
    assert failure.value.code == 4
    left = [host.id for host in cluster.hosts]
    assert all(f"instance {identity}" in str(failure.value) for identity in left)
    assert str(failure.value).startswith("Still there, and paid for: ")


def test_what_the_state_does_not_know_goes_only_when_that_is_allowed(
    terraform: FakeTerraform, lost_vpc: str, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_there() -> bool:
        return lost_vpc in {vpc["VpcId"] for vpc in aws("ec2").describe_vpcs()["Vpcs"]}

    with pytest.raises(BusyError, match=f"AWS still has VPC {lost_vpc}, which carry the cluster's tags") as refused:
        down.down()
    assert refused.value.code == 8
    assert is_there()
    monkeypatch.setenv("YES", "1")
    down.down()
    assert not is_there()


def test_a_bucket_is_deleted_for_good_only_when_that_is_allowed(
    cluster: Cluster,
    terraform: FakeTerraform,
    bucket: str,
    aws: Aws,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(BusyError, match=f"Delete the bucket {BUCKET} with 1 objects and versions .*, for good"):
        down.down(purge=True)
    assert terraform.calls == []
    assert states(aws, cluster) == {"running"}
    end_with_the_state(terraform, cluster, aws, monkeypatch)
    monkeypatch.setenv("YES", "1")
    down.down(purge=True)
    assert aws("s3").list_buckets()["Buckets"] == []


def test_a_cluster_that_is_half_made_is_taken_down_without_its_hosts(
    terraform: FakeTerraform, hosts: FakeHosts
) -> None:
    terraform.state = {"aws_vpc.cluster[0]": "vpc-1"}
    down.down()
    assert (terraform.state, hosts.steps) == ({}, [])


def stretch_of(cluster: Cluster, minutes_ago: tuple[int, int], **more: Any) -> tuple[str, dict[str, Any]]:
    """A stretch of this cluster's that began and was last seen so many minutes ago; open, unless it is said."""
    started, seen = (datetime.now(UTC) - timedelta(minutes=ago) for ago in minutes_ago)
    key, entry = of_time(f"{started:%Y-%m-%dT%H:%M}", f"{seen:%Y-%m-%dT%H:%M}", ENTRY)
    return key, entry | {"hosts": [ENTRY["hosts"][0] | {"id": cluster.master.id}]} | more


def ended(minutes_ago: int) -> dict[str, str]:
    at = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    return {"ended_at": f"{at:%Y-%m-%dT%H:%M:00+00:00}", "why": "idle for 30 minutes"}


@pytest.fixture
def gone(cluster: Cluster, terraform: FakeTerraform, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that goes with Terraform's state; every question is answered yes."""
    end_with_the_state(terraform, cluster, aws, monkeypatch)
    monkeypatch.setenv("YES", "1")


def test_it_ends_with_the_clusters_whole_life_and_closes_what_is_open(
    cluster: Cluster, gone: None, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger_of = Bucket(bucket, REGION)
    # Stopped for two hours in between; seen an hour ago, and at the hour's average since then.
    ledger_of.write_json(*stretch_of(cluster, (480, 360), **ended(360)))
    key, entry = stretch_of(cluster, (240, 60))
    ledger_of.write_json(key, entry)
    down.down()
    [_, closed] = ledger.entries(ledger_of, NAME)
    assert (closed.why, closed.work_hours) == ("make down", 1.5)
    assert closed.idle_hours == pytest.approx(0.5 + 1, abs=0.05)
    assert closed.gone_at is not None
    said = capsys.readouterr().out.splitlines()
    life = next(number for number, line in enumerate(said) if line.startswith(f"Cluster {NAME} from "))
    assert said[life].endswith(": 5.0 hours up, 3.0 at work and 2.0 idle.")
    assert said[life + 1].startswith("  work 6.00 USD, idling 4.0")
    assert "storage (disks) 0.70 USD" in said[life + 1]
    assert said[life + 2].startswith("  Spot saved 2.0")
    assert said[life + 4].startswith(f"The bucket {bucket} stays")


def test_it_is_said_before_a_purge_and_once_more_where_the_cluster_is_gone_already(
    cluster: Cluster, gone: None, bucket: str, terraform: FakeTerraform, capsys: pytest.CaptureFixture[str]
) -> None:
    Bucket(bucket, REGION).write_json(*stretch_of(cluster, (240, 60)))
    down.down()
    first = capsys.readouterr().out
    terraform.cluster_outputs = {}
    down.down(purge=True)
    again = capsys.readouterr().out
    [life] = [line for line in first.splitlines() if line.startswith(f"Cluster {NAME} from ")]
    assert life in again
    assert again.index(life) < again.index(f"bucket {bucket} deleted")


def test_hosts_that_were_stopped_before_cost_their_disks_alone_since_then(
    cluster: Cluster, gone: None, bucket: str, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger_of = Bucket(bucket, REGION)
    ledger_of.write_json(*stretch_of(cluster, (240, 120)))
    stopped = datetime.now(UTC) - timedelta(minutes=60)
    monkeypatch.setattr(ledger, "stopped_at", lambda _: stopped)
    aws("ec2").stop_instances(InstanceIds=[host.id for host in cluster.hosts])
    down.down()
    [closed] = ledger.entries(ledger_of, NAME)
    assert closed.ended_at == stopped.replace(microsecond=0)
    assert closed.hours == pytest.approx(3, abs=0.05)
    assert closed.gone_at is not None
    assert (closed.gone_at - closed.ended_at).total_seconds() == pytest.approx(3600, abs=120)


def test_a_cluster_that_is_gone_already_ran_until_its_keepers_last_word(
    cluster: Cluster, gone: None, bucket: str, terraform: FakeTerraform
) -> None:
    ledger_of = Bucket(bucket, REGION)
    key, entry = stretch_of(cluster, (240, 120))
    ledger_of.write_json(key, entry)
    terraform.cluster_outputs = {}
    down.down()
    [closed] = ledger.entries(ledger_of, NAME)
    assert (closed.hours, closed.ended_at) == (2.0, closed.seen_at)
    # Once it is said when its disks went, that stays.
    told = entry | ended(120) | {"gone_at": ended(60)["ended_at"]}
    ledger_of.write_json(key, told)
    down.down()
    assert ledger_of.read_json(key) == told


def test_a_ledger_that_cannot_be_read_is_a_warning(
    cluster: Cluster, gone: None, bucket: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any) -> None:
        raise AwsError("AWS would not list it.")

    monkeypatch.setattr(ledger, "entries", refuse)
    down.down()
    said = capsys.readouterr()
    assert said.err == "What the cluster has cost is not known: AWS would not list it.\n"
    assert f"The bucket {bucket} stays" in said.out


def test_what_was_destroyed_and_is_listed_for_a_while_is_waited_for_and_not_asked_about(
    cluster: Cluster, terraform: FakeTerraform, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_with_the_state(terraform, cluster, aws, monkeypatch)
    late = [Resource("VPC", "id-of-aws_vpc.cluster[0]"), Resource("IAM role", "orchard-fruits-nodes")]
    terraform.state["aws_iam_role.nodes"] = "orchard-fruits-nodes"
    looks = [late, late[:1], late[:1]]
    of_cluster = resources.of_cluster
    monkeypatch.setattr(resources, "of_cluster", lambda *asked: looks.pop(0) if looks else of_cluster(*asked))
    down.down()
    assert looks == []


def test_a_cluster_that_stopped_by_itself_goes_and_its_ledger_is_closed(
    cluster: Cluster,
    terraform: FakeTerraform,
    hosts: FakeHosts,
    aws: Aws,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    aws("ec2").stop_instances(InstanceIds=[host.id for host in cluster.hosts])
    kept = Bucket(bucket, REGION)
    key, content = of_time("2026-03-01T00:00", "2026-03-01T01:00", ENTRY)
    content["hosts"] = [content["hosts"][0] | {"id": cluster.master.id}]
    kept.write_json(key, content)
    end_with_the_state(terraform, cluster, aws, monkeypatch)
    down.down()
    assert "end the stretch: make down was begun" not in hosts.steps
    assert kept.read_json(key)["why"].startswith("unknown: its keeper said nothing")


def test_images_stay_with_their_price_and_go_at_a_purge(
    terraform: FakeTerraform, bucket: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left = ["ami-1", "ami-2"]
    monkeypatch.setattr(shelf, "cost", lambda *_: "Images: 2 snapshots cost." if left else None)
    monkeypatch.setattr(shelf, "images", lambda *_: left)
    monkeypatch.setattr(shelf, "remove_all", lambda *_: [left.pop() for _ in list(left)])
    down.down()
    assert (len(left), "Images: 2 snapshots cost.\n" in capsys.readouterr().out) == (2, True)
    monkeypatch.setenv("YES", "1")
    down.down(purge=True)
    assert left == []
    assert "2 images and their snapshots deleted" in capsys.readouterr().out
