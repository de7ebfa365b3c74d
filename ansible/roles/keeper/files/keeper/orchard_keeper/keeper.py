"""The master's keeper: looks every few seconds at what is at work, announces an end, and ends the cluster.

It reaches the world through `Host` alone, and the time through its clocks.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from orchard_keeper import ledger
from orchard_keeper.aws import AwsError
from orchard_keeper.ends import AGE, End, Limits, age_end, clock, next_end
from orchard_keeper.ledger import Machine, Whose
from orchard_keeper.state import State, Store
from orchard_keeper.work import Activity, RunProgress

# A clock that has moved by more than this against the kernel's own was set.
CLOCK_SET_SECONDS = 60.0
MINUTE_SECONDS = 60.0
LEDGER_SECONDS = 600.0
# Until an instance that AWS was asked to stop switches itself off.
PATIENCE_SECONDS = 90.0
WORKERS_SAVE_SECONDS = 90.0
# After a longer break without a look, people are given the notice of an end anew.
LONGEST_BREAK_SECONDS = 400.0
# What is later than that is no sign of work, but of a clock that was set.
CLOCKS_DIFFER_SECONDS = 60.0
MOST_NAMED = 20

log = logging.getLogger(__name__)
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Look:
    """What is to be seen at one moment: activities, the Spark master's numbers, progress of the run under way.

    `notices` are sentences on workers that AWS takes back.
    """

    activities: tuple[Activity, ...] = ()
    workers_alive: int = 0
    cores: int = 0
    tasks: int = 0
    progress: RunProgress = field(default_factory=RunProgress)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    free_disk_gb: float = 0.0
    notices: tuple[str, ...] = ()

    def held_by(self, now: float) -> list[str]:
        """What is at work now."""
        return [activity.what for activity in self.activities if now <= activity.at <= now + CLOCKS_DIFFER_SECONDS]


class Host(Protocol):
    """What the keeper needs of its host and of AWS."""

    def boot(self) -> tuple[str, float]:
        """The boot's name, and when it was."""

    def look(self, holds: dict[str, float], now: float) -> Look:
        """What is at work."""

    def machines(self) -> list[Machine]:
        """The cluster's instances. Raises AwsError."""

    def tell_terminals(self, sentence: str) -> None:
        """Write it on every terminal of this host."""

    def publish_status(self, status: dict[str, Any]) -> None:
        """Have it read by whoever asks: status, JupyterLab, workers."""

    def stop_runs(self) -> None:
        """End every run kindly, and wait for it."""

    def save_logs(self, prefix: str, seconds: float) -> None:
        """Save this host's logs below the prefix and wait for the workers', so long at most."""

    def is_run_under_way(self) -> bool:
        """Whether a run goes on at this moment."""

    def end(self, machines: list[Machine]) -> list[str]:
        """Have AWS stop or terminate them; gives what was refused."""

    def power_off(self) -> None:
        """Switch this host off."""

    def put(self, key: str, content: dict[str, Any]) -> None:
        """Put an object into the bucket. Raises AwsError."""

    def publish_metrics(self, values: dict[str, tuple[float, str]]) -> None:
        """Put metrics where they are wanted. Raises AwsError."""


