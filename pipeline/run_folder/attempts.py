"""How often a run was begun or gone on with."""

import json

from pipeline.run_folder.layout import ATTEMPTS_KEY
from pipeline.storage.base import Storage


def count_attempt(run: Storage) -> int:
    """Which attempt at the run this is that resumes it, written before anything else is: a SIGKILL takes no count back.

    The first attempt, which writes the list, leaves no such object.
    """
    try:
        earlier = int(json.loads(run.read(ATTEMPTS_KEY))["attempts"])
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        earlier = 1
    run.write(ATTEMPTS_KEY, json.dumps({"attempts": earlier + 1}).encode())
    return earlier + 1
