"""What the keeper knows from one look to the next, in a file that the daemon and orchard-run change in turn.

It lies in memory (/run), for a full disk stops nothing, and as a copy on the disk, for a reboot forgets nothing.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orchard_run
from orchard_keeper.ends import Times
from orchard_keeper.ledger import Account

LOCK_SECONDS = 60.0


@dataclass
class State:
    """A stretch of the cluster's life. Times are seconds of the epoch; 0 is never.

    `boot_id` is the kernel's, `launched_at` when AWS last started the master, by AWS's own word where
    `is_launch_known`. The keeper looked last at `looked_at`, and without a long break since `watched_from`. `holds` are
    commands under way on a laptop, each with the moment at which it is no longer believed. `ending` says why the
    cluster is about to end and `logs` where its logs go then, `ended` why it has; `insist_at` is when this host
    switches itself off if it is still up by then. `announced` is the sentence that people were told last.
    """

    boot_id: str = ""
    booted_at: float = 0.0
    looked_at: float = 0.0
    watched_from: float = 0.0
    launched_at: float = 0.0
    is_launch_known: bool = False
    age_from: float = 0.0
    busy_at: float = 0.0
    kept_until: float = 0.0
    aws_stops_at: float | None = None
    holds: dict[str, float] = field(default_factory=dict)
    ending: str = ""
    logs: str = ""
    ended: str = ""
    insist_at: float = 0.0
    announced: str = ""
    account: Account = field(default_factory=Account)

    @property
    def times(self) -> Times:
        """What the ends are reckoned from."""
        return Times(
            self.busy_at, self.age_from, max(self.booted_at, self.watched_from), self.kept_until, self.aws_stops_at
        )

    def shift(self, seconds: float) -> None:
        """The host's clock was put right by so much: what was measured by it moves along."""
        for name in ("booted_at", "looked_at", "watched_from", "age_from", "busy_at", "kept_until", "insist_at"):
            if value := getattr(self, name):
                setattr(self, name, value + seconds)
        self.holds = {name: until + seconds for name, until in self.holds.items()}
        self.account.accounted_to += seconds if self.account.accounted_to else 0.0


class Store:
    """Keeps the state: `memory` is a folder in /run, `disk` one that outlives a boot."""

    def __init__(self, memory: Path, disk: Path) -> None:
        self._memory, self._disk = memory, disk

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else changes the state, begins a run or stops the cluster meanwhile. Raises TimeoutError."""
        with orchard_run.exclusive(self._memory, LOCK_SECONDS):
            yield

    def read(self) -> State:
        """The state as it was written last; a fresh one where there is none that can be read."""
        for folder in (self._memory, self._disk):
            try:
                return _parsed(json.loads((folder / "state.json").read_text()))
            except (OSError, ValueError, TypeError, KeyError):
                continue
        return State()

    def write(self, state: State) -> None:
        """Keep it; a disk that is full keeps the copy of before."""
        text = json.dumps(asdict(state))
        replace(self._memory / "state.json", text, 0o600)
        try:
            self._disk.mkdir(parents=True, exist_ok=True)
            replace(self._disk / "state.json", text, 0o600)
        except OSError:
            with suppress(OSError):
                (self._disk / "state.json.new").unlink()


def replace(path: Path, text: str, mode: int) -> None:
    """Write a file so that whoever reads it sees the old text or the new one."""
    new = path.with_name(f"{path.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    new.replace(path)


def _parsed(stored: dict[str, Any]) -> State:
    account = Account.parsed(stored.pop("account"))
    return State(**stored, account=account)