class Keeper:
    """One look after another: `look()` is called every few seconds and does all there is to do by then."""

    def __init__(
        self,
        host: Host,
        store: Store,
        limits: Limits,
        whose: Whose,
        wall: Callable[[], float],
        steady: Callable[[], float],
    ) -> None:
        self._host, self._store, self._limits, self._whose = host, store, limits, whose
        self._wall, self._steady = wall, steady
        self._clocks = (wall(), steady())
        self._machines: list[Machine] = []
        self._minute_at = self._ledger_at = 0.0
        self._complaints: set[str] = set()
        self._has_begun_ending = False

    def look(self) -> None:
        """Look once, and do what is due."""
        clocks = (self._wall(), self._steady())
        is_minute = self._steady() >= self._minute_at
        if is_minute:
            self._minute_at = self._steady() + MINUTE_SECONDS
            self._machines = self._asked_machines()
        now = self._wall()
        seen = self._seen(self._store.read().holds, now)
        with self._store.locked():
            state = self._store.read()
            state.shift(set_by(self._clocks, clocks))
            self._recognise(state, now)
            self._take_in(state, seen, now)
            end = next_end(state.times, self._limits)
            is_entry_due = state.is_launch_known and not state.ended and self._steady() >= self._ledger_at
            state.account.requests["put"] += is_entry_due
            if not state.ended:
                self._announce(state, end, now)
                if end is None or now < end.at:
                    state.ending = ""  # of an ending that a crash cut short, and that was put off since
            self._store.write(state)
        self._clocks = clocks
        self._surely(lambda: self._host.publish_status(self.status(state, end, seen, now)))
        if state.ended:
            self._insist(state, now)
        elif end and now >= end.at:
            self._end(end)
        else:
            self._report(state, seen, now, is_minute, is_entry_due)

    # Taking in

    def _seen(self, holds: dict[str, float], now: float) -> Look:
        """What is to be seen; where that fails, that nothing is known, which holds the cluster until its age limit."""
        try:
            return self._host.look(holds, now)
        except Exception as error:  # whatever it is, it must neither end a cluster nor keep the age limit from coming
            log.exception("nothing is seen")
            return Look((Activity(f"whether anything is at work is not known ({type(error).__name__})", now),))

    def _surely(self, do: Callable[[], None]) -> None:
        """Do it; where it fails, go on all the same: it is no reason for a cluster to go on for ever."""
        try:
            do()
        except Exception:  # whatever it is: the steps behind it are to be taken
            log.exception("a step failed")

    def _asked_machines(self) -> list[Machine]:
        found = self._asked(self._host.machines, "AWS does not say which instances there are")
        return found or self._machines

    def _asked(self, ask: Callable[[], Answer], complaint: str) -> Answer | None:
        """What AWS answers; where it does not, that is told once until it does again."""
        try:
            answer = ask()
        except AwsError as error:
            if complaint not in self._complaints:
                log.warning("%s: %s", complaint, error)
            self._complaints.add(complaint)
            return None
        self._complaints.discard(complaint)
        return answer

    def _recognise(self, state: State, now: float) -> None:
        """Begin a new stretch where the master was started by AWS since; a reboot goes on with the old one."""
        boot_id, booted_at = self._host.boot()
        launched_at = next((machine.launched_at for machine in self._machines if machine.is_master), 0.0)
        if launched_at:
            is_new = launched_at > state.launched_at
        else:
            # AWS is silent: what went on until this boot goes on.
            is_new = state.boot_id != boot_id and (not state.launched_at or bool(state.ended))
        if is_new:
            # Where nothing is known, the keeper is new on a host that may have worked for long.
            begin_stretch(state, launched_at or booted_at, booted_at if state.boot_id else now)
        elif launched_at:
            state.launched_at = launched_at
        if now - state.looked_at > LONGEST_BREAK_SECONDS:
            state.watched_from = now
        state.is_launch_known = state.is_launch_known or bool(launched_at)
        state.boot_id, state.booted_at, state.looked_at = boot_id, booted_at, now

    def _take_in(self, state: State, seen: Look, now: float) -> None:
        signs = [activity.at for activity in seen.activities if activity.at <= now + CLOCKS_DIFFER_SECONDS]
        state.busy_at = max([state.busy_at, *(min(sign, now) for sign in signs)])
        state.holds = {name: until for name, until in state.holds.items() if until > now}
        if state.holds:
            state.busy_at = max(state.busy_at, now)
        account = state.account
        if not state.ended:
            account.add(now, self._machines, bool(seen.held_by(now)), state.launched_at or now)
        for run_id, run in seen.runs.items():
            account.requests["get"] += (run["pictures"] or 0) - (account.runs.get(run_id, {}).get("pictures") or 0)
            account.runs[run_id] = run

    # Saying

    def status(self, state: State, end: End | None, seen: Look, now: float) -> dict[str, Any]:
        """What there is to know, for `make status`, the follow of a run, JupyterLab and the workers."""
        held_by = seen.held_by(now)
        return {
            "at": now,
            "held_by": held_by[:MOST_NAMED],
            "idle_since": None if held_by else state.busy_at,
            "ends_at": end and end.at,
            "ends_kind": end and end.kind,
            "age_ends_at": age_end(state.times, self._limits),
            "kept_until": state.kept_until if state.kept_until > now else None,
            "aws_stops_at": state.aws_stops_at,
            "warning": state.announced or None,
            "notices": list(seen.notices[:MOST_NAMED]),
            "ending": state.ending or None,
            "logs": state.logs or None,
            "ended": state.ended or None,
            "usd": state.account.total,
            "currency": state.account.rates and state.account.rates.currency,
        }

    def _announce(self, state: State, end: End | None, now: float) -> None:
        """Tell terminals of an end that is near, once, and that it was put off."""
        due = end is not None and end.is_announced_by(now)
        sentence = self._sentence(end) if end and due else ""
        if sentence == state.announced:
            return
        was_announced, state.announced = bool(state.announced), sentence
        if sentence:
            self._host.tell_terminals(sentence)
        elif was_announced:
            self._host.tell_terminals(f"Cluster {self._whose.cluster} goes on.")

    def _sentence(self, end: End) -> str:
        # Below 140 characters for most names: JupyterLab cuts what is longer.
        return (
            f"Cluster {self._whose.cluster} stops at {clock(end.at)}: {end.why}. `make keep`, or `keep` on the master, "
            "puts it off."
        )

    def _report(self, state: State, seen: Look, now: float, is_minute: bool, is_entry_due: bool) -> None:
        """Write metrics each minute, and now and then the ledger."""
        if is_minute:
            self._surely(
                lambda: self._asked(
                    lambda: self._host.publish_metrics(metrics(state, seen, now)), "no metrics were written"
                )
            )
        if is_entry_due:
            self._ledger_at = self._steady() + LEDGER_SECONDS
            # The laptop may have closed it meanwhile.
            if not self._store.read().ended:
                self._surely(lambda: self._write_ledger(state, now))

    def _write_ledger(self, state: State, now: float) -> None:
        started_at = state.launched_at or state.age_from
        key = ledger.key(self._whose.cluster, started_at)
        entry = ledger.entry(self._whose, state.account, started_at, now, state.ended)
        self._asked(lambda: self._host.put(key, entry), "the ledger was not written")

    # Ending

    def _end(self, end: End) -> None:
        """End the cluster, unless it is put off, or work begins, before the last step."""
        why = f"{end.kind}: {end.why}"
        logs = self._begin_ending(why)
        if end.kind == AGE:
            self._surely(self._host.stop_runs)
        if logs:
            self._surely(lambda: self._host.save_logs(logs, WORKERS_SAVE_SECONDS))
        now = self._wall()
        seen = self._seen(self._store.read().holds, now)
        with self._store.locked():
            state = self._store.read()
            self._take_in(state, seen, now)
            if self._is_run_under_way():
                state.busy_at = now  # begun since that look: no other begins before the lock is free
            later = next_end(state.times, self._limits)
            if later is None or later.at > now:
                state.ending = ""
                self._announce(state, later, now)
            else:
                # Before anything is asked of AWS: this host may be gone the next moment, and no run begins from now on.
                state.ended, state.insist_at = why, now + PATIENCE_SECONDS
                state.account.requests["put"] += 1
            self._store.write(state)
        self._surely(lambda: self._host.publish_status(self.status(state, later, seen, now)))
        if state.ended:
            log.warning("the cluster stops: %s", state.ended)
            self._surely(lambda: self._write_ledger(state, now))
            self._surely(self._stop)

    def _is_run_under_way(self) -> bool:
        """Whether one is; where that cannot be seen, one may be."""
        try:
            return self._host.is_run_under_way()
        except Exception:  # whatever it is, it must end no cluster
            log.exception("the runs are not seen")
            return True

    def _begin_ending(self, why: str) -> str:
        """Say that the cluster is about to end, which has workers save their logs; gives where to.

        Empty where a keeper before this one has come so far already: it was ended while it saved them.
        """
        now = self._wall()
        with self._store.locked():
            state = self._store.read()
            is_again = bool(state.ending) and not self._has_begun_ending
            state.ending, state.logs = why, f"logs/{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}"
            self._store.write(state)
        self._has_begun_ending = True
        self._surely(lambda: self._host.publish_status(self.status(state, None, Look(), now)))
        return "" if is_again else state.logs

    def _stop(self) -> None:
        for refusal in self._host.end(self._asked_machines()):
            log.error("AWS did not end %s", refusal)

    def _insist(self, state: State, now: float) -> None:
        """Switch this host off where AWS has not; workers that no longer reach it follow by themselves."""
        if now >= state.insist_at:
            self._surely(self._stop)
            self._surely(self._host.power_off)


