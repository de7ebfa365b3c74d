"""`make plan`: what `up` would do, and what stands in its way."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.aws import account, quotas
from scripts.aws.bucket import Bucket
from scripts.cluster import Cluster
from scripts.errors import AwsError, BusyError, InputError, MissingError
from scripts.images import contents, shelf
from scripts.images.shelf import Image
from scripts.lifecycle import plan, up
from scripts.money import measured
from scripts.money.measured import Measured
from scripts.terraform.workspace import Placement
from tests.doubles.fake_terraform import FakeTerraform
from tests.unit.scripts.conftest import REGION
from tests.unit.scripts.lifecycle.conftest import NAME, TAGS

Aws = Callable[[str], Any]


def test_it_says_what_would_be_made_and_the_price_and_makes_nothing(
    terraform: FakeTerraform, capsys: pytest.CaptureFixture[str]
) -> None:
    plan.plan()
    said = capsys.readouterr().out
    assert "4 to create" in said
    assert "  create: master, worker-1, 2 parts of network, access and storage\n" in said
    assert "Price: 0." in said
    assert (terraform.state, terraform.calls) == ({}, ["plan"])


def test_ssh_is_opened_to_the_address_that_is_given(terraform: FakeTerraform) -> None:
    plan.plan("198.51.100.0/24")
    assert terraform.planned_with == [{"admin_cidrs": ["198.51.100.0/24"]}]


def test_the_bucket_that_an_earlier_cluster_of_this_name_left_is_taken_over(terraform: FakeTerraform, aws: Aws) -> None:
    s3 = aws("s3")
    s3.create_bucket(Bucket=f"orchard-{NAME}-1", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_tagging(Bucket=f"orchard-{NAME}-1", Tagging={"TagSet": TAGS})
    plan.plan()
    assert [variables.get("bucket_adopt") for variables in terraform.planned_with] == [None, True]


def test_a_bucket_of_that_name_that_is_somebody_elses_is_not_taken_over(terraform: FakeTerraform, aws: Aws) -> None:
    region = {"LocationConstraint": REGION}
    aws("s3").create_bucket(Bucket=f"orchard-{NAME}-1", CreateBucketConfiguration=region)
    plan.plan()
    assert len(terraform.planned_with) == 1


def test_a_cluster_of_this_name_that_the_state_does_not_know_is_refused(
    terraform: FakeTerraform, instances: list[str]
) -> None:
    with pytest.raises(BusyError) as refused:
        plan.plan()
    assert refused.value.code == 8
    assert all(identity in str(refused.value) for identity in instances)
    assert str(refused.value).endswith("Choose another cluster_name, or run `make down`.")


def test_what_the_state_knows_is_no_obstacle(cluster: Cluster, terraform: FakeTerraform) -> None:
    terraform.wished.append("aws_instance.worker[1]")
    plan.plan()
    assert terraform.calls == ["plan"]


def test_without_credentials_nothing_is_planned(
    terraform: FakeTerraform, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: str) -> str:
        raise MissingError("There are no AWS credentials on this machine.")

    monkeypatch.setattr(plan.clients, "account", refuse)
    with pytest.raises(MissingError) as refused:
        plan.plan()
    assert refused.value.code == 3
    assert terraform.calls == []


def test_a_quota_that_does_not_reach_is_refused_before_anything_is_made(
    terraform: FakeTerraform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quotas, "_allowed", lambda *_: 9)
    for begin in (plan.plan, up.up):
        with pytest.raises(AwsError, match="10 on-demand vCPUs are needed in eu-west-1 and your quota is 9: ask"):
            begin()
    assert (terraform.state, terraform.calls) == ({}, ["plan", "plan"])


def test_a_quota_of_spot_workers_that_does_not_reach_is_said_where_there_is_another_way(
    terraform: FakeTerraform, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(quotas, "_allowed", lambda _, code: 0 if code == quotas.CODES["spot"] else 64)
    terraform.placements = (Placement(f"{REGION}a", "c6i.2xlarge", True),)
    with pytest.raises(AwsError, match="8 spot vCPUs are needed in eu-west-1 and your quota is 0"):
        plan.plan()
    terraform.placements += (Placement(f"{REGION}a", "c6i.2xlarge", False),)
    plan.plan()
    said = capsys.readouterr().out
    assert "With spot_fallback, `make up` goes on to workers on demand.\n" in said
    assert "Next: make up" in said


def test_a_quota_that_cannot_be_read_is_said_and_stops_nothing(
    terraform: FakeTerraform, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: str) -> int:
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetServiceQuota")

    monkeypatch.setattr(quotas, "_allowed", refuse)
    plan.plan()
    said = capsys.readouterr().out
    assert "Quota: 10 on-demand vCPUs needed; your quota could not be read (AccessDeniedException).\n" in said
    assert "Next: make up" in said


def test_what_the_account_may_not_have_is_refused_before_anything_is_made(
    terraform: FakeTerraform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account, "plan_of_account", lambda: "FREE")
    for begin in (plan.plan, up.up):
        with pytest.raises(InputError, match="Your account is on AWS's free plan, which starts "):
            begin()
    assert (terraform.state, terraform.calls) == ({}, ["plan", "plan"])


def image(made_of: str) -> Image:
    return Image(
        "ami-1", "n", "worker-x86_64-debian12", made_of, datetime(2026, 11, 20, tzinfo=UTC), "available", (), True
    )


def test_new_hosts_start_from_an_image_that_fits_and_a_line_says_so(
    terraform: FakeTerraform, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shelf, "images", lambda *_: [image(contents.of_checkout())])
    monkeypatch.setattr(shelf, "cost", lambda *_: "Images: 1 snapshots cost.")
    terraform.values |= {"aws_instance.master": {"ami": "ami-debian"}, "aws_instance.worker[0]": {"ami": "ami-1"}}
    plan.plan()
    assert terraform.planned_with[0]["baked_images"] == {"worker-x86_64-debian12": "ami-1"}
    said = capsys.readouterr().out
    assert "Hosts start from image ami-1 (worker), baked 2026-11-20.\n" in said
    assert "Images: 1 snapshots cost.\n" in said


def test_an_image_of_another_version_is_named_and_left_alone(
    terraform: FakeTerraform, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shelf, "images", lambda *_: [image("another")])
    terraform.values |= {"aws_instance.worker[0]": {"ami": "ami-debian"}}
    plan.plan()
    assert "baked_images" not in terraform.planned_with[0]
    assert (
        "Image ami-1 (baked 2026-11-20) is of another version of the roles: `make bake` makes a new one.\n"
        in capsys.readouterr().out
    )


def test_of_images_nothing_is_said_where_no_host_is_made(
    cluster: Cluster, terraform: FakeTerraform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "images", lambda *_: [image("another")])
    assert plan.images(plan.plan_for(NAME, "203.0.113.7/32")) == []


def test_of_so_many_pictures_it_says_the_minutes_the_price_and_the_types(
    terraform: FakeTerraform, capsys: pytest.CaptureFixture[str]
) -> None:
    plan.plan(pictures="1000000")
    said = capsys.readouterr().out
    assert re.search(
        r"^1,000,000 pictures at f32 on \d+ c[67]\w\.2xlarge: about \d+ min and \d\.\d\d USD, and", said, re.M
    )
    assert re.search(r"^c7a\.2xlarge  8      861         0\.14           derived$", said, re.M)
    assert said.endswith("Next: make up\n")
    plan.plan()
    assert "pictures" not in capsys.readouterr().out


def test_what_a_run_of_the_account_has_measured_is_preferred_whichever_cluster_it_was(
    terraform: FakeTerraform, aws: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    s3 = aws("s3")
    s3.create_bucket(Bucket="orchard-other-1", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_tagging(Bucket="orchard-other-1", Tagging={"TagSet": [{"Key": "Project", "Value": "orchard"}]})
    at = datetime(2026, 11, 20, tzinfo=UTC)
    measured.keep(Bucket("orchard-other-1", REGION), Measured("c7a.2xlarge", "bf16", 1000.0, 20_622, "full-1", at))
    plan.plan(pictures="1000000", precision="bf16")
    assert re.search(
        r"^c7a\.2xlarge +8 +1,000 +0\.12 +measured, run full-1, 2026-11-20$", capsys.readouterr().out, re.M
    )


def test_where_no_bucket_can_be_read_the_table_is_the_published_one(
    terraform: FakeTerraform, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: str) -> list[Bucket]:
        raise AwsError("AWS does not let you list the account's buckets.")

    monkeypatch.setattr(plan.resources, "buckets_of_project", refuse)
    plan.plan(pictures="1000000")
    said = capsys.readouterr().out
    assert "What runs of this account have measured is not known: AWS does not let you list" in said
    assert "c6i.2xlarge  4      274         0.37           published" in said


def test_a_number_of_pictures_that_is_none_is_refused_before_anything_is_asked(terraform: FakeTerraform) -> None:
    with pytest.raises(InputError, match="PICTURES is a whole number") as refused:
        plan.plan(pictures="1e6")
    assert refused.value.code == 2
    assert terraform.calls == []
