"""Pack a host's logs for its operator: a journal for each unit, executors' output, the first boot. USER: who fetches.

Runs as root with the system's Python, for it is wanted where nothing else works. Prints the path of the tar.
"""

import io
import os
import pwd
import subprocess
import sys
import tarfile
import tempfile
from fnmatch import fnmatch
from pathlib import Path

UNITS = ("spark-*.service", "jupyter.service", "orchard-*.service")
WORK = Path("/var/lib/spark/work")
FIRST_BOOT = Path("/var/log/cloud-init-output.log")


def units() -> list[str]:
    """Every unit of ours that has ever logged here: the journal knows those of before the last boot, too."""
    known = subprocess.run(["journalctl", "--field=_SYSTEMD_UNIT"], capture_output=True, text=True, check=True).stdout
    return [unit for unit in sorted(known.split()) if any(fnmatch(unit, pattern) for pattern in UNITS)]


def journal(unit: str) -> bytes:
    """What a unit has logged, and systemd of it."""
    words = ["journalctl", "--no-pager", "--output=short-iso", f"--unit={unit}"]
    return subprocess.run(words, capture_output=True, check=True).stdout


def main(user: str) -> None:
    """Pack them where only that user may read them."""
    descriptor, path = tempfile.mkstemp(prefix="orchard-logs-", suffix=".tgz", dir="/var/tmp")
    with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as tar:
        for unit in units():
            content = journal(unit)
            entry = tarfile.TarInfo(f"{unit.removesuffix('.service')}.log")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        outputs = [found for found in WORK.rglob("std*") if found.is_file()] if WORK.is_dir() else []
        for found in [*sorted(outputs), *([FIRST_BOOT] if FIRST_BOOT.is_file() else [])]:
            try:
                tar.add(found, arcname=str(found.relative_to(WORK.parent if WORK in found.parents else found.parent)))
            except FileNotFoundError:
                continue
    os.chown(path, pwd.getpwnam(user).pw_uid, -1)
    print(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
