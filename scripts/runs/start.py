"""Begins, follows and ends runs. A run is the master's own: whoever began it may go away."""

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from scripts import console
from scripts.aws import prices
from scripts.runs import systemd_unit
from scripts.aws.bucket import Bucket
from scripts.aws.bucket import bucket_of
from scripts.aws.bucket import inputs_key
from scripts.cluster import Cluster
from scripts.errors import BusyError, InputError, NoClusterError, OperatorError
from scripts.runs.follow import follow
from scripts.runs.follow import span
from scripts.hosts.ssh import Hosts
from scripts.runs.table import Row
from scripts.runs.table import money
from scripts.runs.table import rows
from scripts.runs.submission import DEFAULT_SIZE
from scripts.runs.submission import IMAGENET
from scripts.runs.submission import RANDOM
from scripts.runs.submission import Submission
from scripts.runs.submission import new_run_id
from scripts.runs.submission import split_arguments
from scripts.runs.submission import stored_submissions
from scripts.runs.submission import words_of
from scripts.runs.systemd_unit import Unit

RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# What to do about each of the job's own exit codes; the sentence for the cause is the job's.
NEXT_STEP = {
    2: "mend what it names and start another run",
    3: "`make results RUN={run}` fetches errors.parquet, which names them; "
    "`make run RUN={run} ARGS='--max-bad 0.05'` goes on and accepts 5 %",
    systemd_unit.ENDED_BY_REQUEST: "`make run RUN={run}` goes on with it",
}
GO_ON = "`make run RUN={run}` goes on with it, `make logs` fetches every daemon's word"


class RunError(OperatorError):
    """The job ended, and not well: its exit code is handed on."""

    def __init__(self, sentence: str, code: int) -> None:
        self.exit_code = code
        super().__init__(sentence)


@dataclass(frozen=True)
class Asked:
    """What the person gave to `make run`; empty where nothing was given."""

    size: str = ""
    arguments: str = ""
    run_id: str = ""
    weights: str = ""


def start(cluster: Cluster, asked: Asked) -> str:
    """Have the run under way, and give its name: a new one, or one of this name that goes on from where it is.

    Raises InputError, BusyError and what talking to hosts
    and AWS raises.
    """
    bucket = bucket_of(cluster)
    if asked.run_id and not RUN_ID.fullmatch(asked.run_id):
        raise InputError(f"The run's name {asked.run_id!r} may hold letters, digits, '.', '_' and '-' only.")
    with Hosts(cluster) as hosts:
        for going in systemd_unit.running(hosts):
            if going.run_id == asked.run_id:
                console.say(f"Run {going.run_id} is under way already.")
                return going.run_id
            raise BusyError(
                f"Run {going.run_id} is under way and has all cores: `make follow` attaches to it, "
                "`make stop-run` ends it."
            )
        if asked.run_id and bucket.keys(inputs_key(asked.run_id)):
            submission, more = _resumed(bucket, asked), (*split_arguments(asked.arguments), "--resume")
        else:
            submission, more = _new(cluster, asked), ()
            submission.store(bucket)
        systemd_unit.start(
            hosts, submission.run_id, f"Orchard run, {submission.size}", submission.command(bucket.name, more)
        )
    console.say(f"Run {submission.run_id} ({submission.size}) {'goes on' if more else 'has begun'} on the master.")
    return submission.run_id


def _new(cluster: Cluster, asked: Asked) -> Submission:
    size = asked.size or DEFAULT_SIZE
    words = words_of(size, asked.arguments)
    weights = asked.weights or IMAGENET
    if weights not in (IMAGENET, RANDOM) and "://" not in weights:
        weights = bucket_of(cluster).send_weights(Path(weights).expanduser())
    price = prices.of(cluster)
    return Submission(
        run_id=asked.run_id or new_run_id(),
        size=size,
        words=words,
        weights=weights,
        submitted_at=datetime.now(UTC).isoformat(timespec="seconds"),
        price_per_hour=price.per_hour if price else None,
        currency=prices.currency(),
    )


def _resumed(bucket: Bucket, asked: Asked) -> Submission:
    """The run as it was begun: other words would change its numbers, and the job refuses them."""
    [stored] = stored_submissions(bucket, [asked.run_id])
    if stored is None:
        raise InputError(f"Run {asked.run_id} was not begun by `make run`: choose another RUN.")
    if asked.weights or asked.size not in ("", stored.size):
        raise InputError(
            f"Run {stored.run_id} was begun with SIZE={stored.size} and goes on with the same weights: leave SIZE and "
            "WEIGHTS out, or choose another RUN."
        )
    return stored


def run(cluster: Cluster, asked: Asked) -> None:
    """Begin a run, or go on with it, and follow it to its end."""
    attach(cluster, start(cluster, asked))


def attach(cluster: Cluster, run_id: str) -> None:
    """Follow a run (empty: the latest) to its end and say what it came to.

    Raises RunError with the job's own exit code, NoClusterError where there is no such run.
    """
    with Hosts(cluster) as hosts:
        ended = follow(hosts, latest(hosts, run_id).run_id)
    conclude(bucket_of(cluster), ended)


def conclude(bucket: Bucket, ended: Unit) -> None:
    """Sum a run up: pictures, time, cost, the next command. Raises RunError where it did not end well."""
    row = rows(bucket, [ended], [ended.run_id])[0]
    took = f"after {span(ended.seconds(time.time()))}{_costing(row)}"
    if ended.code:
        step = NEXT_STEP.get(ended.code, GO_ON).format(run=ended.run_id)
        raise RunError(f"Run {ended.run_id} ended with exit code {ended.code} {took}: {step}.", ended.code)
    bad = f", {row.bad:,} could not be read" if row.bad else ""
    console.say(f"Run {ended.run_id} is complete {took}: {row.done or 0:,} of {row.total or 0:,} pictures{bad}.")
    console.say(f"Next: make results RUN={ended.run_id}")


def stop(cluster: Cluster, run_id: str) -> None:
    """End a run kindly: what is finished is kept, and the run can go on later."""
    with Hosts(cluster) as hosts:
        going = one_running(hosts, run_id)
        systemd_unit.ask_to_stop(hosts, going.run_id)
        ended = follow(hosts, going.run_id)
    if ended.code == 0:
        console.say(f"Run {ended.run_id} had come to its end by itself: make results RUN={ended.run_id}")
        return
    console.say(f"Run {ended.run_id} has ended and keeps what it has done: `make run RUN={ended.run_id}` goes on.")


def one_running(hosts: Hosts, run_id: str) -> Unit:
    """The run of that name, or the only one that goes on. Raises NoClusterError where none does."""
    going = systemd_unit.running(hosts)
    for found in going:
        if run_id in ("", found.run_id):
            return found
    if run_id:
        raise NoClusterError(f"No run {run_id} is under way: `make runs` lists what there is.")
    raise NoClusterError("No run is under way: `make run` begins one, `make runs` lists what there was.")


def latest(hosts: Hosts, run_id: str) -> Unit:
    """The run of that name, or the latest that the master knows of. Raises NoClusterError."""
    there = systemd_unit.known(hosts)
    for found in reversed(there):
        if run_id in ("", found.run_id):
            return found
    if run_id:
        raise NoClusterError(f"The master knows of no run {run_id}: `make runs` lists what there is.")
    raise NoClusterError("No run was begun since the master started: `make run` begins one.")


def _costing(row: Row) -> str:
    return "" if row.cost is None else f" and {money(row.cost, row.currency)}"
