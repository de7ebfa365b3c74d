"""What a person sees while a command goes on, and what a program reads of it.

On a terminal: one live bar and a line for each phase. Elsewhere: one JSON object a line, behind PREFIX, for each event.
"""

import io
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as LiveProgress
from rich.text import Text

# Seconds from one line of progress to the next where there is no terminal.
EVERY_SECONDS = 10.0
# The same for the first one: what takes no longer has none.
FIRST_SECONDS = 2.0
PREFIX = "orchard: "
# What is left of a bar: grey on a light and on a dark terminal, where rich's own is nearly black.
REST = "bright_black"
BYTES = "bytes"
# What a terminal obeys and a person does not see: control characters but newline and tab, marks that turn the direction
# of writing, other line ends, halves of characters.
_OBEYED = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """The text with every character that a terminal would obey shown as `\\x1b` or `\\u202e`."""
    return _OBEYED.sub(
        lambda found: f"\\x{ord(found[0]):02x}" if found[0] < "\u0100" else f"\\u{ord(found[0]):04x}", text
    )


def take_any_terminal() -> None:
    """Speak in letters that the terminal has: ASCII where its locale is none of UTF-8, and no letter ends the program.

    Python takes the locale C for UTF-8 and sets LC_CTYPE so: bars of rich would come out as something else.
    """
    locale = os.environ.get("LC_ALL") or os.environ.get("LANG") or "C"
    is_plain = "utf8" not in locale.lower().replace("-", "")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            encoding = "ascii" if is_plain and stream.isatty() else None
            stream.reconfigure(encoding=encoding, errors="backslashreplace")


@dataclass(frozen=True)
class PhaseEnded:
    """A phase has come to its end: its wall-clock seconds, what it came to in words, what it counted, how many bad."""

    event: str = field(default="phase", init=False)
    name: str
    seconds: float
    text: str
    count: int = 0
    bad: int = 0


@dataclass(frozen=True)
class Progress:
    """How far a phase is: `done` of `total` things, `bad` of them, `rate` in `unit`, seconds left at that rate."""

    event: str = field(default="progress", init=False)
    name: str
    doing: str
    done: int
    total: int
    things: str
    rate: float
    unit: str
    seconds_left: float
    bad: int = 0


@dataclass(frozen=True)
class HostLost:
    """A host was lost, and how, in words."""

    event: str = field(default="loss", init=False)
    host: str
    text: str


@dataclass(frozen=True)
class Note:
    """Any other sentence."""

    event: str = field(default="note", init=False)
    text: str


Event = PhaseEnded | Progress | HostLost | Note


def event_line(event: Event) -> str:
    """The event as a program reads it: one line, ASCII alone, so that nothing in a text can end it or colour it."""
    return PREFIX + json.dumps(asdict(event))


@dataclass
class Phase:
    """A phase under way: `text` is said when it ends well, and `seconds` are its wall-clock seconds from then on."""

    name: str
    text: str
    seconds: float = 0.0
    count: int = 0
    bad: int = 0


class Report(Protocol):
    """Takes how many of all things are done, and how many of these are bad."""

    def __call__(self, done: int, bad: int = 0) -> None:
        """Take it."""


@dataclass
class CountedPhase(Phase):
    """A phase that counts; `earlier` is how many were done before it began."""

    report: Report = lambda done, bad=0: None  # noqa: ARG005  a Report's names
    earlier: int = 0


class _Rate(ProgressColumn):
    """Things per second over the last seconds."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f} {self._unit}" if task.speed else "")


def _spinner(console: Console) -> str:
    """rich's spinner of letters that the terminal has."""
    return "line" if console.options.ascii_only else "dots"


