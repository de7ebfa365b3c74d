"""A cluster's images in AWS: which there are, which fit this checkout, what they cost; made and taken away.

Found by their tags, and of this account alone: anybody can give an image such a name.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from scripts.access.errors import aws_errors_as_sentences
from scripts.aws import clients, resources
from scripts.aws.clients import UNANSWERED
from scripts.errors import AwsError, BusyError
from scripts.money import prices
from scripts.money.amounts import money
from scripts.waiting import wait_until

ROLES = ("master", "worker")
# What an image is for, as Terraform's variable baked_images has it: master-x86_64-debian12. And what it is made of.
KIND, CONTENTS = "Kind", "Contents"
GIGABYTE = 2**30
USED = "FullSnapshotSizeInBytes"
GONE = ("InvalidAMIID.Unavailable", "InvalidAMIID.NotFound", "InvalidSnapshot.NotFound")
# AWS copies what is on the disk to S3: minutes for some gigabytes.
IMAGE_SECONDS, PAUSE_SECONDS = 1800, 2.0
MINE = ["self"]


@dataclass(frozen=True)
class Image:
    """An image of this cluster's."""

    id: str
    name: str
    kind: str
    contents: str
    baked_at: datetime
    state: str
    snapshots: tuple[str, ...]
    is_closed: bool

    @property
    def day(self) -> str:
        """When it was baked."""
        return f"{self.baked_at:%Y-%m-%d}"


def kind(role: str, architecture: str, release: str) -> str:
    """What an image for hosts of this role is called, where its cluster is known."""
    return f"{role}-{architecture}-debian{release}"


def name_of(cluster_name: str, kind: str, contents: str) -> str:
    """Its name in AWS, where an account has each once in a region."""
    return f"orchard-{cluster_name}-{kind}-{contents}"


def images(region: str, cluster_name: str) -> list[Image]:
    """The cluster's images, the oldest first, those included that are not ready or came to nothing."""
    with aws_errors_as_sentences("list the cluster's images"):
        pages = _ec2(region).get_paginator("describe_images").paginate(Owners=MINE, Filters=_tagged(cluster_name))
        found = [_image(described) for page in pages for described in page["Images"]]
    return sorted(found, key=lambda image: (image.baked_at, image.id))


def fitting(found: Iterable[Image], contents: str) -> dict[str, str]:
    """For each kind the newest image that is ready and made of this, by its id: Terraform's baked_images."""
    return {image.kind: image.id for image in found if image.contents == contents and image.state == "available"}


