"""How often this process has tried a request again: kept in run.json, so that a limping store is seen."""

from threading import Lock

_lock = Lock()
_count = 0


def add() -> None:
    """Count one more."""
    global _count
    with _lock:
        _count += 1


def count() -> int:
    """Retries since the process began."""
    return _count
