"""One task at a time changes a cluster. What a killed task has left running is waited for, not trodden on."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from scripts import console, processes, tfvars
from scripts.errors import BusyError
from scripts.waiting import wait_until

PATIENCE_SECONDS = 1200
RETRY_SECONDS = 0.5


@contextmanager
def changing(cluster_name: str, task: str, patience: float | None = None) -> Iterator[None]:
    """Hold the cluster's lock. Terraform and Ansible inherit it, so it is held until they, too, have ended.

    Raises BusyError where another has it for longer than `patience` (seconds; by default PATIENCE_SECONDS).
    """
    folder = tfvars.state_folder(cluster_name)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "lock").open("a+") as file:
        _acquire(file, cluster_name, PATIENCE_SECONDS if patience is None else patience)
        file.truncate(0)
        file.write(f"`make {task}` (process {os.getpid()})")
        file.flush()
        processes.inherited.add(file.fileno())
        try:
            yield
        finally:
            processes.inherited.discard(file.fileno())


def _acquire(file: IO[str], cluster_name: str, patience: float) -> None:
    """Take the lock, after whoever holds it. Raises BusyError when that takes too long."""
    if _is_free(file):
        return
    if patience:
        console.say(f"Waiting for what {_holder(file)} has under way on cluster {cluster_name}.")
    if not patience or not wait_until(lambda: _is_free(file), seconds=patience, every=RETRY_SECONDS):
        raise BusyError(f"{_holder(file)} is still at work on cluster {cluster_name}: wait for its end, or end it.")


def _holder(file: IO[str]) -> str:
    file.seek(0)
    return file.read() or "another task"


def _is_free(file: IO[str]) -> bool:
    """Whether the lock was free; it is this process's then."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
