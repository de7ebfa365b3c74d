"""What orchard-run asks of the keeper on the master, for laptop and shell. It works without the daemon, too."""

from pathlib import Path
from typing import Any

from orchard_keeper import ledger, published
from orchard_keeper.ends import AHEAD_OF_AWS_SECONDS, Limits, age_end, clock, next_end
from orchard_keeper.ledger import Rates, Whose
from orchard_keeper.state import State, Store

LONGEST_KEEP_HOURS = 168.0
HOLD_SECONDS = 300.0
# The laptop stops the hosts itself after it has said so; where it does not come to that, this host does.
INSIST_SECONDS = 900.0


class RefusalError(Exception):
    """What cannot be done: one sentence."""


class Commands:
    """Each gives what is to be printed, as JSON."""

    def __init__(self, store: Store, limits: Limits, whose: Whose, status: Path) -> None:
        self._store, self._limits, self._whose, self._status = store, limits, whose, status

    def ends(self, now: float) -> dict[str, Any]:
        """When the cluster ends, and what holds it; with `looked_at`, when the daemon looked last."""
        return self._told(self._store.read(), now)

    def keep(self, hours: float, now: float) -> dict[str, Any]:
        """Put all ends off for so many hours. Raises RefusalError."""
        if not 0 < hours <= LONGEST_KEEP_HOURS:
            raise RefusalError(f"hours are a number above 0 and up to {LONGEST_KEEP_HOURS:.0f}.")
        with self._store.locked():
            state = self._store.read()
            refuse_ended(state)
            until = now + hours * 3600
            if state.aws_stops_at is not None and now < state.aws_stops_at < until + AHEAD_OF_AWS_SECONDS:
                until = max(now, state.aws_stops_at - AHEAD_OF_AWS_SECONDS)
            state.age_from, state.kept_until = now, until
            self._store.write(state)
        return self._told(state, now)

    def tell(self, told: dict[str, Any], now: float, boot_id: str = "") -> dict[str, Any]:
        """What a command on the laptop says: prices, when AWS stops the hosts, that the age begins anew."""
        with self._store.locked():
            state = self._store.read()
            if "rates" in told:
                state.account.rates = Rates(**told["rates"]) if told["rates"] else None
            if "aws_stops_at" in told:
                state.aws_stops_at = told["aws_stops_at"]
            if told.get("begins_anew"):
                if boot_id and state.boot_id and state.boot_id != boot_id:
                    state.kept_until = 0.0  # given before the cluster stopped
                state.age_from, state.ending, state.ended = now, "", ""
            self._store.write(state)
        return self._told(state, now)

    def hold(self, name: str, now: float) -> dict[str, Any]:
        """A command is under way on a laptop, and says so again within a few minutes. Raises RefusalError."""
        with self._store.locked():
            state = self._store.read()
            refuse_ended(state)
            state.holds[name] = now + HOLD_SECONDS
            self._store.write(state)
        return self._told(state, now)

    def release(self, name: str, now: float) -> dict[str, Any]:
        """It has come to its end, and was work until now."""
        with self._store.locked():
            state = self._store.read()
            if state.holds.pop(name, None):
                state.busy_at = max(state.busy_at, now)
            self._store.write(state)
        return self._told(state, now)

    def end(self, why: str, now: float) -> dict[str, Any]:
        """The laptop is about to stop the cluster: gives the last entry of the ledger, which the laptop writes."""
        with self._store.locked():
            state = self._store.read()
            state.ended, state.insist_at = why, now + INSIST_SECONDS
            self._store.write(state)
        started_at = state.launched_at or state.age_from
        return {
            "key": ledger.key(self._whose.cluster, started_at),
            "entry": ledger.entry(self._whose, state.account, started_at, now, why),
        }

    def _told(self, state: State, now: float) -> dict[str, Any]:
        seen = published.read(self._status)
        end = next_end(state.times, self._limits)
        return {
            "looked_at": seen.get("at"),
            "held_by": seen.get("held_by") or [],
            "idle_since": seen.get("idle_since"),
            "ends_at": end and end.at,
            "ends_kind": end and end.kind,
            "age_ends_at": age_end(state.times, self._limits),
            "kept_until": state.kept_until if state.kept_until > now else None,
            "aws_stops_at": state.aws_stops_at,
            "warning": seen.get("warning") if end and end.is_announced_by(now) else None,
            "notices": seen.get("notices") or [],
            "ending": state.ending or None,
            "ended": state.ended or None,
            "usd": seen.get("usd"),
            "currency": seen.get("currency"),
        }


def refuse_ended(state: State) -> None:
    """Raises RefusalError where it is too late."""
    if state.ended:
        raise RefusalError(f"the cluster is stopping ({state.ended}): wait until it has, then `make start`.")


def in_words(told: dict[str, Any]) -> str:
    """What `keep` says to a shell on the master."""
    if told["ends_at"] is None:
        return "Nothing ends this cluster by itself."
    said = f"Nothing ends this cluster before {clock(told['ends_at'])}."
    if told["aws_stops_at"] and told["ends_at"] >= told["aws_stops_at"] - AHEAD_OF_AWS_SECONDS:
        said += f" AWS stops its hosts at {clock(told['aws_stops_at'])}; `make keep` on the laptop puts that off, too."
    return said
