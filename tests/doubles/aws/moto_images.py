"""moto with images as EC2 makes them of an instance; with hosts behind it, an image is ready once its layer is.

`IMAGE.wanted` in the folder names the instance that an image is to be made of; whoever keeps the hosts answers by
`IMAGE.made`.
"""

from pathlib import Path
from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.amis import Ami, AmiBackend
from moto.ec2.responses.instances import InstanceResponse


def apply(folder: Path | None = None) -> None:
    """Let an image have its instance's disk, the tags of its snapshots and a name of its own."""
    _make_images_whole(folder)
    _show_what_is_on_an_images_disk()
    _refuse_a_disk_smaller_than_its_image()
    if folder:
        _wait_for_layers(folder)


def _make_images_whole(folder: Path | None) -> None:
    """moto takes any name twice, no tags for snapshots, and a disk of its own in place of the instance's."""
    original = AmiBackend.create_image

    def create_image(self: Any, instance_id: str, name: str, description: str, tag_specifications: Any) -> Any:
        if any(ami.name == name and ami.owner_id == self.account_id for ami in self.amis.values()):
            raise EC2ClientError("InvalidAMIName.Duplicate", f"AMI name {name} is already in use by AMI")
        of = {spec["ResourceType"]: spec["Tags"] for spec in tag_specifications}
        ami = original(self, instance_id, name, description, [{"ResourceType": "image", "Tags": of.get("image", [])}])
        instance = self.get_instance(instance_id)
        ami.root_device_name, ami.root_device_type = instance.root_device_name, "ebs"
        disk = self.get_volume(next(iter(instance.block_device_mapping.values())).volume_id)
        ami.ebs_snapshot.volume.size, ami.ebs_snapshot.encrypted = disk.size, disk.encrypted
        ami.ebs_snapshot.add_tags({tag["Key"]: tag["Value"] for tag in of.get("snapshot", [])})
        if folder:
            ami.state = "pending"
            (folder / f"{ami.id}.wanted").write_text(instance_id)
        return ami

    AmiBackend.create_image = create_image


def _show_what_is_on_an_images_disk() -> None:
    described = Ami.block_device_mappings.fget

    def block_device_mappings(self: Any) -> list[dict[str, Any]]:
        mappings: list[dict[str, Any]] = described(self)
        for mapping in mappings:
            mapping["Ebs"] |= {
                "VolumeSize": self.ebs_snapshot.volume.size,
                "Encrypted": self.ebs_snapshot.encrypted,
            }
        return mappings

    Ami.block_device_mappings = property(block_device_mappings)


def _refuse_a_disk_smaller_than_its_image() -> None:
    run = InstanceResponse.run_instances

    def run_instances(self: Any) -> Any:
        image = self.ec2_backend.amis.get(self._get_param("ImageId"))
        for mapping in self._get_param("BlockDeviceMappings", []):
            size = int(mapping.get("Ebs", {}).get("VolumeSize") or 0)
            if image and image.instance_id and 0 < size < image.ebs_snapshot.volume.size:
                least = f"Volume of size {size}GB is smaller than snapshot '{image.ebs_snapshot.id}'"
                raise EC2ClientError("InvalidBlockDeviceMapping", least)
        return run(self)

    InstanceResponse.run_instances = run_instances


def _wait_for_layers(folder: Path) -> None:
    describe = AmiBackend.describe_images

    def describe_images(self: Any, *args: Any, **kwargs: Any) -> Any:
        for ami in self.amis.values():
            if ami.state == "pending" and (folder / f"{ami.id}.made").exists():
                ami.state = "available"
        return describe(self, *args, **kwargs)

    AmiBackend.describe_images = describe_images
