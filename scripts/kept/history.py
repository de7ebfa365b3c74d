"""`make history`: pages of jobs that have ended, by the master's history server or, with no cluster, by one here."""

import re
from urllib.parse import quote

from invoke.exceptions import Exit

from scripts import console
from scripts.aws import pipeline
from scripts.aws.bucket import Bucket
from scripts.errors import InputError, NoClusterError
from scripts.hosts import tunnels
from scripts.kept import place

# Where the master's unit keeps them (ansible/roles/common/files/keep_in_bucket.py).
EVENTS, NAMES, LOG = "events", "events/names", "eventlog_v2_"
NAME_BYTES = 200
APPLICATION = re.compile(r"[A-Za-z0-9_-]{1,200}")
# What an application is called: a run's by the job itself, any other by its own program.
CALLED = ("orchard {}", "{}")
# More take longer to fetch than one waits; one by its name is there however old it is.
MOST_LOGS = 50


def show(run: str, port: str) -> None:
    """Show the page of a run (empty: of every job) until Ctrl-C.

    Raises NoClusterError where the bucket has no log of it, Exit with the job's own code, after its own sentence, and
    what tunnels raise.
    """
    cluster = place.cluster_at_work()
    bucket = place.bucket(cluster)
    # A run of an earlier cluster is not the master's to show.
    if cluster and tunnels.history(cluster, port, applications(bucket, run)[-1] if run else ""):
        return
    logs = sources(bucket, run)
    if code := pipeline.run(bucket.region, "history", *logs, *(["--port", port] if port else [])):
        raise Exit(code=code)


def applications(bucket: Bucket, run: str) -> list[str]:
    """Ids of the run's applications, the latest last: one that was gone on with has several.

    Raises InputError for what is no name, NoClusterError where there is none.
    """
    if not run.isprintable():
        raise InputError("RUN holds characters that no name has: `make runs` lists the names.")
    prefixes = [f"{NAMES}/{title_key(called.format(run))}/" for called in CALLED]
    found = {key.removeprefix(prefix) for prefix in prefixes for key in bucket.keys(prefix)}
    if not (known := sorted(filter(APPLICATION.fullmatch, found))):
        raise NoClusterError(
            f"No event log of {run} is in {bucket.uri(EVENTS)}: `make history` without RUN shows what there is. A run "
            "that has just begun is there within a minute."
        )
    return known


def sources(bucket: Bucket, run: str) -> list[str]:
    """Addresses of the run's logs, of all where none is named, or of the latest of very many."""
    if run:
        logs = [f"{LOG}{application}" for application in applications(bucket, run)]
    else:
        logs = sorted(name for name in bucket.folders(EVENTS) if name.startswith(LOG))
        if not logs:
            raise NoClusterError(f"No event log is in {bucket.uri(EVENTS)} yet: `make run` begins a run.")
        if len(logs) <= MOST_LOGS:
            return [bucket.uri(EVENTS)]
        console.say(f"These are the latest {MOST_LOGS} of {len(logs):,} jobs: RUN=name shows an older one.")
    return [bucket.uri(f"{EVENTS}/{name}") for name in logs[-MOST_LOGS:]]


def title_key(title: str) -> str:
    """An application's name as a word of a key, as the master's unit writes it."""
    word = quote(title.encode("utf-8", "replace"), safe="")[:NAME_BYTES]
    return f"%2E{word[1:]}" if word.startswith(".") else word