def set_by(before: tuple[float, float], after: tuple[float, float]) -> float:
    """Seconds by which somebody set the clock between two looks at it and at the kernel's own; 0 where it only ran."""
    drift = (after[0] - before[0]) - (after[1] - before[1])
    return drift if abs(drift) > CLOCK_SET_SECONDS else 0.0


def begin_stretch(state: State, launched_at: float, booted_at: float) -> None:
    """Forget the stretch before; what this boot was told already, by `make start` for one, stays."""
    fresh = State(
        launched_at=launched_at,
        age_from=max(booted_at, state.age_from),
        busy_at=max(booted_at, state.busy_at),
        # A `keep` of before a stop is no keep of what was started again.
        kept_until=state.kept_until if state.age_from >= booted_at else 0.0,
        aws_stops_at=state.aws_stops_at,
        holds=state.holds,
    )
    fresh.account.rates = state.account.rates
    state.__dict__.update(fresh.__dict__)


def metrics(state: State, seen: Look, now: float) -> dict[str, tuple[float, str]]:
    """The cluster in CloudWatch: each a value and CloudWatch's name of its unit."""
    idle = 0.0 if seen.held_by(now) else max(0.0, now - state.busy_at) / 60
    return {
        "WorkersAlive": (seen.workers_alive, "Count"),
        "Cores": (seen.cores, "Count"),
        "TasksRunning": (seen.tasks, "Count"),
        "PicturesDone": (seen.progress.done, "Count"),
        "ImagesPerSecond": (seen.progress.rate, "Count/Second"),
        "BadPictures": (seen.progress.bad, "Count"),
        "IdleMinutes": (idle, "None"),
        "FreeDiskGB": (seen.free_disk_gb, "Gigabytes"),
        "USDSinceStart": (state.account.total or 0.0, "None"),
    }
