"""A cluster as the keeper sees it, with a clock that goes when it is told to."""

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from orchard_keeper.commands import Commands
from orchard_keeper.ends import Limits
from orchard_keeper.keeper import Keeper, Look
from orchard_keeper.ledger import Machine, Rates, Whose
from orchard_keeper.state import Store
from orchard_keeper.work import Activity

START = 1_764_151_200.0  # 2025-11-26 10:00 UTC
MINUTE, HOUR = 60.0, 3600.0
LIMITS = Limits(idle_minutes=30, max_age_hours=12)
RATES = Rates(0.1, 0.4, 0.5, 0.004, 0.005, 0.005, 0.0004, "USD")


def machine(name: str, is_spot: bool = False, launched_at: float = START) -> Machine:
    return Machine(f"i-{name}", name, "m6i.large", is_spot, name == "master", True, launched_at)


class World:
    """The host, AWS and time. What the keeper does to it is noted; `on_save` happens while logs are saved."""

    def __init__(self, folder: Path) -> None:
        self.now = self.steady = START
        self.boot_id, self.boot_steady = "first", START
        self.there = [machine("master"), machine("worker-1"), machine("worker-2", is_spot=True)]
        self.work: list[str] = []
        self.signs: list[Activity] = []
        self.notices: list[str] = []
        self.runs: dict[str, dict[str, Any]] = {}
        self.is_deaf = False
        self.refuses = False
        self.told: list[str] = []
        self.done: list[str] = []
        self.status: dict[str, Any] = {}
        self.bucket: dict[str, dict[str, Any]] = {}
        self.metrics: list[dict[str, tuple[float, str]]] = []
        self.on_save: Any = lambda: None
        self.store = Store(folder / "run", folder / "disk")
        self.commands = Commands(self.store, LIMITS, Whose("fruits", "eu-west-1"), folder / "run" / "status.json")
        self.keeper = self.started(LIMITS)

    def started(self, limits: Limits) -> Keeper:
        """A keeper that starts now."""
        self.keeper = Keeper(
            self, self.store, limits, Whose("fruits", "eu-west-1"), lambda: self.now, lambda: self.steady
        )
        return self.keeper

    def passes(self, seconds: float, step: float = 30.0) -> None:
        """Time goes by, with a look every few seconds."""
        until = self.now + seconds
        while self.now < until:
            self.now += step
            self.steady += step
            self.keeper.look()

    def reboots(self, seconds: float = 60.0) -> None:
        """The master boots again, as after a stop where `launched_at` of the machines has changed."""
        self.now += seconds
        self.boot_id = f"{self.boot_id} again"
        # /run is empty after a boot.
        for file in self.store._memory.iterdir():
            file.unlink()
        self.steady = self.boot_steady = 0.0
        self.started(LIMITS)

    @property
    def is_over(self) -> bool:
        return any(step.startswith(("stop ", "terminate ")) for step in self.done)

    # What the keeper asks of its host

    def boot(self) -> tuple[str, float]:
        return self.boot_id, self.now - (self.steady - self.boot_steady)

    def look(self, holds: dict[str, float], now: float) -> Look:
        held = [f"`make {name}` on a laptop" for name, until in holds.items() if until > now]
        going = [Activity(what, now) for what in [*self.work, *held]]
        return Look(
            (*going, *self.signs),
            workers_alive=2,
            cores=16,
            tasks=len(self.work),
            runs=self.runs,
            notices=tuple(self.notices),
        )

    def machines(self) -> list[Machine]:
        self._hear()
        return self.there

    def tell_terminals(self, sentence: str) -> None:
        self.told.append(sentence)

    def publish_status(self, status: dict[str, Any]) -> None:
        self.status = status

    def stop_runs(self) -> None:
        self.done.append("stop the runs")
        self.work.clear()

    def save_logs(self, prefix: str, _: float) -> None:
        assert prefix.startswith("logs/2025")
        self.done.append("save the logs")
        self.on_save()

    def is_run_under_way(self) -> bool:
        return bool(self.work)

    def end(self, machines: list[Machine]) -> list[str]:
        if self.refuses:
            return ["master: AccessDenied"]
        self.done += [f"{'terminate' if machine.is_spot else 'stop'} {machine.name}" for machine in machines]
        return []

    def power_off(self) -> None:
        self.done.append("power off")

    def put(self, key: str, content: dict[str, Any]) -> None:
        self._hear()
        self.bucket[key] = content

    def publish_metrics(self, values: dict[str, tuple[float, str]]) -> None:
        self._hear()
        self.metrics.append(values)

    def _hear(self) -> None:
        if self.is_deaf:
            raise EndpointConnectionError(endpoint_url="https://aws")


@pytest.fixture
def fresh(tmp_path: Path) -> World:
    """A keeper that has not looked yet."""
    return World(tmp_path)


@pytest.fixture
def world(fresh: World) -> World:
    """A keeper that has looked once, as the cluster began."""
    fresh.keeper.look()
    return fresh
