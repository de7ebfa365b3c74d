"""Hosts that a run loses on its way, by Spark's own books: those that were told to go, and those that went silently."""

import socket
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

# Between two looks at Spark's books.
LOOK_SECONDS = 2.0
TOLD, SILENT = "told", "silent"
DRIVER = "driver"
# More attempts than that are not read at once.
MOST_TASKS = 100_000
REASON_LENGTH = 200


@dataclass(frozen=True)
class Executor:
    """An executor as the driver knows it. Times are seconds of the epoch: when it was told to go, when it had gone."""

    id: str
    address: str
    told_at: float | None = None
    gone_at: float | None = None
    reason: str = ""


class Books(Protocol):
    """What Spark's driver knows."""

    def executors(self) -> Iterable[Executor]:
        """All that there were, with those that have gone."""

    def broken_off(self) -> dict[str, set[int]]:
        """By executor, the feature tasks that broke off because it was lost."""


@dataclass(frozen=True)
class Loss:
    """A host that was lost: when that was known (seconds of the epoch), how, Spark's reason, pictures done again.

    `how` is `told` for one that was asked to go, as by a spot notice, and `silent` for any other.
    """

    host: str
    at: float
    how: str
    reason: str = ""
    pictures_redone: int = 0

    @property
    def text(self) -> str:
        """A sentence for people."""
        clock = f"{datetime.fromtimestamp(self.at, UTC):%H:%M:%S} UTC"
        again = f"{self.pictures_redone:,} pictures are done again."
        if self.how == TOLD:
            told = f"{self.host} was told to go at {clock}"
            if self.pictures_redone:
                return f"{told}, and went before it had finished its tasks: {again}"
            return f"{told}: it finishes its tasks, and gets no more."
        why = f" ({self.reason})" if self.reason else ""
        return f"{self.host} was lost at {clock}{why}: {again}"

    def as_json(self) -> dict[str, Any]:
        """As run.json has it."""
        at = datetime.fromtimestamp(self.at, UTC).isoformat(timespec="seconds")
        return {
            "host": self.host,
            "at": at,
            "how": self.how,
            "reason": self.reason,
            "pictures_redone": self.pictures_redone,
            "text": self.text,
        }


@dataclass
class LossWatch:
    """Looks at the books now and then, and says each loss once. `listed` are the pictures of each feature task."""

    books: Books
    say: Callable[[Loss], None]
    listed: Sequence[int] = ()
    steady: Callable[[], float] = time.monotonic
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "losses"))
    _due_at: float = 0.0
    _found: dict[str, Loss] = field(default_factory=dict)
    _said: set[str] = field(default_factory=set)

    def look(self) -> None:
        """Look, where it is time to."""
        if self.steady() >= self._due_at:
            self._due_at = self.steady() + LOOK_SECONDS
            self._look(is_last=False)

    def losses(self) -> tuple[Loss, ...]:
        """All losses by now, the first one first; what was not said yet is said."""
        self._look(is_last=True)
        return tuple(sorted(self._found.values(), key=lambda loss: (loss.at, loss.host)))

    def _look(self, is_last: bool) -> None:
        """A silent loss is said at the second look at it: Spark closes an executor's tasks a moment after itself."""
        known = self._found
        try:
            # An interrupt is to find the main thread at rest and not inside the connection to the JVM.
            self._found = self._thread.submit(self._losses).result()
        except Exception:  # py4j raises many kinds, and no run that goes well is to end for what it says of itself
            return
        for number, loss in self._found.items():
            if number not in self._said and (is_last or loss.how == TOLD or number in known):
                self._said.add(number)
                self.say(loss)

    def _losses(self) -> dict[str, Loss]:
        """By executor."""
        lost = [one for one in self.books.executors() if one.told_at is not None or one.gone_at is not None]
        broken_off = self.books.broken_off() if lost else {}
        return {one.id: self._loss(one, broken_off.get(one.id, set())) for one in lost}

    def _loss(self, one: Executor, tasks: set[int]) -> Loss:
        at = one.gone_at if one.told_at is None else one.told_at
        assert at is not None  # it is one of both
        redone = sum(self.listed[task] for task in tasks if task < len(self.listed))
        return Loss(name_of(one.address), at, how_of(one), one.reason, redone)


def how_of(one: Executor) -> str:
    """Whether it was told to go."""
    return SILENT if one.told_at is None else TOLD


def name_of(address: str) -> str:
    """The host's name by the hosts file, in which Ansible has every host of the cluster; else its address."""
    try:
        return socket.gethostbyaddr(address)[0]
    except OSError:
        return address


class SparkBooks:
    """The status store of a SparkContext, which Spark's own pages are made of, and its scheduler's decommissions.

    `group` is the job group of the features. What is remembered of an executor that was told to go outlives Spark's own
    memory of it.
    """

    def __init__(self, context: Any, group: str) -> None:
        self._context, self._group = context, group
        spark = context._jsc.sc()
        self._store, self._scheduler = spark.statusStore(), spark.taskScheduler()
        self._told_at: dict[str, float] = {}

    def executors(self) -> list[Executor]:
        """All that there were, but for the driver."""
        found = _listed(self._store.executorList(False))
        return [self._executor(each) for each in found if each.id() != DRIVER]

    def broken_off(self) -> dict[str, set[int]]:
        """By executor, the feature tasks that broke off because it was lost."""
        api = self._context._jvm.org.apache.spark.status.api.v1
        statuses = self._context._jvm.java.util.ArrayList()
        statuses.add(api.TaskStatus.FAILED)
        found: dict[str, set[int]] = {}
        for stage in self._stages():
            tasks = self._store.taskList(stage, 0, 0, MOST_TASKS, api.TaskSorting.ID, statuses)
            for task in _listed(tasks):
                if "ExecutorLostFailure" in (_value(task.errorMessage()) or ""):
                    found.setdefault(task.executorId(), set()).add(task.index())
        return found

    def _executor(self, each: Any) -> Executor:
        number, gone = each.id(), _value(each.removeTime())
        if gone is None and number not in self._told_at:
            told = _value(self._scheduler.getExecutorDecommissionState(number))
            if told is not None:
                self._told_at[number] = told.startTime() / 1000
        address, _, _ = each.hostPort().rpartition(":")
        return Executor(
            number,
            address,
            self._told_at.get(number),
            None if gone is None else gone.getTime() / 1000,
            _first_line(_value(each.removeReason()) or ""),
        )

    def _stages(self) -> list[int]:
        tracker = self._context.statusTracker()
        jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(self._group)]
        return [stage for job in jobs if job for stage in job.stageIds]


def _listed(sequence: Any) -> list[Any]:
    """A sequence of Scala's."""
    return [sequence.apply(index) for index in range(sequence.size())]


def _value(option: Any) -> Any:
    """An option of Scala's, None for none."""
    return option.get() if option.isDefined() else None


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:REASON_LENGTH]
