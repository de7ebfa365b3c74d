"""Begins runs. A run is the master's own: whoever began it may go away."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from scripts import console
from scripts.aws.bucket import Bucket, bucket_of, inputs_key, job_key
from scripts.cluster import Cluster
from scripts.errors import BusyError, InputError
from scripts.hosts import orchard_run
from scripts.hosts.ssh import Hosts, Remote
from scripts.money import prices
from scripts.runs import estimate, systemd_unit
from scripts.runs.submission import (
    DEFAULT_SIZE,
    IMAGENET,
    RANDOM,
    Submission,
    check_run_id,
    new_run_id,
    split_arguments,
    stored_submissions,
    words_of,
)
from scripts.runs.systemd_unit import Unit


@dataclass(frozen=True)
class RunRequest:
    """What the person gave to `make run`; empty where nothing was given."""

    size: str = ""
    arguments: str = ""
    run_id: str = ""
    weights: str = ""


def start(cluster: Cluster, request: RunRequest) -> str:
    """Have the run under way, and give its name: a new one, or one of this name that goes on from where it is.

    Raises InputError, BusyError and what talking to hosts and AWS raises.
    """
    bucket = bucket_of(cluster)
    if request.run_id:
        check_run_id(request.run_id)
    with Hosts(cluster) as hosts:
        for going in systemd_unit.running(hosts):
            if going.run_id == request.run_id:
                console.say(f"Run {going.run_id} is under way already.")
                return going.run_id
            raise busy(going)
        if request.run_id and bucket.keys(job_key(request.run_id, "")):
            raise InputError(f"{request.run_id} is a job of your own, which `make submit` begins: choose another RUN.")
        before: Submission | None = None
        if request.run_id and bucket.keys(inputs_key(request.run_id)):
            submission, more = _resumed(bucket, request), (*split_arguments(request.arguments), "--resume")
            _require_engine(hosts, [*submission.words, *more])
        elif before := _begun_in_vain(bucket, request):
            submission, more = before, ()
            _require_engine(hosts, submission.words)
            estimate.say(hosts, bucket, submission)
        else:
            _require_engine(hosts, split_arguments(request.arguments))
            submission, more = _new(cluster, request), ()
            submission = replace(submission, expected_seconds=estimate.say(hosts, bucket, submission))
            submission.store(bucket)
        words = submission.words_for_job(bucket.name, more)
        systemd_unit.start(hosts, submission.run_id, f"Orchard run, {submission.size}", words)
    if more or before:
        # Read from the bucket: others may write there, and these words are this person's now.
        console.say(f"As it was begun: {shlex.join([*submission.words, '--weights', submission.weights])}")
    console.say(f"Run {submission.run_id} ({submission.size}) {'goes on' if more else 'has begun'} on the master.")
    return submission.run_id


def busy(going: Unit) -> BusyError:
    """That a run is under way: one at a time."""
    return BusyError(
        f"Run {going.run_id} is under way and has all cores: `make follow` attaches to it, `make stop-run` ends it."
    )


def _require_engine(hosts: Remote, words: Sequence[str]) -> None:
    """Raises InputError where the workers have not what runs the network."""
    # A cluster of an earlier Orchard has it everywhere, and says nothing of it.
    if estimate.engine_of(words) == estimate.TENSORFLOW and not orchard_run.facts(hosts, hosts.cluster.master).get(
        "worker_tensorflow", True
    ):
        raise InputError(
            "The workers have no TensorFlow, which --engine tensorflow needs: set worker_tensorflow = true in "
            "terraform.tfvars and run `make up`, or leave the engine out."
        )


def _new(cluster: Cluster, request: RunRequest) -> Submission:
    size = request.size or DEFAULT_SIZE
    words = words_of(size, request.arguments)
    weights = request.weights or IMAGENET
    if weights not in (IMAGENET, RANDOM) and "://" not in weights:
        weights = bucket_of(cluster).send_weights(Path(weights).expanduser())
    price = prices.of(cluster)
    return Submission(
        run_id=request.run_id or new_run_id(),
        size=size,
        words=words,
        weights=weights,
        submitted_at=datetime.now(UTC).isoformat(timespec="seconds"),
        price_per_hour=price.per_hour if price else None,
        currency=prices.currency(),
    )


def _begun_in_vain(bucket: Bucket, request: RunRequest) -> Submission | None:
    """The run of this name that ended before its list of pictures, where no other words were given now."""
    if not request.run_id or request.size or request.weights or request.arguments:
        return None
    [stored] = stored_submissions(bucket, [request.run_id])
    return stored


def _resumed(bucket: Bucket, request: RunRequest) -> Submission:
    """The run as it was begun: other words would change its numbers, and the job refuses them."""
    [stored] = stored_submissions(bucket, [request.run_id])
    if stored is None:
        raise InputError(f"Run {request.run_id} was not begun by `make run`: choose another RUN.")
    if request.weights or request.size not in ("", stored.size):
        raise InputError(
            f"Run {stored.run_id} was begun with SIZE={stored.size} and goes on with the same weights: leave SIZE and "
            "WEIGHTS out, or choose another RUN."
        )
    return stored