class Narrator:
    """Says how a command comes along, in words on a terminal and as events elsewhere."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(file=sys.stderr, highlight=False)

    @contextmanager
    def phase(self, name: str, doing: str) -> Iterator[Phase]:
        """Times the block; what the block sets as `text` is said when it ends well, else `doing`."""
        phase = Phase(name, doing)
        with self._timed(phase), self._spinner(doing):
            yield phase

    def pictures(self, name: str, doing: str, total: int) -> AbstractContextManager[CountedPhase]:
        """The same for the phase that counts pictures."""
        return self.counted(name, doing, total, "pictures", "images/s")

    def bytes(self, name: str, doing: str, total: int) -> AbstractContextManager[CountedPhase]:
        """The same for a phase that counts bytes."""
        return self.counted(name, doing, total, BYTES, f"{BYTES}/s")

    @contextmanager
    def counted(self, name: str, doing: str, total: int, things: str, unit: str) -> Iterator[CountedPhase]:
        """The same for a phase that counts things, at a rate in `unit`."""
        phase, started = CountedPhase(name, doing), time.perf_counter()
        with self._timed(phase):
            if self.console.is_terminal:
                with self._bar(doing, total, unit) as phase.report:
                    yield phase
            else:
                phase.report = self._reporter(name, doing, total, things, unit)
                yield phase
            phase.count = total
            rate = (total - phase.earlier) / (time.perf_counter() - started)
            if things == BYTES:
                phase.text = f"{doing}: {total / 1e6:,.1f} MB, {rate / 1e6:,.1f} MB/s"
            else:
                phase.text = f"{doing}: {total:,} {things}, {rate:,.0f} {unit}"

    def say(self, text: str) -> None:
        """One sentence, above the bar where there is one."""
        self._put(Note(text), text)

    def lost(self, host: str, text: str) -> None:
        """One sentence on a host that was lost."""
        self._put(HostLost(host, text), text)

    def _put(self, event: Event, words: str) -> None:
        line = visible(words) if self.console.is_terminal else event_line(event)
        self.console.print(line, markup=False, emoji=False, soft_wrap=True)

    @contextmanager
    def _timed(self, phase: Phase) -> Iterator[None]:
        started = time.perf_counter()
        yield
        phase.seconds = time.perf_counter() - started
        ended = PhaseEnded(phase.name, round(phase.seconds, 1), phase.text, phase.count, phase.bad)
        self._put(ended, f"{phase.seconds:7.1f} s  {phase.text}")

    @contextmanager
    def _spinner(self, doing: str) -> Iterator[None]:
        if not self.console.is_terminal:
            yield
            return
        columns = (SpinnerColumn(_spinner(self.console)), TextColumn("{task.description}", markup=False))
        with LiveProgress(*columns, console=self.console, transient=True) as live:
            live.add_task(doing, total=None)
            yield

    @contextmanager
    def _bar(self, doing: str, total: int, unit: str) -> Iterator[Report]:
        how_far: tuple[ProgressColumn, ...] = (
            TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
            _Rate(unit),
        )
        if unit == f"{BYTES}/s":
            how_far = (DownloadColumn(), TransferSpeedColumn())
        columns = (
            # What turns while the first things are not done yet.
            SpinnerColumn(_spinner(self.console)),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30, style=REST),
            *how_far,
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
        )
        with LiveProgress(*columns, console=self.console, transient=True, speed_estimate_period=20) as live:
            task = live.add_task(doing, total=total)
            yield lambda done, bad=0: live.update(task, completed=done)  # noqa: ARG005  a Report's names

    def _reporter(self, name: str, doing: str, total: int, things: str, unit: str) -> Report:
        last_at, last_done, wait_for = time.perf_counter(), 0, FIRST_SECONDS

        def report(done: int, bad: int = 0) -> None:
            nonlocal last_at, last_done, wait_for
            now = time.perf_counter()
            if done <= last_done or done >= total or now - last_at < wait_for:
                return
            # Since the last line: what an earlier attempt has done comes all at once at the beginning.
            rate = (done - last_done) / (now - last_at)
            left = (total - done) / rate
            progress = Progress(name, doing, done, total, things, round(rate, 1), unit, round(left, 1), bad)
            self.console.print(event_line(progress), markup=False, emoji=False, soft_wrap=True)
            last_at, last_done, wait_for = now, done, EVERY_SECONDS

        return report
