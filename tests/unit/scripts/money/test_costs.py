"""`make costs`: which buckets and clusters it reads, what it says, and what it does without settings."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.aws import clients
from scripts.aws.bucket import Bucket
from scripts.errors import AwsError, InputError
from scripts.money import costs
from tests.unit.scripts.conftest import REGION
from tests.unit.scripts.money.ledger_entries import CLOSED, ENTRY, of_time

Aws = Callable[[str], Any]


def bucket(aws: Aws, name: str, region: str = REGION, project: str = "orchard") -> Bucket:
    where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    clients.client("s3", region).create_bucket(Bucket=name, **where)
    aws("s3").put_bucket_tagging(Bucket=name, Tagging={"TagSet": [{"Key": "Project", "Value": project}]})
    return Bucket(name, region)


def said(capsys: pytest.CaptureFixture[str], as_json: bool = False) -> Any:
    costs.show(as_json)
    out = capsys.readouterr().out
    return json.loads(out) if as_json else out.splitlines()


def test_every_cluster_of_the_account_is_added_up_by_month(aws: Aws, capsys: pytest.CaptureFixture[str]) -> None:
    mine = bucket(aws, "orchard-fruits-1-eu-west-1")
    mine.write_json(*of_time("2026-01-31T21:00", "2026-02-01T01:00", CLOSED | {"why": "make down"}))
    mine.write_json(*of_time("2026-02-03T10:00", "2026-02-03T12:00", CLOSED | {"why": "make down", "cluster": "pears"}))
    again = bucket(aws, "orchard-fruits-2-eu-west-1")
    again.write_json(*of_time("2026-02-05T10:00", "2026-02-05T12:00", CLOSED | {"why": "make down"}))
    # Each is read through its own region, and what is not Orchard's is left alone.
    far = bucket(aws, "orchard-fruits-1-us-east-1", "us-east-1")
    far.write_json(*of_time("2026-02-03T10:00", "2026-02-03T12:00", CLOSED | {"why": "make down"}))
    for name, project in (("orchard-of-somebody", "other"), ("fruits", "orchard")):
        bucket(aws, name, project=project).write_json(*of_time("2026-02-03T10:00", "2026-02-03T12:00"))
    assert said(capsys) == [
        "MONTH    CLUSTER  REGION     HOURS  WORK   IDLE  DISKS  ADDRESSES  REQUESTS  TOGETHER  SPOT SAVED",
        "2026-01  fruits   eu-west-1  1.5    2.25   0.75  0.15   0.30       <0.01     3.45      0.60",
        "2026-02  fruits   eu-west-1  2.5    3.75   1.25  0.25   0.50       <0.01     5.75      1.00",
        "2026-02  fruits   us-east-1  2.0    3.00   1.00  0.20   0.40       <0.01     4.60      0.80",
        "2026-02  pears    eu-west-1  2.0    3.00   1.00  0.20   0.40       <0.01     4.60      0.80",
        "all                          8.0    12.00  4.00  0.80   1.60       <0.01     18.40     3.20",
        costs.reckoning.NOT_A_BILL,
    ]


def test_a_cluster_that_is_up_has_a_line_and_so_has_one_that_has_fallen_silent(
    aws: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    now = datetime.now(UTC)
    ago = [(now - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M") for minutes in (5, 40, 180)]
    mine = bucket(aws, "orchard-fruits-1")
    mine.write_json(*of_time(ago[2], ago[0], ENTRY))
    mine.write_json(*of_time(ago[2], ago[1], ENTRY | {"cluster": "pears"}))
    start, seen, silent = (f"{at.replace('T', ' ')} UTC" for at in (ago[2], ago[0], ago[1]))
    assert said(capsys)[-3:-1] == [
        f"Cluster fruits in {REGION} is up since {start}: 4.60 USD by {seen}.",
        f"Cluster pears in {REGION} has no end, and its keeper has been silent since {silent}: 4.60 USD until then.",
    ]
    found = said(capsys, as_json=True)
    assert [(up["cluster"], up["is_silent"], up["together"]) for up in found["open"]] == [
        ("fruits", False, pytest.approx(4.601)),
        ("pears", True, pytest.approx(4.601)),
    ]
    assert sum(row["together"] for row in found["rows"]) == pytest.approx(2 * 4.601)
    assert (found["currency"], found["doubts"]) == ("USD", [])


def test_disks_of_a_cluster_that_stands_stopped_count_until_now(
    aws: Aws, instances: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    aws("ec2").stop_instances(InstanceIds=instances)
    ended = datetime.now(UTC) - timedelta(hours=10)
    started = ended - timedelta(hours=2)
    key, entry = of_time(started.strftime("%Y-%m-%dT%H:%M"), ended.strftime("%Y-%m-%dT%H:%M"))
    mine = bucket(aws, "orchard-fruits-1")
    mine.write_json(key, entry | {"hosts": [entry["hosts"][0] | {"id": instances[0]}]})
    assert sum(row["disks"] for row in said(capsys, as_json=True)["rows"]) == pytest.approx(0.2 + 1.0, abs=0.01)
    # Somebody ended them by hand.
    aws("ec2").terminate_instances(InstanceIds=instances)
    found = said(capsys, as_json=True)
    assert sum(row["disks"] for row in found["rows"]) == pytest.approx(0.2)
    assert found["doubts"][0].startswith("When the disks of cluster fruits went after ")


def test_whoever_may_not_ask_ec2_reads_the_ledger_all_the_same(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "UnauthorizedOperation", "Message": "No."}}, "DescribeInstances")

    monkeypatch.setattr(clients.client("ec2", REGION), "describe_instances", refuse)
    bucket(aws, "orchard-fruits-1").write_json(*of_time("2026-02-03T10:00", "2026-02-03T12:00"))
    found = said(capsys, as_json=True)
    assert found["rows"][0]["together"] == pytest.approx(4.601)
    assert len(found["doubts"]) == 1


def test_a_bucket_that_cannot_be_read_is_named_and_the_others_count(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("orchard-fruits-1", "orchard-pears-1"):
        bucket(aws, name).write_json(*of_time("2026-02-03T10:00", "2026-02-03T12:00", CLOSED | {"why": "make down"}))
    folders = Bucket.folders

    def closed(self: Bucket, folder: str) -> list[str]:
        if "pears" in self.name:
            raise AwsError("AWS would not list it.")
        return folders(self, folder)

    monkeypatch.setattr(Bucket, "folders", closed)
    printed = said(capsys)
    assert printed[-2] == "The bucket orchard-pears-1 is left out: AWS would not list it."
    assert printed[-3].startswith("all")


def test_nothing_is_one_sentence(aws: Aws, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys) == [costs.NOTHING]
    bucket(aws, "orchard-fruits-1").write_json("ledger/fruits/x.json", {"version": 1})
    assert said(capsys) == [costs.NOTHING]


def test_without_settings_the_region_is_that_of_awss_own_tools(
    checkout: Path, aws: Aws, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / "terraform" / "terraform.tfvars").unlink()
    monkeypatch.setenv("AWS_CONFIG_FILE", str(checkout / "none"))
    with pytest.raises(InputError, match=r"^No AWS region is set: `aws configure` or AWS_DEFAULT_REGION names one, "):
        costs.show(False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    mine = bucket(aws, "orchard-fruits-1")
    mine.write_json(*of_time("2026-02-03T10:00", "2026-02-03T12:00", CLOSED | {"why": "make down"}))
    assert said(capsys)[1].startswith(f"2026-02  fruits   {REGION}")
