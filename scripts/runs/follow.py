"""Follows a run on the master until it ends; whoever goes away meanwhile leaves it running."""

import math
import time
from collections.abc import Iterable
from contextlib import ExitStack

from scripts import console
from scripts.aws.bucket import bucket_of
from scripts.errors import HostError, NoClusterError, StoppedError
from scripts.hosts.ssh import Remote
from scripts.runs import progress, systemd_unit
from scripts.runs.own_job import stored_jobs
from scripts.runs.progress import Progress, span
from scripts.runs.systemd_unit import Snapshot, Unit
from scripts.waiting import wait_until

PAUSE_SECONDS = 1.0
PATIENCE_SECONDS = 120.0  # without the master until it is given up


def follow(hosts: Remote, run_id: str) -> Unit:
    """Show what the job says until it ends; gives the ended unit.

    Raises StoppedError on Ctrl-C, HostError when the master has not answered for PATIENCE_SECONDS; neither touches the
    run. Raises NoClusterError when the master knows of no such run, and what reading its bucket raises then.
    """
    try:
        with ExitStack() as stack:
            return _follow(hosts, run_id, _Screen(stack))
    except KeyboardInterrupt:
        raise StoppedError(
            f"Run {run_id} goes on without you: `make follow RUN={run_id}` attaches again, "
            f"`make stop-run RUN={run_id}` ends it."
        ) from None


class _Screen:
    """Shows a job's lines: words as they are, progress as a bar where a line can be overwritten."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._bar: console.Bar | None = None
        self._warned: str | None = None
        self._noticed: set[str] = set()

    def warn(self, warning: str | None) -> None:
        """Show what the keeper says of an end that is near, each sentence once."""
        if warning and warning != self._warned:
            console.warn(warning)
        self._warned = warning

    def notice(self, notices: Iterable[str]) -> None:
        """Show what the keeper says of workers that AWS takes back, each sentence once."""
        for sentence in notices:
            if sentence not in self._noticed:
                console.warn(sentence)
            self._noticed.add(sentence)

    def show(self, lines: Iterable[str]) -> None:
        for said in map(progress.read, lines):
            if isinstance(said, str):
                console.say(said)
            elif not console.is_terminal():
                console.say(said.line)
            else:
                self._draw(said)

    def _draw(self, said: Progress) -> None:
        self._bar = self._bar or self._stack.enter_context(console.bar(said.doing))
        self._bar.show(said.done, said.total, str(said))


def _follow(hosts: Remote, run_id: str, screen: _Screen) -> Unit:
    cursor = ""

    def ended() -> Unit | None:
        nonlocal cursor
        seen = _snapshot(hosts, run_id, cursor)
        cursor = seen.cursor
        screen.show(seen.lines)
        screen.warn(seen.warning)
        screen.notice(seen.notices)
        if seen.unit is None:
            raise _forgotten(hosts, run_id)
        return None if seen.unit.is_running else seen.unit

    unit = wait_until(ended, seconds=math.inf, every=PAUSE_SECONDS)
    assert unit is not None  # an endless wait
    return unit


def _forgotten(hosts: Remote, run_id: str) -> NoClusterError:
    """What is left of a run whose master has restarted: a job of the person's own is not gone on with."""
    if stored_jobs(bucket_of(hosts.cluster), [run_id])[0]:
        return NoClusterError(
            f"The master knows of no job {run_id}, for it has restarted: `make results JOB={run_id}` fetches what it "
            "wrote, `make submit` begins another."
        )
    return NoClusterError(
        f"The master knows of no run {run_id}, for it has restarted: "
        f"`make runs` shows how far it came, `make run RUN={run_id}` goes on with it."
    )


def _snapshot(hosts: Remote, run_id: str, cursor: str) -> Snapshot:
    """The run now, asked again while the connection is lost."""
    lost_at: float | None = None

    def seen() -> Snapshot | None:
        nonlocal lost_at
        try:
            return systemd_unit.snapshot(hosts, run_id, cursor)
        except HostError as error:
            if lost_at is None:
                lost_at = time.monotonic()
                console.warn(f"{str(error).partition(':')[0]}. Run {run_id} goes on by itself; trying again.")
            hosts.close()
            return None

    snapshot = wait_until(seen, seconds=PATIENCE_SECONDS, every=PAUSE_SECONDS)
    if snapshot is None:
        raise HostError(
            f"The master has not answered for {span(PATIENCE_SECONDS)}. Run {run_id} goes on by itself: "
            f"`make follow RUN={run_id}` attaches again."
        )
    if lost_at is not None:
        console.warn(f"The master answers again after {span(time.monotonic() - lost_at)}.")
    return snapshot
