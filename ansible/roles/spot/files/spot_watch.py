#!/usr/bin/python3 -I
"""Hears from AWS that it takes this spot host back, and has its worker hand over in the two minutes that are left.

It asks the host's own metadata (IMDSv2) every few seconds. An interruption has Spark's worker decommissioned at once,
is told to the master's keeper and, once executors have gone, has the logs saved. That AWS recommends to rebalance is
told and nothing else: it may never come to an interruption, and these cores are paid for.
"""

import http.client
import json
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol

# Where orchard_run lies, which knows the host. Nobody but root writes there.
sys.path.append(str(Path(__file__).resolve().parent))

import orchard_run

LOOK_SECONDS = 5.0
METADATA, METADATA_SECONDS = "169.254.169.254", 2.0
TOKEN, TOKEN_SECONDS = "/latest/api/token", "60"
LEAVING, REBALANCE, STAYING = "leaving", "rebalance", "staying"
# Where AWS says it, and which of its words is the time.
SAID = {
    LEAVING: ("/latest/meta-data/spot/instance-action", "time"),
    REBALANCE: ("/latest/meta-data/events/recommendations/rebalance", "noticeTime"),
}
# What AWS gives; counted from now where it does not say when.
NOTICE_SECONDS = 120.0
# Tasks last for seconds. After that logs are saved as they are: packing them takes its time, too.
HAND_OVER_SECONDS = 30.0
TELL_SECONDS = 2.0

log = logging.getLogger(__name__)
Facts = dict[str, Any]
Notices = dict[str, float]


class SpotHost(Protocol):
    """What the watch needs of its host."""

    def notices(self) -> Notices:
        """What AWS says now, each with its time (seconds of the epoch). Raises OSError or HTTPException."""

    def is_marked(self) -> bool:
        """Whether a notice was heard that nothing has been heard against yet, maybe by a watch before this one."""

    def mark(self, is_leaving: bool) -> None:
        """Keep that, also for a watch after this one."""

    def decommission(self) -> None:
        """Have the worker take no more tasks and finish those that it has; to be said once."""

    def has_executors(self) -> bool:
        """Whether the worker still has any, or does not say."""

    def tell_master(self, kind: str, at: float) -> bool:
        """Have the master's keeper know; says whether it heard. Raises nothing."""

    def save_logs(self) -> None:
        """Save this host's logs in the bucket."""

    def rejoin(self) -> None:
        """Have the worker begin anew."""


class Watch:
    """One look after another: `look()` is called every LOOK_SECONDS and does all there is to do by then."""

    def __init__(self, host: SpotHost, steady: Callable[[], float]) -> None:
        self._host, self._steady = host, steady
        # A notice that was heard before this watch was started again may be taken back, too.
        self._is_decommissioned = host.is_marked()
        self._leaving_since = steady() if self._is_decommissioned else None
        self._is_saved = False
        self._is_mute = False
        self._is_rebalance_said = False
        # At its start the master may know of a notice yet that another host of this name had.
        self._is_staying_told = False

    def look(self) -> None:
        """Look once."""
        try:
            notices = self._host.notices()
        except (OSError, http.client.HTTPException) as error:
            if not self._is_mute:
                log.warning("the instance metadata does not answer (%s): asked again every few seconds", error)
            self._is_mute = True
            return
        self._is_mute = False
        if (at := notices.get(LEAVING)) is not None:
            self._is_staying_told = False
            self._leave(at)
            return
        if self._leaving_since is not None:
            self._stay()
        if (at := notices.get(REBALANCE)) is not None:
            if not self._is_rebalance_said:
                log.warning("AWS recommends to rebalance: it may take this host soon")
            self._is_rebalance_said, self._is_staying_told = True, False
            self._host.tell_master(REBALANCE, at)
        elif self._leaving_since is None and not self._is_staying_told:
            self._is_staying_told = self._host.tell_master(STAYING, 0.0)

    def _leave(self, at: float) -> None:
        if self._leaving_since is None:
            log.warning("AWS takes this host at %s: its worker hands over", datetime.fromtimestamp(at, UTC))
            self._leaving_since = self._steady()
        # Once: at a second signal an executor ends where it is, with the tasks that it was to finish.
        if not self._is_decommissioned and self._surely(self._host.decommission):
            self._is_decommissioned = True
            self._surely(lambda: self._host.mark(True))
        self._host.tell_master(LEAVING, at)
        if not self._is_saved and self._has_handed_over(self._leaving_since):
            self._is_saved = self._surely(self._host.save_logs)

    def _has_handed_over(self, since: float) -> bool:
        return self._steady() >= since + HAND_OVER_SECONDS or not self._host.has_executors()

    def _stay(self) -> None:
        """AWS has taken its word back, which it may: the worker works again."""
        log.warning("AWS does not take this host after all: its worker begins anew")
        if self._surely(self._host.rejoin):
            self._leaving_since, self._is_decommissioned, self._is_saved = None, False, False
            self._surely(lambda: self._host.mark(False))

    def _surely(self, do: Callable[[], None]) -> bool:
        """Do it, and say whether that went well; what did not is tried again at the next look."""
        try:
            do()
        except Exception:  # whatever it is: the steps behind it are to be taken in the two minutes that are left
            log.exception("a step failed")
            return False
        return True


