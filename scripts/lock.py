"""One task at a time changes a cluster. What a killed task has left running is waited for, not trodden on."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from scripts import console, processes, tfvars
from scripts.errors import BusyError

PATIENCE_SECONDS = 1200
LOOK = 0.5


@contextmanager
def changing(cluster_name: str, task: str) -> Iterator[None]:
    """Hold the cluster's lock. Terraform and Ansible inherit it, so it is held until they, too, have ended."""
    folder = tfvars.state_folder(cluster_name)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "lock").open("a+") as file:
        _acquire(file, cluster_name)
        file.truncate(0)
        file.write(f"`make {task}` (process {os.getpid()})")
        file.flush()
        processes.inherited.add(file.fileno())
        try:
            yield
        finally:
            processes.inherited.discard(file.fileno())


def _acquire(file: IO[str], cluster_name: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    told = False
    while not _try(file.fileno()):
        file.seek(0)
        holder = file.read() or "another task"
        if not told:
            console.say(f"Waiting for what {holder} has under way on cluster {cluster_name}.")
            told = True
        if time.monotonic() > deadline:
            raise BusyError(f"{holder} is still at work on cluster {cluster_name}: wait for its end, or end it.")
        time.sleep(LOOK)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
