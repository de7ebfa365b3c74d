"""A worker's keeper: what it hands on, and when it switches the worker off."""

from typing import Any

import pytest

from orchard_keeper.worker import Worker

MINUTE = 60.0


class World:
    """A worker whose master can go, with a clock that goes when it is told to."""

    def __init__(self, deaf_minutes: float = 20) -> None:
        self.now = 0.0
        self.is_reached = True
        self.status: dict[str, Any] | None = {"warning": None, "ending": None, "logs": None}
        self.told: list[str] = []
        self.done: list[str] = []
        self.worker = Worker(self, deaf_minutes, lambda: self.now)

    def passes(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now += 10
            self.worker.look()

    def reaches_master(self) -> bool:
        return self.is_reached

    def master_status(self) -> dict[str, Any] | None:
        return self.status

    def tell_terminals(self, sentence: str) -> None:
        self.told.append(sentence)

    def save_logs(self, prefix: str) -> None:
        self.done.append(prefix)

    def say_saved(self) -> None:
        self.done.append("said so")

    def logs_prefix(self) -> str:
        return "logs/own"

    def power_off(self) -> None:
        self.done.append("power off")


@pytest.fixture
def world() -> World:
    return World()


def test_a_worker_without_its_master_switches_itself_off(world: World) -> None:
    world.passes(5 * MINUTE)
    world.status, world.is_reached = None, False
    world.passes(9 * MINUTE)
    assert world.told == []
    world.passes(10 * MINUTE)
    assert world.told == [
        "This worker has not reached its master for 10 minutes, and switches itself off in 10 unless it does."
    ]
    assert world.done == []
    world.passes(2 * MINUTE)
    assert world.done[:2] == ["logs/own", "power off"]
    assert world.done.count("logs/own") == 1


def test_a_master_that_comes_back_in_time_is_heard(world: World) -> None:
    world.status, world.is_reached = None, False
    world.passes(19 * MINUTE)
    world.is_reached = True
    world.passes(10)
    world.is_reached = False
    world.passes(19 * MINUTE)
    assert world.done == []


def test_a_master_whose_keeper_alone_is_silent_is_no_lost_master(world: World) -> None:
    world.status = None
    world.passes(60 * MINUTE)
    assert world.done == []


def test_zero_is_never() -> None:
    world = World(deaf_minutes=0)
    world.status, world.is_reached = None, False
    world.passes(60 * MINUTE)
    assert (world.done, world.told) == ([], [])


def test_the_masters_announcement_is_told_once(world: World) -> None:
    assert world.status is not None
    world.status["warning"] = "Cluster fruits stops at 10:30 UTC."
    world.passes(MINUTE)
    assert world.told == ["Cluster fruits stops at 10:30 UTC."]
    world.status["warning"] = None
    world.passes(MINUTE)
    world.status["warning"] = "Cluster fruits stops at 12:30 UTC."
    world.passes(MINUTE)
    assert len(world.told) == 2


def test_logs_are_saved_once_for_each_ending_and_that_is_said(world: World) -> None:
    assert world.status is not None
    world.status |= {"ending": "idle: nothing at work", "logs": "logs/1"}
    world.passes(MINUTE)
    assert world.done == ["logs/1", "said so"]
    world.status |= {"ending": None}
    world.passes(MINUTE)
    world.status |= {"ending": "idle: nothing at work", "logs": "logs/2"}
    world.passes(MINUTE)
    assert world.done == ["logs/1", "said so", "logs/2", "said so"]
