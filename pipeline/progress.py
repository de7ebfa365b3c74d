"""What a person sees while a run goes on: one live bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

PLAIN_LINE_SECONDS = 10.0


class _Rate(ProgressColumn):
    """Things per second over the last seconds."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f} {self._unit}" if task.speed else "")


class Narrator:
    """Tells the phases of a run as they end, with their seconds, which it keeps."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(file=sys.stderr, highlight=False)
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str, doing: str) -> Iterator[list[str]]:
        """Times the block under `name`; what the block appends to the list is told when it ends well."""
        said: list[str] = []
        started = time.perf_counter()
        with self._spinner(doing):
            yield said
        self._end(name, started, " ".join(said) or doing)

    def pictures(self, name: str, doing: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """The same for the phase that counts pictures; the block is given the function to report with."""
        return self.counted(name, doing, total, "pictures", "images/s")

    @contextmanager
    def counted(self, name: str, doing: str, total: int, things: str, rate: str) -> Iterator[Callable[[int], None]]:
        """The same for a phase that counts things, told at this rate's name."""
        started = time.perf_counter()
        if self.console.is_terminal:
            with self._bar(doing, total, rate) as report:
                yield report
        else:
            yield self._plain(f"{doing}: {{:,}} of {total:,} {things}, {{:,.0f}} {rate}, {{:,.0f}} s left", total)
        took = time.perf_counter() - started
        self._end(name, started, f"{doing}: {total:,} {things}, {total / took:,.0f} {rate}")

    def say(self, line: str) -> None:
        """One line, above the bar where there is one."""
        self.console.print(line, markup=False, soft_wrap=True)

    def _end(self, name: str, started: float, text: str) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started
        self.say(f"{self.seconds[name]:7.1f} s  {text}")

    @contextmanager
    def _spinner(self, doing: str) -> Iterator[None]:
        if not self.console.is_terminal:
            yield
            return
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False))
        with Progress(*columns, console=self.console, transient=True) as live:
            live.add_task(doing, total=None)
            yield

    @contextmanager
    def _bar(self, doing: str, total: int, rate: str) -> Iterator[Callable[[int], None]]:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
            _Rate(rate),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
        )
        with Progress(*columns, console=self.console, transient=True, speed_estimate_period=20) as live:
            task = live.add_task(doing, total=total)
            yield lambda done: live.update(task, completed=done)

    def _plain(self, line: str, total: int) -> Callable[[int], None]:
        started = time.perf_counter()
        last = [started, 0.0]

        def report(done: int) -> None:
            now = time.perf_counter()
            if done > last[1] and done < total and now - last[0] >= PLAIN_LINE_SECONDS:
                rate = done / (now - started)
                self.say(line.format(done, rate, (total - done) / rate))
                last[:] = [now, done]

        return report
