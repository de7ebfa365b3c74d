#!/usr/bin/python3 -I
"""Where Spark shuffles on this host: every local NVMe disk, formatted and mounted, else a folder on the root disk.

Runs at each boot, as root, before Spark: instance storage is blank after a stop, so an entry in fstab would not do.
Every folder on the way is root's own; the last one is the user's, and root does not look into it.

    prepare_scratch.py USER STATE_FOLDER ENVIRONMENT_FILE
"""

import json
import os
import pwd
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

# EBS volumes are NVMe devices too; only the model tells them apart.
INSTANCE_STORAGE = "Amazon EC2 NVMe Instance Storage"


def instance_disks(lsblk: dict[str, Any]) -> list[dict[str, Any]]:
    """The local disks that are ours to use: instance storage without partitions, by path."""
    disks = lsblk["blockdevices"]
    ours = [disk for disk in disks if (disk["model"] or "").strip() == INSTANCE_STORAGE and not disk.get("children")]
    return sorted(ours, key=lambda disk: str(disk["path"]))


def make(folder: Path, state: Path) -> None:
    """Have the folder. Raises SystemExit where what leads to it is not root's own: somebody else would lead there."""
    way = state
    for name in folder.relative_to(state).parts[:-1] if folder.is_relative_to(state) else ():
        way /= name
        way.mkdir(parents=True, exist_ok=True)
        found = way.lstat()
        if not (stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()):
            sys.exit(f"{way} is not root's own folder, and root does not go through it: remove it.")
    folder.mkdir(parents=True, exist_ok=True)


def mount_disk(disk: dict[str, Any], folder: Path, state: Path) -> None:
    """Mount the disk at the folder, formatted first where it holds no file system."""
    if disk["mountpoint"]:
        return
    make(folder, state)
    if not disk["fstype"]:
        # Discarding whole terabytes takes minutes and the disk is blank anyway.
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-E", "nodiscard", disk["path"]], check=True)
    # By systemd and not by mount(8): this runs in a mount namespace of its own, and may do little there.
    words = [
        "systemd-mount",
        "--quiet",
        "--collect",
        "--fsck=no",
        "--options=noatime,nodev,nosuid",
        disk["path"],
        str(folder),
    ]
    subprocess.run(words, check=True)


def scratch_folders(state: Path) -> list[Path]:
    """One folder on each local disk, mounted; a folder below `state` where there is none."""
    columns = "PATH,MODEL,FSTYPE,MOUNTPOINT"
    listed = subprocess.run(["lsblk", "--json", "--output", columns], capture_output=True, text=True, check=True).stdout
    mounts = []
    for number, disk in enumerate(instance_disks(json.loads(listed))):
        mounts.append(Path(disk["mountpoint"] or state / "scratch" / str(number)))
        mount_disk(disk, mounts[-1], state)
    return [mount / "spark" for mount in mounts] or [state / "local"]


def give(folder: Path, user: str) -> None:
    """Make it the user's own. Raises OSError for a link: root is led nowhere by it."""
    account = pwd.getpwnam(user)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchown(descriptor, account.pw_uid, account.pw_gid)
        os.fchmod(descriptor, 0o700)
    finally:
        os.close(descriptor)


def main(user: str, state: str, environment_file: str) -> None:
    """Make the folders, give them to the user and tell Spark's units by an environment file."""
    folders = scratch_folders(Path(state))
    for folder in folders:
        make(folder, Path(state))
        give(folder, user)
    environment = Path(environment_file)
    environment.parent.mkdir(parents=True, exist_ok=True)
    environment.write_text(f"SPARK_LOCAL_DIRS={','.join(map(str, folders))}\n")


if __name__ == "__main__":
    os.umask(0o022)
    main(*sys.argv[1:])
