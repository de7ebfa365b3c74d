"""A disk that fills up in the middle of an apply: it is named, and the state has all that was made by then."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Need
from tests.doubles.aws.double import AwsDouble
from tests.terraform.configuration import Configuration
from tests.terraform.conftest import QUICK

NAME = "brimful"
DISK_BYTES = 96 * 1024 * 1024
# With what they stand on, made one after the other: the state is written again and again.
WANTED = ["aws_subnet.public", "aws_iam_instance_profile.nodes"]
PLAN = f"""
from contextlib import suppress
from scripts.terraform.workspace import Workspace
terraform = Workspace({NAME!r})
planned = terraform.plan({{}}, targets={WANTED!r})
print(*planned.changes)
"""
# The network is being made then, and the state grows by it.
APPLY_AND_FILL = f"""
{PLAN}
def fill(event):
    if event.get("type") == "apply_complete":
        with suppress(OSError), open(console.LOGS / "filler", "ab", buffering=0) as file:
            while file.write(bytes(65536)):
                pass
terraform.apply(planned, fill)
"""


@pytest.fixture
def disk(tmp_path: Path, need: Need) -> Iterator[Path]:
    """A disk of its own, and small."""
    need(os.geteuid() == 0 and Path("/proc/mounts").exists(), "only root of Linux can have a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_an_apply_whose_disk_fills_up_names_it_and_the_state_has_what_was_made_by_then(
    disk: Path, tmp_path: Path, aws: AwsDouble, public_key: Path, terraform_environment: dict[str, str]
) -> None:
    given = {"cluster_name": NAME, "ssh_public_key_path": str(public_key)} | QUICK
    cluster = Configuration(disk / "terraform", aws.environment() | terraform_environment, **given)
    # The provider alone is larger.
    (tmp_path / "provider").mkdir()
    (cluster.folder / ".terraform").symlink_to(tmp_path / "provider")
    cluster.init()
    filled = cluster.operate(APPLY_AND_FILL)
    assert "The disk of this machine is full: make room, then the same command again goes on." in filled.stderr
    (cluster.folder / "filler").unlink()
    assert networks_in_state(cluster) == networks(aws)
    again = cluster.operate(PLAN)
    assert again.returncode == 0, again.stderr
    assert "aws_subnet.public[0]" in again.stdout.split()
    assert "aws_iam_role.nodes" not in again.stdout.split()


def networks(aws: AwsDouble) -> list[str]:
    """The networks of the cluster that AWS has."""
    found = aws.client("ec2").describe_vpcs(Filters=[{"Name": "tag:Cluster", "Values": [NAME]}])["Vpcs"]
    return [vpc["VpcId"] for vpc in found]


def networks_in_state(cluster: Configuration) -> list[str]:
    """Those that the cluster's state knows."""
    state = json.loads((cluster.folder / "terraform.tfstate.d" / NAME / "terraform.tfstate").read_text())
    kept = [one for found in state["resources"] if found["type"] == "aws_vpc" for one in found["instances"]]
    return [network["attributes"]["id"] for network in kept]
