"""Follows a run on the master until it ends; whoever goes away meanwhile leaves it running."""

import re
import time
from contextlib import ExitStack
from dataclasses import dataclass

from scripts import console
from scripts.runs import systemd_unit
from scripts.errors import HostError, NoClusterError, StoppedError
from scripts.hosts.ssh import Hosts
from scripts.runs.systemd_unit import Look
from scripts.runs.systemd_unit import Unit

LOOK_EVERY = 1.0  # seconds
PATIENCE = 120.0  # seconds without the master until it is given up
PROGRESS = re.compile(
    r"^(?P<doing>.+): (?P<done>[\d,]+) of (?P<total>[\d,]+) pictures, "
    r"(?P<rate>[\d,]+) images/s, (?P<left>[\d,]+) s left$"
)


@dataclass(frozen=True)
class Progress:
    """How far a run is: pictures done of all, pictures a second, seconds left as the job reckons."""

    doing: str
    done: int
    total: int
    rate: int
    left: int

    def __str__(self) -> str:
        return f"{self.done:,} of {self.total:,} pictures, {self.rate:,} images/s, {span(self.left)} left"


def progress_in(line: str) -> Progress | None:
    """What a line of the job tells of its progress, if it is such a line."""
    found = PROGRESS.match(line)
    if found is None:
        return None
    numbers = {name: int(found[name].replace(",", "")) for name in ("done", "total", "rate", "left")}
    return Progress(doing=found["doing"], **numbers)


def last_progress(lines: tuple[str, ...]) -> Progress | None:
    """The latest word on progress among these lines."""
    return next((progress for line in reversed(lines) if (progress := progress_in(line))), None)


def span(seconds: float) -> str:
    """A length of time for people: 45 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def follow(hosts: Hosts, run_id: str) -> Unit:
    """Show what the job prints until it ends; gives the ended unit.

    Raises StoppedError on Ctrl-C, HostError when the master has not answered for PATIENCE seconds; neither touches the
    run. Raises NoClusterError when the master knows of no such run.
    """
    try:
        return _follow(hosts, run_id)
    except KeyboardInterrupt:
        raise StoppedError(
            f"Run {run_id} goes on without you: `make follow RUN={run_id}` attaches again, "
            f"`make stop-run RUN={run_id}` ends it."
        ) from None


def _follow(hosts: Hosts, run_id: str) -> Unit:
    cursor = ""
    with ExitStack() as stack:
        bar: console.Bar | None = None
        while True:
            seen = _look(hosts, run_id, cursor)
            cursor = seen.cursor
            for line in seen.lines:
                progress = progress_in(line)
                if progress is None or not console.is_terminal():
                    console.say(line)
                    continue
                bar = bar or stack.enter_context(console.bar(progress.doing))
                bar.show(progress.done, progress.total, str(progress))
            if seen.unit is None:
                raise NoClusterError(
                    f"The master knows of no run {run_id}, for it has restarted: "
                    f"`make runs` shows how far it came, `make run RUN={run_id}` goes on with it."
                )
            if not seen.unit.is_running:
                return seen.unit
            time.sleep(LOOK_EVERY)


def _look(hosts: Hosts, run_id: str, cursor: str) -> Look:
    """A look at the run, tried again while the connection is lost."""
    lost_at: float | None = None
    while True:
        try:
            seen = systemd_unit.look(hosts, run_id, cursor)
        except HostError as error:
            if lost_at is None:
                lost_at = time.monotonic()
                console.warn(f"{str(error).partition(':')[0]}. Run {run_id} goes on by itself; trying again.")
            if time.monotonic() - lost_at > PATIENCE:
                raise HostError(
                    f"The master has not answered for {span(PATIENCE)}. Run {run_id} goes on by itself: "
                    f"`make follow RUN={run_id}` attaches again."
                ) from None
            hosts.close()
            time.sleep(LOOK_EVERY)
        else:
            if lost_at is not None:
                console.warn(f"The master answers again after {span(time.monotonic() - lost_at)}.")
            return seen
