"""What the job says of itself, read from its lines: one JSON object behind a prefix for each event, words elsewhere."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# An error's sentence has the prefix, too, and no object behind it.
PREFIX = "orchard: "


@dataclass(frozen=True)
class Progress:
    """How far a run is: `done` of `total` things, `bad` of them, `rate` in `unit`, seconds left as the job reckons."""

    doing: str
    done: int
    total: int
    things: str
    rate: float
    unit: str
    left: float
    bad: int = 0

    def __str__(self) -> str:
        bad = f" ({self.bad:,} could not be read)" if self.bad else ""
        return (
            f"{self.done:,} of {self.total:,} {self.things}{bad}, {self.rate:,.0f} {self.unit}, {span(self.left)} left"
        )

    @property
    def line(self) -> str:
        """As a line of its own, where no line can be overwritten."""
        return f"{self.doing}: {self}"


def read(line: str) -> Progress | str:
    """A line of the job as progress, or else as words for people; a line that is no event stays as it is."""
    try:
        return _read_event(json.loads(line.removeprefix(PREFIX))) if line.startswith(f"{PREFIX}{{") else line
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return line


def _read_event(event: dict[str, Any]) -> Progress | str:
    if event["event"] == "progress":
        return Progress(
            doing=str(event["doing"]),
            done=int(event["done"]),
            total=int(event["total"]),
            things=str(event["things"]),
            rate=finite(event["rate"]),
            unit=str(event["unit"]),
            left=finite(event["seconds_left"]),
            bad=int(event.get("bad", 0)),
        )
    words = str(event["text"])
    return f"{finite(event['seconds']):7.1f} s  {words}" if event["event"] == "phase" else words


def finite(number: Any) -> float:
    """A number that is one. Raises ValueError, TypeError or OverflowError for what others wrote in its place."""
    if not math.isfinite(found := float(number)):
        raise ValueError(number)
    return found


def last_progress(lines: Sequence[str]) -> Progress | None:
    """The latest word on progress among these lines."""
    return next((found for line in reversed(lines) if isinstance(found := read(line), Progress)), None)


def losses(lines: Sequence[str]) -> tuple[str, ...]:
    """What the job said in these lines of hosts that it lost."""
    return tuple(text for line in lines if (text := _loss(line)))


def _loss(line: str) -> str:
    if not line.startswith(f"{PREFIX}{{"):
        return ""
    try:
        event = json.loads(line.removeprefix(PREFIX))
        return str(event["text"]) if event["event"] == "loss" else ""
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def span(seconds: float) -> str:
    """A length of time for people: 45 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
