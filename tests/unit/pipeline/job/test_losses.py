"""pipeline.job.losses: which hosts a run lost, when, and what was done again for it."""

import threading
from collections.abc import Callable

import pytest

from pipeline.job import losses
from pipeline.job.losses import Executor, Loss, LossWatch
from tests.unit.pipeline.without_spark import Books

LISTED = [96, 100, 90, 50]
NOON = 43_200.0


class World:
    """A driver with its books, and a clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self.books = Books()
        self.said: list[str] = []
        self.watch = LossWatch(self.books, lambda loss: self.said.append(loss.text), LISTED, lambda: self.now)

    def passes(self, seconds: float) -> None:
        """Time goes by; the phase looks five times a second."""
        until = self.now + seconds
        while self.now < until:
            self.now += 0.2
            self.watch.look()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    names = {"10.0.0.6": "worker-1", "10.0.0.7": "worker-2"}
    monkeypatch.setattr(losses, "name_of", names.__getitem__)
    return World()


def test_where_none_is_lost_nothing_is_said(world: World) -> None:
    world.books.lost = [Executor("0", "10.0.0.6"), Executor("1", "10.0.0.7")]
    world.passes(10)
    assert (world.watch.losses(), world.said) == ((), [])


def test_a_host_that_went_silently_is_said_once_with_what_is_done_again(world: World) -> None:
    world.books.lost = [Executor("1", "10.0.0.7", gone_at=NOON, reason="worker lost")]
    world.passes(losses.LOOK_SECONDS)
    assert world.said == [], "its tasks may be in the books a moment later only"
    world.books.tasks = {"1": {0, 2}, "0": {3}}
    world.passes(10)
    assert world.said == ["worker-2 was lost at 12:00:00 UTC (worker lost): 186 pictures are done again."]
    assert world.watch.losses() == (Loss("worker-2", NOON, "silent", "worker lost", 186),)


def test_a_host_that_was_told_to_go_is_said_at_once_and_once(world: World) -> None:
    world.books.lost = [Executor("0", "10.0.0.6", told_at=NOON)]
    world.passes(losses.LOOK_SECONDS)
    said = ["worker-1 was told to go at 12:00:00 UTC: it finishes its tasks, and gets no more."]
    assert world.said == said
    world.books.lost = [Executor("0", "10.0.0.6", told_at=NOON, gone_at=NOON + 9, reason="decommissioned")]
    world.passes(10)
    assert world.said == said
    assert world.watch.losses() == (Loss("worker-1", NOON, "told", "decommissioned", 0),)


def test_a_host_that_was_told_to_go_and_went_too_soon_is_recorded_with_what_is_done_again(world: World) -> None:
    world.books.lost = [Executor("0", "10.0.0.6", told_at=NOON)]
    world.passes(10)
    world.books.lost = [Executor("0", "10.0.0.6", told_at=NOON, gone_at=NOON + 9, reason="decommissioned")]
    world.books.tasks = {"0": {1}}
    [loss] = world.watch.losses()
    sentence = "worker-1 was told to go at 12:00:00 UTC, and went before it had finished its tasks: 100 pictures are "
    assert loss.text == f"{sentence}done again."


def test_the_last_look_waits_for_no_other(world: World) -> None:
    world.books.lost = [Executor("1", "10.0.0.7", gone_at=NOON + 1), Executor("0", "10.0.0.6", told_at=NOON)]
    assert [loss.host for loss in world.watch.losses()] == ["worker-1", "worker-2"]
    assert world.said[0].startswith("worker-2 was lost at 12:00:01 UTC: 0 pictures")


def test_two_executors_of_one_host_are_two_losses(world: World) -> None:
    world.books.lost = [Executor("1", "10.0.0.7", gone_at=NOON), Executor("4", "10.0.0.7", gone_at=NOON + 60)]
    assert [(loss.host, loss.at) for loss in world.watch.losses()] == [("worker-2", NOON), ("worker-2", NOON + 60)]


def test_books_that_cannot_be_read_end_no_run_and_what_is_known_stays(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.books.lost = [Executor("1", "10.0.0.7", gone_at=NOON)]
    world.passes(10)

    def broken() -> list[Executor]:
        raise RuntimeError("py4j has no answer")

    monkeypatch.setattr(world.books, "executors", broken)
    world.passes(10)
    assert [loss.host for loss in world.watch.losses()] == ["worker-2"]


def test_an_interrupt_finds_the_main_thread_outside_of_the_books(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked_in: set[threading.Thread] = set()
    monkeypatch.setattr(world.books, "executors", lambda: asked_in.add(threading.current_thread()) or [])
    world.passes(10)
    world.watch.losses()
    assert len(asked_in) == 1
    assert threading.main_thread() not in asked_in


@pytest.mark.parametrize(
    ("resolve", "name"), [(lambda _: ("worker-2", ["c-worker-2"], []), "worker-2"), (None, "10.0.0.7")]
)
def test_a_host_has_the_name_of_the_hosts_file(
    monkeypatch: pytest.MonkeyPatch, resolve: Callable[[str], tuple[str, list[str], list[str]]] | None, name: str
) -> None:
    def unknown(_: str) -> tuple[str, list[str], list[str]]:
        raise OSError("no such name")

    monkeypatch.setattr(losses.socket, "gethostbyaddr", resolve or unknown)
    assert losses.name_of("10.0.0.7") == name
