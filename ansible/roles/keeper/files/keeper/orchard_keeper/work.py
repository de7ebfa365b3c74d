"""What is at work on the cluster, asked on its master: runs, Spark's tasks, kernels, terminals.

What cannot be seen counts as work until the age limit: no fault of a look stops a cluster that works.
"""

import json
import pwd
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orchard_run
from orchard_run import is_active, listener, user_of

PAGE_SECONDS = 5
LOOPBACK = "127.0.0.1"
TERMINALS = Path("/dev/pts")
APPLICATION = re.compile(r"[A-Za-z0-9_.-]{1,100}")
NAME_LENGTH = 80
MOST_COUNTED = 1e9
LINES = 1000  # of a run's words at a look: the last one on its progress is what is wanted
# For all pages of drivers in one look: they are the work's own.
DRIVERS_SECONDS, DRIVER_SECONDS = 30.0, 3.0
EXECUTING = "busy"

Facts = dict[str, Any]


@dataclass(frozen=True)
class Activity:
    """A sign of work: what, and when it was seen last (seconds of the epoch); of what goes on, that is now."""

    what: str
    at: float


@dataclass(frozen=True)
class Tasks:
    """An application's tasks: how many run now, and how many each executor, by its id, was ever given."""

    running: int
    given: dict[str, int]

    def has_more_than(self, before: "Tasks") -> bool:
        """Whether there were any since that look."""
        return any(number > before.given.get(executor, 0) for executor, number in self.given.items())


@dataclass(frozen=True)
class Spark:
    """What the Spark master and the drivers say: workers alive, cores, tasks running, activities, tasks by application.

    The last is None where nobody has looked yet.
    """

    workers_alive: int = 0
    cores: int = 0
    tasks: int = 0
    activities: tuple[Activity, ...] = ()
    applications: dict[str, Tasks] | None = None


def told(what: str, look: Callable[[], Iterable[Activity]], now: float) -> list[Activity]:
    """What a look gives; where it fails, that this is not known."""
    try:
        return list(look())
    except Exception as error:  # whatever it is, it must end no cluster
        return [Activity(f"whether {what} is not known ({type(error).__name__}: {shown(str(error))})", now)]


def of_runs(runs: Iterable[dict[str, Any]], now: float) -> Iterator[Activity]:
    """Runs as orchard-run lists them: one that goes on is work now, one that has ended was until its end."""
    for run in runs:
        yield Activity(f"run {run['run_id']}", now if run["is_running"] else run["ended_at"] or run["began_at"])


def of_holds(holds: dict[str, float], now: float) -> Iterator[Activity]:
    """Commands under way on a laptop that are still believed."""
    return (Activity(f"`make {name}` on a laptop", now) for name, until in holds.items() if until > now)


def spark(facts: Facts, now: float, before: Spark = Spark()) -> Spark:
    """Applications with a running task, or with any since the look before, and what else the master says of itself."""
    state = orchard_run.page(facts["master_address"], facts["ports"]["master_ui"])
    if state is None:
        if is_active(facts["units"]["master"]):
            raise TimeoutError("the Spark master does not answer")
        return Spark()
    alive, until = sum(worker["state"] == "ALIVE" for worker in state["workers"]), time.monotonic() + DRIVERS_SECONDS
    applications = state["activeapps"]
    pages = {page["id"]: page["port"] for page in orchard_run.job_pages(facts, DRIVER_SECONDS)} if applications else {}
    seen: dict[str, Tasks] = {}
    activities: list[Activity] = []
    for application in applications:
        number, tasks = application["id"], None
        if time.monotonic() < until:
            tasks = tasks_of(facts, pages.get(number), number)
        were = None if before.applications is None else before.applications.get(number, Tasks(0, {}))
        activities += of_application(application, tasks, were, now)
        if tasks:
            seen[number] = tasks
        elif were:
            # A page that was missed once: what was known of it still is, and none is known to run.
            seen[number] = Tasks(0, were.given)
    running = sum(tasks.running for tasks in seen.values())
    return Spark(alive, int(state["cores"]), running, tuple(activities), seen)


def of_application(
    application: dict[str, Any], tasks: Tasks | None, were: Tasks | None, now: float
) -> Iterator[Activity]:
    """An application by its tasks: now, None where they are not seen, and at the look before, None for the first."""
    name, cores = shown(str(application["name"])), int(counted(application["cores"]))
    if tasks is None:
        if cores:
            yield Activity(f"{name}, which has {cores} cores and shows no page", now)
    elif tasks.running:
        yield Activity(f"{name} ({tasks.running} tasks)", now)
    elif were and tasks.has_more_than(were):
        # A person's short queries begin and end between two looks.
        yield Activity(f"{name} (tasks a moment ago)", now)


