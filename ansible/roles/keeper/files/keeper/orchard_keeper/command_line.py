"""The keeper's commands: `watch` is the daemon, the others are orchard-run's, on the master."""

import argparse
import json
import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orchard_run
from orchard_keeper import own_host
from orchard_keeper.commands import Commands, RefusalError, in_words
from orchard_keeper.ends import Limits
from orchard_keeper.ledger import Whose
from orchard_keeper.state import Store

LOOK_SECONDS = 10.0
CANNOT_BE = 2

log = logging.getLogger(__name__)
Facts = dict[str, Any]


def main(words: list[str]) -> int:
    """Do one command; gives the exit code."""
    asked = parser().parse_args(words)
    facts = orchard_run.read_facts()
    if asked.command == "watch":
        watch(facts)
        return 0
    try:
        answer = answer_to(asked, commands(facts), time.time())
    except RefusalError as refusal:
        print(f"orchard-run: {refusal}", file=sys.stderr)
        return CANNOT_BE
    print(in_words(answer) if getattr(asked, "words", False) else json.dumps(answer))
    return 0


def parser() -> argparse.ArgumentParser:
    """The commands and their words."""
    made = argparse.ArgumentParser(prog="orchard-run keeper", description=(__doc__ or "").partition("\n")[0])
    each = made.add_subparsers(dest="command", required=True)
    each.add_parser("watch", help="look every few seconds, for ever")
    each.add_parser("ends", help="when the cluster ends, and what holds it")
    keep = each.add_parser("keep", help="put all ends off")
    keep.add_argument("hours", type=float)
    keep.add_argument("--words", action="store_true", help="answer a person")
    each.add_parser("tell", help="prices, workers, AWS's own hour").add_argument("told", type=json.loads)
    each.add_parser("hold", help="a command is under way on a laptop").add_argument("name")
    each.add_parser("release", help="it has ended").add_argument("name")
    each.add_parser("end", help="the laptop stops the cluster now").add_argument("why")
    return made


def answer_to(asked: argparse.Namespace, do: Commands, now: float) -> dict[str, Any]:
    """What a command gives."""
    given: dict[str, Callable[[], dict[str, Any]]] = {
        "ends": lambda: do.ends(now),
        "keep": lambda: do.keep(asked.hours, now),
        "tell": lambda: do.tell(asked.told, now, own_host.boot(now, time.monotonic())[0]),
        "hold": lambda: do.hold(asked.name, now),
        "release": lambda: do.release(asked.name, now),
        "end": lambda: do.end(asked.why, now),
    }
    return given[asked.command]()


def commands(facts: Facts) -> Commands:
    """The commands on this host."""
    return Commands(
        store(facts), limits(facts), Whose(facts["cluster"], facts["region"]), Path(facts["paths"]["keeper_status"])
    )


def store(facts: Facts) -> Store:
    """Where this host keeps the keeper's state."""
    return Store(Path(facts["paths"]["keeper_status"]).parent, Path(facts["paths"]["keeper_state"]))


def limits(facts: Facts) -> Limits:
    """The settings."""
    return Limits(facts["ends"]["idle_minutes"], facts["ends"]["max_age_hours"])


def watch(facts: Facts) -> None:
    """Look for ever. A look that fails is told in the journal and is no end of the daemon."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("botocore").setLevel(logging.WARNING)
    own_host.sweep_logs()
    look = look_of(facts)
    tell_systemd("READY=1")
    while True:
        try:
            look()
        except Exception:  # whatever it is: the next look may go well, and nobody else looks
            log.exception("a look failed")
        tell_systemd("WATCHDOG=1")
        time.sleep(LOOK_SECONDS)  # the daemon's own pace


def look_of(facts: Facts) -> Callable[[], None]:
    """One look of this host's keeper. What only the daemon needs is imported here: orchard-run has no boto3."""
    if facts["role"] == "master":
        from orchard_keeper.aws import Aws
        from orchard_keeper.host import MasterHost
        from orchard_keeper.keeper import Keeper

        host = MasterHost(facts, Aws(facts["cluster"], facts["region"], facts["bucket"]))
        whose = Whose(facts["cluster"], facts["region"])
        return Keeper(host, store(facts), limits(facts), whose, time.time, time.monotonic).look
    from orchard_keeper.worker import Worker
    from orchard_keeper.worker_host import RealWorkerHost

    return Worker(RealWorkerHost(facts), facts["ends"]["deaf_minutes"], time.monotonic).look


def tell_systemd(state: str) -> None:
    """systemd's own way to be told (sd_notify): a datagram to the socket that it names."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.sendto(state.encode(), address.replace("@", "\0", 1) if address.startswith("@") else address)
