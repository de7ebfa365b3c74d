"""What was learnt once and is good for a while, in a file of the person's cache folder."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any


def cache_folder() -> Path:
    """Where this machine keeps what can be had again: `orchard` in XDG_CACHE_HOME or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orchard"


def now() -> datetime:
    """The time, as what is kept is stamped with it."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Remembered:
    """Numbers by name in one file, each with the time it was learnt at; `age` is how long one is good for.

    A file that is broken, somebody else's or not to be written is as good as none.
    """

    file: Path
    age: timedelta
    clock: Callable[[], datetime] = now

    def get(self, name: str) -> tuple[float, datetime] | None:
        """The number and when it was learnt; None where there is none, or it is too old or from the future."""
        entry: Any = self._all().get(name)
        try:
            value, learnt = entry["value"], datetime.fromisoformat(entry["learnt_at"])
            is_good = timedelta(0) <= self.clock() - learnt < self.age
        except (TypeError, KeyError, ValueError):
            return None
        # A number that is none, or no price: NaN is smaller than nothing and larger than nothing.
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < float("inf")
        return (float(value), learnt) if is_good and is_number else None

    def put(self, name: str, value: float) -> None:
        """Keep it, at once or not at all."""
        entries = self._all() | {name: {"value": value, "learnt_at": self.clock().isoformat(timespec="seconds")}}
        new = self.file.with_name(f"{self.file.name}.{os.getpid()}.new")
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(json.dumps(entries, indent=1))
            new.replace(self.file)
        except OSError:
            # A home that may not be written to: it is asked again.
            return

    def _all(self) -> dict[str, Any]:
        try:
            read = json.loads(self.file.read_text())
        except (OSError, ValueError, RecursionError):
            return {}
        return read if isinstance(read, dict) else {}
