"""Beside a run that is followed: a thread that looks for lost workers and has them made anew, as long as that lasts.

Whatever it cannot do is a line, and no reason for the run or its follower to end.
"""

import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from scripts import console, lock, tfvars
from scripts.cluster import Cluster, Host
from scripts.errors import AwsError, BusyError, InputError, OperatorError, StoppedError
from scripts.healing import workers
from scripts.hosts import keeper, readiness, spark_master
from scripts.hosts.keeper import Ends, NoKeeperError
from scripts.hosts.ssh import Hosts
from scripts.repair import instances
from scripts.runs.progress import span
from scripts.terraform import outputs, workspace

LOOK_SECONDS = 15.0
# A worker that runs and is not at work so long is not about to be: booting takes less, and so does a spot notice.
IDLE_SECONDS = 180.0
# What AWS says of an instance that does nothing by itself to be at work.
IDLE = ("running", OFF := "stopped")
# Between one failure and the next try; after the last failure it is for `make up`.
PAUSES = (60.0, 120.0, 240.0)
# Commands that make workers ready, as the keeper is told of them.
MAKERS = ("up", "start", "scale", "heal")
HELD_BY = "`make {}`"


@contextmanager
def beside(cluster: Cluster, heal: str) -> Iterator[None]:
    """Heal the cluster for the time of a block, and end what is under way; Ctrl-C does not wait. `heal` no: nothing.

    Raises InputError where `heal` is neither yes nor no.
    """
    if not _is_wished(heal):
        yield
        return
    healer, over = Healer(cluster), threading.Event()
    thread = threading.Thread(target=_watch, args=(healer, over), name="healing", daemon=True)
    thread.start()
    is_left = False
    try:
        yield
    except (KeyboardInterrupt, StoppedError):
        is_left = True
        raise
    finally:
        over.set()
        try:
            if not is_left:
                if healer.busy_with:
                    console.say(f"Waiting for {healer.busy_with} to be ready for work.")
                thread.join()
        except (KeyboardInterrupt, StoppedError):
            is_left = True
            raise
        finally:
            if is_left and healer.busy_with:
                goes_on = "`make up` goes on with it, `make follow` does, too"
                console.warn(f"{healer.busy_with} is not at work yet: {goes_on}.")


def _is_wished(heal: str) -> bool:
    if (wished := tfvars.BOOLEANS.get(heal.lower())) is None:
        raise InputError(f"HEAL={heal} is neither yes nor no.")
    return wished


def _watch(healer: "Healer", over: threading.Event) -> None:
    # Not before: what was begun with a wrong word is over at once.
    while not over.wait(LOOK_SECONDS):
        healer.look(time.monotonic())