def notices_of(bodies: dict[str, bytes | None], now: float, earlier: Notices) -> Notices:
    """What AWS says, by kind; that it says something counts even where it cannot be read.

    Its time is what the look before gave (`earlier`) then, so that it is the same notice.
    """
    otherwise = {kind: earlier.get(kind, now + NOTICE_SECONDS) for kind in bodies}
    return {kind: _time(body, SAID[kind][1], otherwise[kind]) for kind, body in bodies.items() if body is not None}


def _time(body: bytes, word: str, otherwise: float) -> float:
    try:
        return datetime.fromisoformat(json.loads(body)[word]).astimezone(UTC).timestamp()
    except (ValueError, KeyError, TypeError, OverflowError):
        return otherwise


def metadata(paths: dict[str, str], address: str = METADATA, port: int = 80) -> dict[str, bytes | None]:
    """What the instance metadata has at these paths, None for nothing. Raises OSError or HTTPException."""
    connection = http.client.HTTPConnection(address, port, timeout=METADATA_SECONDS)
    try:
        token = _asked(connection, "PUT", TOKEN, {"X-aws-ec2-metadata-token-ttl-seconds": TOKEN_SECONDS})
        given = {"X-aws-ec2-metadata-token": (token or b"").decode("ascii")}
        return {name: _asked(connection, "GET", path, given) for name, path in paths.items()}
    finally:
        connection.close()


def _asked(connection: http.client.HTTPConnection, verb: str, path: str, headers: dict[str, str]) -> bytes | None:
    connection.request(verb, path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status == HTTPStatus.NOT_FOUND:
        return None
    if answer.status != HTTPStatus.OK:
        # Overloaded, or a token that has run out: that is no word on this host's end.
        raise OSError(f"answer {answer.status} to {path}")
    return body


class RealSpotHost:
    """What `SpotHost` asks for."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._said: Notices = {}
        self._master = f"http://{facts['master_address']}:{facts['ports']['keeper']}/{facts['host']}"

    def notices(self) -> Notices:
        bodies = metadata({kind: path for kind, (path, _) in SAID.items()})
        self._said = notices_of(bodies, time.time(), self._said)
        return self._said

    def is_marked(self) -> bool:
        return self._mark().exists()

    def mark(self, is_leaving: bool) -> None:
        if is_leaving:
            self._mark().touch()
        else:
            self._mark().unlink(missing_ok=True)

    def _mark(self) -> Path:
        # systemd's word for the folder that outlives the watch.
        return Path(os.environ["STATE_DIRECTORY"]) / LEAVING

    def decommission(self) -> None:
        orchard_run.decommission(self._facts)

    def has_executors(self) -> bool:
        return orchard_run.executors(self._facts, self._facts["private_address"]) != 0

    def tell_master(self, kind: str, at: float) -> bool:
        return orchard_run.asked(f"{self._master}/{kind}/{int(at)}", TELL_SECONDS) is not None

    def save_logs(self) -> None:
        prefix = f"logs/{datetime.now(UTC):%Y%m%dT%H%M%SZ}/{self._facts['host']}"
        orchard_run.save_logs(self._facts, self._facts["bucket"], prefix)
        log.warning("the logs are saved: %s", prefix)

    def rejoin(self) -> None:
        orchard_run.do(["systemctl", "restart", f"{self._facts['units']['worker']}.service"])


def main() -> None:
    """Look for ever."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    # Logs that were being packed when the watch was ended.
    for left in Path(tempfile.gettempdir()).glob("orchard-logs-*"):
        shutil.rmtree(left, ignore_errors=True)
    watch = Watch(RealSpotHost(orchard_run.read_facts()), time.monotonic)
    while True:
        due_at = time.monotonic() + LOOK_SECONDS
        watch.look()
        time.sleep(max(0.0, due_at - time.monotonic()))  # the daemon's own pace


if __name__ == "__main__":
    main()