def tasks_of(facts: Facts, port: int | None, application: str) -> Tasks | None:
    """The tasks of an application's executors; None where its driver shows no page."""
    if port is None or not APPLICATION.fullmatch(application):
        return None
    url = f"http://{facts['private_address']}:{port}/api/v1/applications/{application}/executors"
    executors = orchard_run.asked(url, DRIVER_SECONDS)
    try:
        given = {str(executor.get("id")): int(counted(executor.get("totalTasks", 0))) for executor in executors}
        return Tasks(int(counted(sum(counted(executor["activeTasks"]) for executor in executors))), given)
    except (TypeError, AttributeError, KeyError, ValueError, OverflowError):
        return None


def of_kernels(facts: Facts, now: float) -> Iterator[Activity]:
    """Kernels: one that executes is work now, another was when it was last asked for something."""
    if not is_active(facts["units"]["jupyter"]):
        return
    kernels, sessions = (from_jupyter(facts, path) for path in ("kernels", "sessions"))
    names = {session["kernel"]["id"]: session["path"] for session in sessions if session.get("kernel")}
    for kernel in kernels:
        last = datetime.fromisoformat(kernel["last_activity"]).astimezone(UTC).timestamp()
        name = shown(str(names.get(kernel["id"], "no notebook")))
        yield Activity(f"kernel of {name}", now if kernel["execution_state"] == EXECUTING else last)


def from_jupyter(facts: Facts, path: str) -> list[dict[str, Any]]:
    """A list of JupyterLab's. Raises TimeoutError where it does not answer."""
    port = facts["ports"]["jupyter"]
    if listener(port) != user_of(facts["units"]["jupyter"]):
        raise TimeoutError("JupyterLab does not listen")  # whoever else does is not told its token
    token = Path(facts["paths"]["jupyter_token"]).read_text().strip()
    url = f"http://{LOOPBACK}:{port}/api/{path}"
    listed = orchard_run.asked(url, PAGE_SECONDS, {"Authorization": f"token {token}"})
    if not isinstance(listed, list):
        raise TimeoutError("JupyterLab does not answer")
    return listed


def of_terminals(folder: Path = TERMINALS) -> Iterator[Activity]:
    """Terminals, of SSH sessions and of JupyterLab, by their last input."""
    for terminal in folder.iterdir():
        if not terminal.name.isdigit():
            continue
        try:
            found = terminal.stat()
            user = pwd.getpwuid(found.st_uid).pw_name
        except (OSError, KeyError):
            continue  # closed meanwhile, or nobody's
        # A terminal's access time is its last input; what is printed there changes the other one.
        yield Activity(f"input at terminal {terminal.name} of {user}", found.st_atime)


def shown(text: str) -> str:
    """Somebody else's word as a short piece of a line."""
    return printable(text)[:NAME_LENGTH]


def printable(text: str) -> str:
    """The text without what a terminal would obey."""
    return "".join(character if character.isprintable() else "?" for character in text)


@dataclass(frozen=True)
class RunProgress:
    """How far the run under way is: pictures done and bad, and how many a second just now."""

    done: int = 0
    bad: int = 0
    rate: float = 0.0


def counted(number: Any) -> float:
    """A number that counts something. Raises ValueError or OverflowError for what no job counts."""
    if not 0 <= (found := float(number)) <= MOST_COUNTED:
        raise ValueError(number)
    return found


class Follower:
    """Reads what runs print, each line once."""

    def __init__(self) -> None:
        self._cursors: dict[str, str] = {}
        self._progress: dict[str, RunProgress] = {}
        self._ended: set[str] = set()

    def follow(self, facts: Facts, run: dict[str, Any]) -> None:
        """Take in what a run, as orchard-run lists it, has printed since; nothing comes after its end."""
        run_id, attempt = run["run_id"], f"{run['run_id']} {run['began_at']}"
        if attempt in self._ended:
            return
        seen = orchard_run.look(facts, run_id, self._cursors.get(attempt, ""), LINES)
        self._cursors[attempt] = seen["cursor"]
        for line in seen["lines"]:
            if found := read_progress(line):
                self._progress[run_id] = found
        if not run["is_running"]:
            self._ended.add(attempt)

    def latest(self, run_id: str) -> RunProgress:
        """The latest word on progress of a run."""
        return self._progress.get(run_id, RunProgress())


def read_progress(line: str) -> RunProgress | None:
    """A line of the job as progress in pictures; None for any other."""
    if not line.startswith(orchard_run.JOB_PREFIX):
        return None
    try:
        event = json.loads(line.removeprefix(orchard_run.JOB_PREFIX))
        if event["name"] != orchard_run.JOB_COUNTS_IN:
            return None
        if event["event"] == "phase":
            return RunProgress(int(counted(event["count"])), int(counted(event["bad"])))
        return RunProgress(int(counted(event["done"])), int(counted(event["bad"])), counted(event["rate"]))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
