"""A worker's keeper: hands the master's announcements on to its terminals, and switches off when the master is gone.

It reaches the world through `WorkerHost` alone, and the time through a steady clock.
"""

import logging
from collections.abc import Callable
from typing import Any, Protocol

from orchard_keeper.ends import NOTICE_SECONDS

log = logging.getLogger(__name__)


class WorkerHost(Protocol):
    """What a worker's keeper needs of its host."""

    def reaches_master(self) -> bool:
        """Whether anything on the master takes a connection."""

    def master_status(self) -> dict[str, Any] | None:
        """What the master's keeper says; None where it says nothing."""

    def tell_terminals(self, sentence: str) -> None:
        """Write it on every terminal of this host."""

    def save_logs(self, prefix: str) -> None:
        """Save this host's logs below the prefix. Raises nothing."""

    def say_saved(self) -> None:
        """Tell the master that the logs are saved. Raises nothing."""

    def logs_prefix(self) -> str:
        """Where logs go that are saved now, without a word from the master."""

    def power_off(self) -> None:
        """Switch this host off."""


class Worker:
    """`look()` is called every few seconds. `deaf_minutes` is 0 for never."""

    def __init__(self, host: WorkerHost, deaf_minutes: float, steady: Callable[[], float]) -> None:
        self._host, self._seconds, self._steady = host, deaf_minutes * 60, steady
        self._heard_at = steady()
        self._told = self._saved_for = ""
        self._is_deaf_told = False
        self._saved_at = -1.0

    def look(self) -> None:
        """Look once, and do what is due."""
        status = self._host.master_status()
        if status is not None or self._host.reaches_master():
            self._heard_at, self._is_deaf_told = self._steady(), False
        if status is not None:
            self._hand_on(status)
        self._end_when_deaf()

    def _hand_on(self, status: dict[str, Any]) -> None:
        warning, logs = str(status.get("warning") or ""), str(status.get("logs") or "")
        if warning and warning != self._told:
            self._host.tell_terminals(warning)
        self._told = warning
        if status.get("ending") and logs and logs != self._saved_for:
            self._saved_for = logs
            self._host.save_logs(logs)
            self._host.say_saved()

    def _end_when_deaf(self) -> None:
        if not self._seconds:
            return
        left = self._heard_at + self._seconds - self._steady()
        if left <= 0:
            log.warning(
                "the master has not been reached for %.0f minutes: this worker switches itself off", self._seconds / 60
            )
            # Once: where switching off fails, it is the only thing to be tried again.
            if self._heard_at != self._saved_at:
                self._saved_at = self._heard_at
                self._host.save_logs(self._host.logs_prefix())
            self._host.power_off()
        elif left <= min(NOTICE_SECONDS, self._seconds / 2) and not self._is_deaf_told:
            self._is_deaf_told = True
            self._host.tell_terminals(
                f"This worker has not reached its master for {(self._seconds - left) / 60:.0f} minutes, and switches "
                f"itself off in {left / 60:.0f} unless it does."
            )
