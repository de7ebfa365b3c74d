"""A worker as its keeper reaches it: the master's ports, terminals, logs."""

import re
import socket
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import orchard_run
from orchard_keeper import own_host
from orchard_keeper.own_host import Facts
from orchard_keeper.work import of_terminals, printable

SECONDS = 5
SSH_PORT = 22
PREFIX = re.compile(r"logs/[0-9TZ]{1,30}")


class RealWorkerHost:
    """What `worker.WorkerHost` asks for."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._url = f"http://{facts['master_address']}:{facts['ports']['keeper']}"

    def reaches_master(self) -> bool:
        return any(self._takes(port) for port in (self._facts["ports"]["master"], SSH_PORT))

    def master_status(self) -> dict[str, Any] | None:
        status = orchard_run.asked(self._asking(), SECONDS)
        return status if isinstance(status, dict) else None

    def tell_terminals(self, sentence: str) -> None:
        own_host.tell_terminals(printable(sentence))

    def save_logs(self, prefix: str) -> None:
        if PREFIX.fullmatch(prefix):
            own_host.save_logs(self._facts, prefix)

    def say_saved(self) -> None:
        orchard_run.asked(f"{self._asking()}/saved", SECONDS)

    def logs_prefix(self) -> str:
        return f"logs/{datetime.now(UTC):%Y%m%dT%H%M%SZ}"

    def power_off(self) -> None:
        own_host.power_off()

    def _asking(self) -> str:
        """The master's page, with what is to be said of this host's terminals."""
        inputs = [terminal.at for terminal in of_terminals()]
        return f"{self._url}/{self._facts['host']}/{int(max(inputs, default=0))}"

    def _takes(self, port: int) -> bool:
        with suppress(OSError), socket.create_connection((self._facts["master_address"], port), timeout=SECONDS):
            return True
        return False
