"""What an image is made of: the roles and the locks of this checkout, as one hash."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from scripts.console import CHECKOUT

# What `make bake` plays, and all that it can take from the roles.
PLAYBOOK, ROLES, LOCKS = "ansible/bake.yml", "ansible/roles", "requirements"
# Locks of what runs on laptops alone: a newer tool there makes no image stale.
OF_LAPTOPS = ("checkov.txt", "dev.txt", "operator.txt")
DIGITS = 16


def of_checkout(checkout: Path = CHECKOUT) -> str:
    """The hash of roles and locks, 16 hexadecimal digits: by names and bytes, whatever their times and owners."""
    digest = hashlib.sha256()
    for file in sorted(_files(checkout)):
        name = str(file.relative_to(checkout)).encode()
        content = file.read_bytes()
        # With lengths, so that no byte can move from one to the next.
        digest.update(f"{len(name)} {len(content)} ".encode() + name + content)
    return digest.hexdigest()[:DIGITS]


def _files(checkout: Path) -> Iterator[Path]:
    yield checkout / PLAYBOOK
    yield from (lock for lock in (checkout / LOCKS).glob("*.txt") if lock.name not in OF_LAPTOPS)
    # What Python or an editor leaves beside them is in no checkout.
    for file in (checkout / ROLES).rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts and not file.name.endswith(("~", ".swp", ".pyc")):
            yield file
