"""This machine: its Python and Java, files that nobody else may read, room on its disk, lines that end as Unix's do."""

import os
import platform
import shutil
import stat
import sys
import tempfile
from pathlib import Path

from scripts import processes, tfvars
from scripts.console import CHECKOUT
from scripts.doctor import environment
from scripts.errors import InputError, MissingError

# What `make setup` and a small run take, by what they took here: 2.1 GB of packages, and a run's parts.
ROOM_BYTES = 1 << 30
# Read by bash, systemd or uv: with the line ends of Windows they are something else.
UNIX_FILES = ("Makefile", "requirements/nodes.txt", "requirements/lock.sh", "ansible/roles/keeper/tasks/main.yml")
JAVA_SECONDS = 9


def python() -> str:
    """Version and system. Raises MissingError for what no lock can be installed on."""
    why = environment.unfit(sys.version_info[:3])
    why = why or environment.platform_unfit(platform.system(), platform.machine(), is_translated=False)
    if why:
        raise MissingError(f"{why[0].upper()}{why[1:]}.")
    return f"{platform.python_version()} on {platform.system()} {platform.machine()}"


def java() -> str:
    """Which Java the job has here, by its own word. Raises MissingError with it where there is none."""
    done = processes.capture([sys.executable, "-m", "pipeline.job.java"], cwd=CHECKOUT, timeout=JAVA_SECONDS)
    if done.code:
        raise MissingError(done.err.strip().rpartition("\n")[2])
    return done.out.strip()


def secrets() -> str:
    """That a file can be kept from others where keys lie. Raises InputError where it cannot, as below WSL's /mnt/c."""
    folder = tfvars.terraform_folder().parent
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as probe:
            Path(probe.name).chmod(0o600)
            mode = stat.S_IMODE(Path(probe.name).stat().st_mode)
    except OSError as error:
        raise InputError(f"{folder} cannot be written ({error.strerror}): clone Orchard elsewhere.") from None
    if mode & 0o077:
        raise InputError(
            f"Files in {folder} cannot be kept from others (they are {mode:04o} whatever is asked), and ssh takes no "
            "such key: clone Orchard below your home of Linux (in WSL not below /mnt)."
        )
    return f"keys are kept in {folder / '.orchard'}"


def disk() -> str:
    """Room for what is fetched and made here. Raises InputError without."""
    free = shutil.disk_usage(CHECKOUT).free
    if free < ROOM_BYTES:
        raise InputError(f"{free / 1e9:.1f} GB are free at {CHECKOUT}, and runs take at least 1: make room.")
    return f"{free / 1e9:.0f} GB free"


def line_ends() -> str:
    """That git has left the lines as they are. Raises InputError where it gave them the ends of Windows."""
    turned = [name for name in UNIX_FILES if b"\r\n" in (CHECKOUT / name).read_bytes()]
    if turned:
        raise InputError(
            f"{turned[0]} has the line ends of Windows: git config core.autocrlf input, then git rm --cached -r -q . "
            "&& git reset --hard."
        )
    return "as Unix has them"


def home() -> str:
    """That home can be written. Raises InputError where it can't be: AWS's tools and ssh keep things there."""
    folder = Path.home()
    if not os.access(folder, os.W_OK):
        raise InputError(
            f"{folder} cannot be written, and weights, AWS profiles and Ansible's scratch go there: export HOME to a "
            "folder of yours."
        )
    return str(folder)