class Healer:
    """What is known of a cluster's workers, look by look. `busy_with` names those that are being made ready now."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.busy_with = cluster, ""
        self._idle_since: dict[tuple[str, str], float] = {}
        self._rebooted: set[str] = set()
        self._failures, self._next, self._is_told = 0, 0.0, False

    def look(self, now: float) -> None:
        """See who is lost or idle at this moment, by a clock of seconds, and do about it what can be done."""
        if now < self._next:
            return
        try:
            self._see(now)
            self._is_told = False
        except OperatorError as error:
            self._fail(now, str(error))
        except Exception as error:  # a defect of healing ends no run that is followed
            console.log(traceback.format_exc())
            self._fail(now, f"{type(error).__name__}: {error}: see {console.log_file()}.")
        finally:
            self.busy_with = ""

    def _see(self, now: float) -> None:
        missing = self._missing()
        if missing is not None:
            # One that came back by its reboot has another, should it hang again.
            self._rebooted &= {host.id for host in missing}
        if workers.lost(self.cluster) or self._idle(now, missing or []):
            if self._failures <= len(PAUSES):
                self._heal(now)
        elif missing is not None and not missing:
            # Whole again, whoever made it so.
            self._failures = 0

    def _heal(self, now: float) -> None:
        with lock.changing(self.cluster.name, "run or follow, healing", patience=0):
            # Somebody may have made it another one meanwhile.
            self.cluster = outputs.current()
            ends = self._ends()
            if ends and (ends.ending or ends.ended):
                return
            _refuse_another_s(self.cluster, ends.held_by if ends else ())
            with keeper.held(self.cluster, "heal"):
                self._mend(now)

    def _mend(self, now: float) -> None:
        if gone := workers.lost(self.cluster):
            began = time.monotonic()
            self._begin(gone, "lost: another is made in its place while the run goes on")
            self._make_anew(gone, began)
        if idle := self._idle(now, self._missing() or []):
            self._wake(idle)

    def _wake(self, idle: list[Host]) -> None:
        """Workers that are there and not at work: those that are off are started, the others woken."""
        states = readiness.states(self.cluster)
        if running := [host for host in idle if states[host.name] == "running"]:
            self._wake_running(running)
        if off := [host for host in idle if states[host.name] == OFF]:
            self._start(off)
        self._idle_since.clear()

    def _make_anew(self, gone: list[Host], began: float, is_there: bool = False) -> None:
        try:
            self.cluster = workers.make_anew(self.cluster, gone, is_there)
        finally:
            is_over = self._end_new(gone)
        if not is_over:
            self._done(gone, began)

    def _end_new(self, gone: list[Host]) -> bool:
        """Whether the cluster was ended meanwhile from elsewhere; the new ones, unknown to that, are ended, too."""
        state = readiness.states(self.cluster)[self.cluster.master.name]
        if state in readiness.RUNS and not self._is_ending():
            return False
        self.cluster = outputs.current()
        now = readiness.states(self.cluster)
        named = [self.cluster.host(host.name) for host in gone]
        new = [host for host in named if host not in gone and now[host.name] in readiness.RUNS]
        if new:
            # As `make stop` does; to a master that is no more, none comes back.
            is_for_good = self.cluster.spot or state in ("terminated", "shutting-down")
            instances.end(self.cluster, new, is_for_good)
            console.say(f"{_names(new)}: ended again, for cluster {self.cluster.name} was ended meanwhile.")
        return True

    def _is_ending(self) -> bool:
        # A master that does not answer is no end yet.
        with suppress(OperatorError):
            ends = self._ends()
            return bool(ends and (ends.ending or ends.ended))
        return False

    def _start(self, off: list[Host]) -> None:
        began = time.monotonic()
        self._begin(off, "stopped, AWS says; started while the run goes on")
        if not instances.switch_on(self.cluster, off):
            raise AwsError(f"{_names(off)} did not come to run.")
        # They have other addresses now.
        workspace.Workspace(self.cluster.name).refresh()
        self.cluster = outputs.current()
        workers.equip(self.cluster, [self.cluster.host(host.name) for host in off])
        self._done(off, began)

    def _wake_running(self, idle: list[Host]) -> None:
        """Rebooted where they do not answer, replaced where that did not help; what answers is given what it lacks."""
        began = time.monotonic()
        silent = workers.silent(self.cluster, idle)
        dead = [host for host in silent if host.id in self._rebooted]
        if fresh := [host for host in silent if host not in dead]:
            self._begin(fresh, "runs, AWS says, and does not answer; rebooted while the run goes on")
            instances.reboot(self.cluster, fresh)
            self._rebooted |= {host.id for host in fresh}
            # Its time begins now, whatever becomes of the others below.
            self._idle_since.clear()
        if dead:
            self._begin(dead, "does not answer after a reboot: another is made in its place while the run goes on")
            self._make_anew(dead, began, is_there=True)
        if there := [host for host in idle if host not in silent]:
            self._begin(there, "not at work, and made ready while the run goes on")
            workers.equip(self.cluster, there)
            self._done(there, began)

    def _begin(self, hosts: list[Host], what: str) -> None:
        self.busy_with = _names(hosts)
        console.say(f"{self.busy_with}: {what}.")

    def _done(self, hosts: list[Host], began: float) -> None:
        self._failures, self.busy_with = 0, ""
        console.say(f"{_names(hosts)}: at work again after {span(time.monotonic() - began)}.")

    def _fail(self, now: float, sentence: str) -> None:
        """What was begun and did not end well has its number of tries; a look that came to nothing is made again."""
        if not self.busy_with:
            if not self._is_told:
                console.warn(f"Lost workers are not replaced yet: {sentence} Looked at again; the run goes on.")
            self._is_told = True
            return
        self._failures += 1
        if self._failures > len(PAUSES):
            console.warn(f"Lost workers are not replaced: {sentence} Not tried again; `make up` mends the cluster.")
            return
        pause = PAUSES[self._failures - 1]
        self._next = now + pause
        console.warn(f"Lost workers are not replaced yet: {sentence} Tried again in {span(pause)}; the run goes on.")

    def _idle(self, now: float, missing: list[Host]) -> list[Host]:
        """The workers that AWS says run, or are stopped, and that the master has not had for a while."""
        states = readiness.states(self.cluster) if missing else {}
        # One on its way up or down is left alone until it is there.
        idle = {host: (host.id, states[host.name]) for host in missing if states[host.name] in IDLE}
        self._idle_since = {key: self._idle_since.get(key, now) for key in idle.values()}
        return [host for host, key in idle.items() if now - self._idle_since[key] >= self._patience(host)]

    def _patience(self, host: Host) -> float:
        return instances.REBOOT_SECONDS if host.id in self._rebooted else IDLE_SECONDS

    def _missing(self) -> list[Host] | None:
        """The workers that the master does not have; None where it does not answer, which its follower says."""
        with Hosts(self.cluster) as hosts, suppress(OperatorError):
            state = spark_master.master_state(hosts, self.cluster)
            return [h for h in self.cluster.workers if h.private_ip not in state.alive] if state else None
        return None

    def _ends(self) -> Ends | None:
        """A cluster that is about to stop by itself takes its workers with it. None without a keeper."""
        with Hosts(self.cluster) as hosts, suppress(NoKeeperError):
            return keeper.ends(hosts)
        return None


def _refuse_another_s(cluster: Cluster, held_by: Sequence[str]) -> None:
    """What makes workers from another laptop knows nothing of the lock here. Raises BusyError."""
    for task in MAKERS:
        if any(held.startswith(HELD_BY.format(task)) for held in held_by):
            # The keeper believes one that was cut off for some minutes yet.
            raise BusyError(f"`make {task}` is at work on cluster {cluster.name} from elsewhere, or was just cut off.")


def _names(hosts: list[Host]) -> str:
    return ", ".join(host.name for host in hosts)
