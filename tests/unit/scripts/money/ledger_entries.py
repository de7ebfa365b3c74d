"""Entries of a ledger as a keeper writes them."""

from typing import Any

STARTED = "2026-02-01T10:00:00+00:00"
KEY = "ledger/fruits/20260201T100000Z.json"
ENTRY: dict[str, Any] = {
    "version": 1,
    "cluster": "fruits",
    "region": "eu-west-1",
    "started_at": STARTED,
    "seen_at": "2026-02-01T12:00:00+00:00",
    "ended_at": None,
    "why": None,
    "hosts": [{"name": "master", "id": "i-1", "type": "m6i.large", "spot": False, "hours": 2.0}],
    "hours": {"work": 1.5, "idle": 0.5},
    "currency": "USD",
    "usd": {"work": 3.0, "idle": 1.0, "disks": 0.2, "addresses": 0.4, "requests": 0.001},
    "spot_saved_usd": 0.8,
    "disks_per_hour": 0.1,
    "runs": [
        {"run_id": "r", "began_at": STARTED, "ended_at": "2026-02-01T11:00:00+00:00", "code": 0, "pictures": 300},
        {"run_id": "s", "began_at": STARTED, "ended_at": None, "code": None, "pictures": None},
    ],
}
CLOSED = ENTRY | {"ended_at": "2026-02-01T12:00:00+00:00", "why": "idle for 30 minutes"}


def of_time(started: str, seen: str, base: dict[str, Any] = CLOSED) -> tuple[str, dict[str, Any]]:
    """Key and content of another stretch; a closed one ended when it was seen last. Times as 2026-02-03T10:00."""
    ended = None if base["ended_at"] is None else f"{seen}:00+00:00"
    stamp = started.replace("-", "").replace(":", "")
    times = {"started_at": f"{started}:00+00:00", "seen_at": f"{seen}:00+00:00", "ended_at": ended}
    return f"ledger/{base['cluster']}/{stamp}00Z.json", base | times
