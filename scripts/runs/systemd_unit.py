"""A run as the master's systemd knows it: a transient unit that outlives whoever started it. Asked by orchard-run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scripts.hosts import orchard_run
from scripts.hosts.ssh import Remote

ENDED_BY_REQUEST = 130
START_SECONDS = 60
ANSWER_SECONDS = 15


@dataclass(frozen=True)
class Unit:
    """A run's unit: `code` is the job's own exit code once it has ended, 128 and the signal where it was killed.

    Times are seconds of the epoch by the master's clock.
    """

    run_id: str
    is_running: bool
    code: int | None
    began_at: float
    ended_at: float | None

    def seconds(self, now: float) -> float:
        """How long it has run, or ran."""
        return (self.ended_at or now) - self.began_at


@dataclass(frozen=True)
class Snapshot:
    """A run at one moment: its unit (None: the master knows of none), new lines, where to go on reading.

    `warning` is what the cluster's keeper says of an end that is near, `notices` what of workers that AWS takes back.
    """

    unit: Unit | None
    lines: tuple[str, ...]
    cursor: str
    warning: str | None = None
    notices: tuple[str, ...] = ()


def start(hosts: Remote, run_id: str, description: str, words: Sequence[str], own: bool = False) -> None:
    """Start the job with these words on the master. An ended unit of that name gives way.

    With `own` it is a person's own program, and the words are its launcher's.
    """
    kind = ("--own",) if own else ()
    _ask(hosts, "start", run_id, *kind, "--description", description, "--", *words, timeout=START_SECONDS)


def ask_to_stop(hosts: Remote, run_id: str) -> None:
    """Send the job SIGTERM: it keeps what is finished and ends. It may take some seconds."""
    _ask(hosts, "stop", run_id)


def known(hosts: Remote) -> list[Unit]:
    """Every run that the master knows of since it booted, the latest begun last."""
    return [Unit(**run) for run in _ask(hosts, "list")]


def running(hosts: Remote) -> list[Unit]:
    """The runs that go on now."""
    return [unit for unit in known(hosts) if unit.is_running]


def snapshot(hosts: Remote, run_id: str, cursor: str = "") -> Snapshot:
    """The unit, and what it has printed since `cursor`. When it has ended, all of it has been printed."""
    # Asked every second: the log file would hold little else.
    seen = _ask(hosts, "look", run_id, f"--cursor={cursor}", log=False)
    unit = Unit(**seen["run"]) if seen["run"] else None
    return Snapshot(unit, tuple(seen["lines"]), seen["cursor"], seen.get("warning"), tuple(seen.get("notices", ())))


def _ask(hosts: Remote, *words: str, timeout: float = ANSWER_SECONDS, log: bool = True) -> Any:
    return orchard_run.ask(hosts, hosts.cluster.master, *words, timeout=timeout, log=log)