def create(region: str, instance_id: str, cluster_name: str, tags: Mapping[str, str], image: tuple[str, str]) -> str:
    """Have an image of a stopped instance made; `image` is its kind and contents. Gives its id.

    Raises BusyError where there is one of this name already, as by another laptop.
    """
    kind, contents = image
    name = name_of(cluster_name, kind, contents)
    # Terraform's tags but for that it looks after it: it does not.
    said = {**tags, **resources.tags_of(cluster_name), "ManagedBy": "orchard", "Name": name}
    own = [{"Key": key, "Value": value} for key, value in {**said, KIND: kind, CONTENTS: contents}.items()]
    with aws_errors_as_sentences(f"make the image {name}"):
        try:
            made = _ec2(region).create_image(
                InstanceId=instance_id,
                Name=name,
                Description=f"Debian with what Orchard's roles install, for {kind}",
                TagSpecifications=[{"ResourceType": of, "Tags": own} for of in ("image", "snapshot")],
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "InvalidAMIName.Duplicate":
                raise
            raise BusyError(
                f"Somebody has made the image {name} meanwhile: `make bake` again says whether it is ready."
            ) from None
    return str(made["ImageId"])


def wait_for(region: str, cluster_name: str, wanted: Sequence[str], note: Any) -> list[Image]:
    """Wait until hosts can be started from these images; gives them.

    Raises AwsError for one that came to nothing, and for one that is not encrypted or not private, which is deleted.
    """
    found: list[Image] = []

    def are_ready() -> bool:
        found[:] = [image for image in images(region, cluster_name) if image.id in wanted]
        for image in found:
            if image.state not in ("available", "pending"):
                raise AwsError(f"AWS could not make the image {image.name} ({image.state}): `make bake` tries again.")
        late = [image for image in found if image.state == "pending"]
        if late:
            note(f"waiting for {', '.join(image.kind for image in late)} to be copied")
        # What was just made may not be listed yet.
        return not late and len(found) == len(wanted)

    if not wait_until(are_ready, seconds=IMAGE_SECONDS, every=PAUSE_SECONDS):
        raise AwsError(f"The images were not ready within {IMAGE_SECONDS // 60} minutes: `make bake` again waits on.")
    if bad := [image for image in found if not image.is_closed]:
        remove(region, bad)
        raise AwsError(f"The image {bad[0].name} was not encrypted, or not private, and was deleted.")
    return found


def remove(region: str, going: Sequence[Image]) -> None:
    """Delete these images and their snapshots; hosts that started from one go on."""
    with aws_errors_as_sentences("delete the cluster's images"):
        for image in going:
            _unless_gone(_ec2(region).deregister_image, ImageId=image.id)
        for snapshot in [snapshot for image in going for snapshot in image.snapshots]:
            _unless_gone(_ec2(region).delete_snapshot, SnapshotId=snapshot)


def remove_all(region: str, cluster_name: str) -> list[Image]:
    """Delete every image of the cluster, and snapshots that an image left behind; gives the images."""
    going = images(region, cluster_name)
    remove(region, going)
    with aws_errors_as_sentences("delete the cluster's snapshots"):
        for snapshot in _snapshots(region, cluster_name):
            _unless_gone(_ec2(region).delete_snapshot, SnapshotId=snapshot["SnapshotId"])
    return going


def cost(region: str, cluster_name: str) -> str | None:
    """What the cluster's images cost a month, in one sentence; None where there are none, or AWS does not tell."""
    try:
        found = _snapshots(region, cluster_name)
    except UNANSWERED:
        return None
    if not found:
        return None
    # Used blocks are charged for; where AWS does not tell how many, the disk's size is the most that they can be.
    most = "" if all(snapshot.get(USED) for snapshot in found) else "at most "
    gigabytes = sum(s[USED] / GIGABYTE if s.get(USED) else s["VolumeSize"] for s in found)
    usd, source = prices.of_snapshots(region, gigabytes)
    return (
        f"Images: {len(found)} snapshots of {most}{gigabytes:,.1f} GB cost {most}{money(usd, prices.currency())} a "
        f"month (by {source}), with a cluster or without; `make bake CLEAN=1` deletes them."
    )


def started_from(found: Iterable[Image], wanted: Mapping[str, str], contents: str) -> list[str]:
    """What is to be said where hosts are made of these images, by role; nothing where there are no images."""
    known = {image.id: image for image in found}
    used = {role: known[image] for role, image in wanted.items() if image in known}
    if used:
        named = " and ".join(f"{image.id} ({role})" for role, image in used.items())
        days = " and ".join(dict.fromkeys(image.day for image in used.values()))
        return [f"Hosts start from image {named}, baked {days}."]
    stale = [image for image in known.values() if image.contents != contents]
    if wanted and stale:
        newest = stale[-1]
        return [
            f"Image {newest.id} (baked {newest.day}) is of another version of the roles: `make bake` makes a new one."
        ]
    return []


def _image(described: Mapping[str, Any]) -> Image:
    tags = {tag["Key"]: tag["Value"] for tag in described["Tags"]}
    disks = [mapping["Ebs"] for mapping in described.get("BlockDeviceMappings", []) if "Ebs" in mapping]
    return Image(
        id=described["ImageId"],
        name=described.get("Name", ""),
        kind=tags.get(KIND, ""),
        contents=tags.get(CONTENTS, ""),
        baked_at=datetime.fromisoformat(described["CreationDate"]),
        state=described["State"],
        snapshots=tuple(disk["SnapshotId"] for disk in disks if disk.get("SnapshotId")),
        is_closed=not described.get("Public") and bool(disks) and all(disk.get("Encrypted") for disk in disks),
    )


def _snapshots(region: str, cluster_name: str) -> list[dict[str, Any]]:
    filters = [*_tagged(cluster_name), {"Name": "tag-key", "Values": [CONTENTS]}]
    pages = _ec2(region).get_paginator("describe_snapshots").paginate(OwnerIds=MINE, Filters=filters)
    return [snapshot for page in pages for snapshot in page["Snapshots"]]


def _unless_gone(call: Any, **which: str) -> None:
    try:
        call(**which)
    except ClientError as error:
        if error.response["Error"]["Code"] not in GONE:
            raise


def _tagged(cluster_name: str) -> list[dict[str, Any]]:
    return [{"Name": f"tag:{key}", "Values": [value]} for key, value in resources.tags_of(cluster_name).items()]


def _ec2(region: str) -> Any:
    return clients.client("ec2", region)
