"""A cluster's images in AWS: which are there and fit, what is said of them, how they are made and go."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from scripts.errors import AwsError, BusyError
from scripts.images import shelf
from scripts.images.shelf import Image
from tests.unit.scripts.conftest import REGION

Aws = Callable[[str], Any]
KIND, MADE_OF = "worker-x86_64-debian12", "0123456789abcdef"
IMAGE = Image("ami-1", "n", KIND, MADE_OF, datetime(2026, 11, 20, tzinfo=UTC), "available", ("snap-1",), True)


@pytest.fixture(autouse=True)
def images_as_in_ec2(mocked_aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """moto's mends, for the time of a test; not before the account's list of images is chosen."""
    from moto.ec2.models.amis import Ami, AmiBackend
    from moto.ec2.responses.instances import InstanceResponse

    from tests.doubles.aws import moto_images

    monkeypatch.setattr(AmiBackend, "create_image", AmiBackend.create_image)
    monkeypatch.setattr(Ami, "block_device_mappings", Ami.block_device_mappings)
    monkeypatch.setattr(InstanceResponse, "run_instances", InstanceResponse.run_instances)
    moto_images.apply()
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)


@pytest.fixture
def instance(aws: Aws) -> str:
    """An instance with an encrypted disk."""
    return launched(aws, encrypted=True)


def launched(aws: Aws, encrypted: bool) -> str:
    # Whichever moto knows: its list depends on who has imported it first.
    any_image = aws("ec2").describe_images(Filters=[{"Name": "root-device-type", "Values": ["ebs"]}])["Images"][0]
    disk = {"DeviceName": any_image["RootDeviceName"], "Ebs": {"VolumeSize": 16, "Encrypted": encrypted}}
    made = aws("ec2").run_instances(
        ImageId=any_image["ImageId"], MinCount=1, MaxCount=1, InstanceType="m6i.large", BlockDeviceMappings=[disk]
    )
    return str(made["Instances"][0]["InstanceId"])


def created(instance: str, cluster: str = "fruits", kind: str = KIND, made_of: str = MADE_OF) -> str:
    return shelf.create(REGION, instance, cluster, {"Owner": "me", "ManagedBy": "terraform"}, (kind, made_of))


def test_an_image_is_found_by_its_clusters_tags_and_known_by_what_it_is_made_of(instance: str) -> None:
    made = created(instance)
    created(instance, cluster="fruits-2")
    [found] = shelf.images(REGION, "fruits")
    assert (found.id, found.kind, found.contents, found.state, found.is_closed) == (
        made,
        KIND,
        MADE_OF,
        "available",
        True,
    )
    assert found.name == f"orchard-fruits-{KIND}-{MADE_OF}"
    assert len(found.snapshots) == 1


def test_an_image_of_another_account_with_its_name_and_tags_is_none_of_ours(instance: str, aws: Aws) -> None:
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.ec2.models import ec2_backends

    made = created(instance)
    ec2_backends[DEFAULT_ACCOUNT_ID][REGION].amis[made].owner_id = "999999999999"
    assert shelf.images(REGION, "fruits") == []


def test_a_name_is_taken_once_and_whoever_comes_second_is_told(instance: str) -> None:
    created(instance)
    with pytest.raises(
        BusyError, match=r"Somebody has made the image orchard-fruits-worker-x86_64-debian12-.* meanwhile"
    ):
        created(instance)


def test_what_fits_is_ready_and_made_of_this_the_newest_of_each_kind() -> None:
    newer = replace(IMAGE, id="ami-2", baked_at=datetime(2026, 11, 25, tzinfo=UTC))
    others = [
        replace(IMAGE, id="ami-3", contents="another"),
        replace(IMAGE, id="ami-4", state="pending"),
        replace(IMAGE, id="ami-5", kind="master-x86_64-debian12"),
    ]
    assert shelf.fitting([IMAGE, newer, *others], MADE_OF) == {KIND: "ami-2", "master-x86_64-debian12": "ami-5"}


def test_one_line_says_which_image_hosts_start_from() -> None:
    master = replace(IMAGE, id="ami-5", kind="master-x86_64-debian12")
    assert shelf.started_from([IMAGE, master], {"master": "ami-5", "worker": "ami-1"}, MADE_OF) == [
        "Hosts start from image ami-5 (master) and ami-1 (worker), baked 2026-11-20."
    ]


def test_an_image_of_another_version_is_named_and_not_started_from() -> None:
    assert shelf.started_from([IMAGE], {"worker": "ami-debian"}, "another") == [
        "Image ami-1 (baked 2026-11-20) is of another version of the roles: `make bake` makes a new one."
    ]


def test_without_images_or_without_new_hosts_nothing_is_said() -> None:
    assert shelf.started_from([], {"worker": "ami-debian"}, MADE_OF) == []
    assert shelf.started_from([IMAGE], {}, "another") == []


def test_an_image_that_is_not_encrypted_is_deleted_again(aws: Aws) -> None:
    made = created(launched(aws, encrypted=False))
    with pytest.raises(AwsError, match="was not encrypted, or not private, and was deleted"):
        shelf.wait_for(REGION, "fruits", [made], lambda _: None)
    assert shelf.images(REGION, "fruits") == []


def test_an_image_that_everybody_may_start_from_is_deleted_again(instance: str, aws: Aws) -> None:
    made = created(instance)
    aws("ec2").modify_image_attribute(ImageId=made, OperationType="add", UserGroups=["all"])
    with pytest.raises(AwsError, match="was not encrypted, or not private"):
        shelf.wait_for(REGION, "fruits", [made], lambda _: None)


def test_an_image_that_came_to_nothing_is_told(instance: str) -> None:
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.ec2.models import ec2_backends

    made = created(instance)
    ec2_backends[DEFAULT_ACCOUNT_ID][REGION].amis[made].state = "failed"
    with pytest.raises(AwsError, match=r"could not make the image .* \(failed\): `make bake` tries again"):
        shelf.wait_for(REGION, "fruits", [made], lambda _: None)


def test_all_images_go_and_the_snapshots_that_one_left_behind_and_nobody_elses(instance: str, aws: Aws) -> None:
    left, other = created(instance), created(instance, cluster="fruits-2")
    created(instance, kind="master-x86_64-debian12")
    aws("ec2").deregister_image(ImageId=left)
    assert len(shelf.remove_all(REGION, "fruits")) == 1
    assert shelf.images(REGION, "fruits") == []
    assert shelf.cost(REGION, "fruits") is None
    assert [image.id for image in shelf.images(REGION, "fruits-2")] == [other]
    assert shelf.cost(REGION, "fruits-2")


def test_what_images_cost_a_month_is_said_at_most_where_aws_does_not_tell_their_size(instance: str) -> None:
    created(instance)
    said = shelf.cost(REGION, "fruits")
    assert said
    assert said.startswith(
        "Images: 1 snapshots of at most 16.0 GB cost at most 0.80 USD a month (by a table copied on "
    )


def test_used_blocks_are_what_is_paid_for(monkeypatch: pytest.MonkeyPatch) -> None:
    known = [{"VolumeSize": 16, shelf.USED: 3 * 2**30}, {"VolumeSize": 16, shelf.USED: 2**30}]
    monkeypatch.setattr(shelf, "_snapshots", lambda *_: known)
    assert "2 snapshots of 4.0 GB cost 0.20 USD a month" in str(shelf.cost(REGION, "fruits"))
