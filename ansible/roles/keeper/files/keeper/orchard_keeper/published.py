"""The keeper's status as a file that everybody on the master may read, and as the workers are told it."""

import json
from pathlib import Path
from typing import Any

from orchard_keeper.state import replace

LARGEST = 64 * 1024


def text(status: dict[str, Any]) -> str:
    """As one line of JSON."""
    return json.dumps(status)


def write(path: Path, status: dict[str, Any]) -> None:
    """Put the file in place of the one before."""
    replace(path, f"{text(status)}\n", 0o644)


def read(path: Path) -> dict[str, Any]:
    """The status as it was written last; empty where there is none."""
    try:
        found = json.loads(path.read_text()[:LARGEST])
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
