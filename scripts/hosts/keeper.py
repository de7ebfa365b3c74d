"""The master's keeper, asked by orchard-run: when the cluster ends and what holds it; told what only a laptop knows."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from scripts import console
from scripts.cluster import Cluster
from scripts.errors import ConfigurationError, OperatorError
from scripts.hosts import orchard_run
from scripts.hosts.orchard_run import NotConfiguredError
from scripts.hosts.ssh import Hosts, Remote

# The keeper believes a command that is under way for five minutes after its last word.
HOLD_EVERY_SECONDS = 60.0
CONNECT_SECONDS = 8
# A look is made every ten seconds.
SILENT_SECONDS = 120.0
NO_KEEPER = "The master has no keeper yet: `make up` puts one there."


class NoKeeperError(ConfigurationError):
    """No keeper is on the master yet, as on one that an earlier Orchard made."""


@dataclass(frozen=True)
class Ends:
    """When the cluster ends by itself and why, by the keeper's last look. Times are seconds of the epoch, or None.

    `held_by` is what is at work now; `idle_since` is None while there is anything. `ends_kind` is `idle` or `age`;
    `age_ends_at` is when its time is up, whatever is at work. `notices` are sentences on workers that AWS takes back.
    """

    looked_at: float | None
    held_by: tuple[str, ...]
    idle_since: float | None
    ends_at: float | None
    ends_kind: str | None
    age_ends_at: float | None
    kept_until: float | None
    aws_stops_at: float | None
    warning: str | None
    ending: str | None
    ended: str | None
    usd: float | None
    currency: str | None
    notices: tuple[str, ...] = ()

    def is_silent(self, now: float) -> bool:
        """Whether the keeper has not looked for a while: AWS's own hour is what is left then."""
        return self.looked_at is None or now - self.looked_at > SILENT_SECONDS


@dataclass(frozen=True)
class LastEntry:
    """The ledger's last word on a stretch: its key in the bucket and its content."""

    key: str
    content: dict[str, Any]


def ends(hosts: Remote) -> Ends:
    """Ask it. Raises what talking to hosts raises."""
    return _parsed(_ask(hosts, "ends"))


def keep(hosts: Remote, hours: float) -> Ends:
    """Have it put all ends off. Raises ConfigurationError with its sentence where it is too late."""
    return _parsed(_ask(hosts, "keep", f"{hours:g}"))


def tell(hosts: Remote, **told: Any) -> Ends:
    """Tell it of `rates`, `aws_stops_at` (epoch) or, with `begins_anew`, that the cluster's time begins now."""
    return _parsed(_ask(hosts, "tell", json.dumps(told)))


def end(hosts: Remote, why: str) -> LastEntry:
    """Tell it that the cluster is about to be stopped from here; gives what the ledger is to keep."""
    last = _ask(hosts, "end", why)
    return LastEntry(last["key"], last["entry"])


@contextmanager
def held(cluster: Cluster, name: str, **told: Any) -> Iterator[None]:
    """Hold the cluster while a command is under way here, told of this first (see `tell`).

    A keeper that cannot be told is no reason not to go on.
    """
    over = threading.Event()
    thread = threading.Thread(target=_hold, args=(cluster, name, told, over), name=f"hold-{name}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(CONNECT_SECONDS)


def _hold(cluster: Cluster, name: str, told: dict[str, Any], over: threading.Event) -> None:
    with Hosts(cluster, connect_seconds=CONNECT_SECONDS) as hosts:
        while True:
            try:
                if told:
                    tell(hosts, **told)
                    told = {}
                _ask(hosts, "hold", name)
            except OperatorError as error:
                console.log(f"the keeper was not told of `make {name}`: {error}")
                hosts.close()
            if over.wait(HOLD_EVERY_SECONDS):
                break
        with suppress(OperatorError):
            _ask(hosts, "release", name)


def _ask(hosts: Remote, *words: str) -> Any:
    try:
        return orchard_run.ask(hosts, hosts.cluster.master, "keeper", *words)
    except NotConfiguredError as error:
        raise NoKeeperError(NO_KEEPER) from error
    except ConfigurationError as error:
        # An orchard-run from before there were keepers.
        if "invalid choice" in error.reason:
            raise NoKeeperError(NO_KEEPER) from error
        raise


def _parsed(told: dict[str, Any]) -> Ends:
    lists = {"held_by": tuple(told["held_by"]), "notices": tuple(told.get("notices") or ())}
    return Ends(**{**told, **lists})
