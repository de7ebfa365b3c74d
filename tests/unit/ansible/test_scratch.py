"""The scratch space that a host gives Spark: local NVMe disks, which the sandbox's hosts cannot have.

The program is the one that runs on the hosts; lsblk, mkfs and systemd-mount are stand-ins that record what was asked.
"""

import json
import os
import pwd
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).resolve().parents[3] / "ansible" / "roles" / "common" / "files" / "prepare_scratch.py"


def disk(path: str, model: str, fstype: str | None = None, mountpoint: str | None = None) -> dict[str, Any]:
    return {"path": path, "model": model, "fstype": fstype, "mountpoint": mountpoint}


LOCAL = "Amazon EC2 NVMe Instance Storage"
ROOT = disk("/dev/nvme0n1", "Amazon Elastic Block Store") | {"children": [{"path": "/dev/nvme0n1p1"}]}


@dataclass
class Host:
    """A host with the given disks."""

    folder: Path

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def prepare(self, *disks: dict[str, Any]) -> str:
        """Run the program as the unit does; return what it tells Spark's units."""
        (self.folder / "lsblk.json").write_text(json.dumps({"blockdevices": disks}))
        environment = self.folder / "run" / "scratch.env"
        user = pwd.getpwuid(os.getuid()).pw_name
        subprocess.run(
            [sys.executable, PROGRAM, user, self.state, environment],
            env={"PATH": f"{self.folder}:/usr/bin:/bin"},
            check=True,
        )
        return environment.read_text()

    def done(self) -> list[str]:
        """What was formatted and mounted, in order."""
        log = self.folder / "log"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def host(tmp_path: Path) -> Host:
    stand_ins = {
        "lsblk": f"cat {tmp_path}/lsblk.json",
        "mkfs.ext4": f'for last; do :; done; echo "format $last" >> {tmp_path}/log',
        "systemd-mount": f'while [ $# -gt 2 ]; do shift; done; echo "mount $1 $2" >> {tmp_path}/log',
    }
    for name, does in stand_ins.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    return Host(tmp_path)


def test_without_local_disks_spark_shuffles_on_the_root_disk(host: Host) -> None:
    assert host.prepare(ROOT) == f"SPARK_LOCAL_DIRS={host.state}/local\n"
    assert host.done() == []
    assert (host.state / "local").stat().st_mode & 0o777 == 0o700


def test_every_local_disk_is_formatted_mounted_and_used(host: Host) -> None:
    written = host.prepare(ROOT, disk("/dev/nvme2n1", LOCAL), disk("/dev/nvme1n1", f"{LOCAL}  "))
    scratch = host.state / "scratch"
    assert written == f"SPARK_LOCAL_DIRS={scratch}/0/spark,{scratch}/1/spark\n"
    assert host.done() == [
        "format /dev/nvme1n1",
        f"mount /dev/nvme1n1 {scratch}/0",
        "format /dev/nvme2n1",
        f"mount /dev/nvme2n1 {scratch}/1",
    ]


def test_after_a_reboot_a_disk_keeps_what_it_holds(host: Host) -> None:
    host.prepare(ROOT, disk("/dev/nvme1n1", LOCAL, fstype="ext4"))
    assert host.done() == [f"mount /dev/nvme1n1 {host.state}/scratch/0"]


def test_a_mounted_disk_is_used_where_it_is(host: Host) -> None:
    mounted = host.folder / "elsewhere"
    written = host.prepare(ROOT, disk("/dev/nvme1n1", LOCAL, fstype="ext4", mountpoint=str(mounted)))
    assert written == f"SPARK_LOCAL_DIRS={mounted}/spark\n"
    assert host.done() == []


def test_volumes_are_never_formatted(host: Host) -> None:
    """EBS volumes are NVMe devices too, and a partitioned local disk is somebody's."""
    partitioned = disk("/dev/nvme2n1", LOCAL) | {"children": [{"path": "/dev/nvme2n1p1"}]}
    host.prepare(ROOT, disk("/dev/nvme1n1", "Amazon Elastic Block Store"), partitioned, disk("/dev/loop0", None))
    assert host.done() == []


def test_root_is_not_led_elsewhere_by_a_link_in_a_folders_place(host: Host) -> None:
    elsewhere = host.folder / "etc"
    elsewhere.mkdir(mode=0o755)
    host.state.mkdir()
    (host.state / "local").symlink_to(elsewhere)
    with pytest.raises(subprocess.CalledProcessError):
        host.prepare(ROOT)
    assert elsewhere.stat().st_mode & 0o777 == 0o755


def test_root_goes_through_no_folder_that_is_not_its_own(host: Host) -> None:
    elsewhere = host.folder / "elsewhere"
    elsewhere.mkdir()
    host.state.mkdir()
    (host.state / "scratch").symlink_to(elsewhere)
    with pytest.raises(subprocess.CalledProcessError):
        host.prepare(ROOT, disk("/dev/nvme1n1", LOCAL))
    assert list(elsewhere.iterdir()) == []
    assert host.done() == []
