"""A Python worker that hangs is ended from outside, so that Spark does its task again.

Spark's own `spark.python.worker.killOnIdleTimeout` does not: it takes a task that computes for an idle one, for Python
says nothing before its end, and ends by SIGTERM, which a process that hangs does not hear.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from threading import Lock

# More than a request to S3 takes with all its attempts, and far more than any picture.
SILENT_SECONDS = 600.0
# So often within that time a process says that it is at work, and no more: each word hands the interpreter to the
# threads that decode, and said after each small picture it cost a millisecond of its fifteen.
WORDS = 100
# Another bound, in seconds.
VARIABLE = "ORCHARD_SILENT_SECONDS"
WATCHMAN = Path(__file__).with_name("watchman.py")
AT_WORK, AT_REST = b"w", b"r"


@contextmanager
def watched() -> Iterator[Callable[[], None]]:
    """In the block this process is ended where it does not call what it is given for SILENT_SECONDS."""
    target, _ = _watchman(os.getpid())
    lock, is_over, said_at = Lock(), False, 0.0
    every = _silent_seconds() / WORDS

    def say(word: bytes) -> None:
        # A watchman who is gone, or who hangs himself, keeps nobody from working.
        with suppress(OSError):
            os.write(target, word)

    def alive() -> None:
        nonlocal said_at
        if (now := time.monotonic()) < said_at + every:
            return
        said_at = now
        # A thread that outlives the block, after an error, does not say that the process is at work.
        with lock:
            if not is_over:
                say(AT_WORK)

    say(AT_WORK)
    try:
        yield alive
    finally:
        with lock:
            is_over = True
            say(AT_REST)


def _silent_seconds() -> float:
    return float(os.environ.get(VARIABLE) or SILENT_SECONDS)


@lru_cache(maxsize=1)
def _watchman(process: int) -> tuple[int, object]:
    """Where to write for this process's watchman, and he himself; he is started once and ends with the process."""
    source, target = os.pipe()
    try:
        # Without site-packages he is there in 10 ms and takes 8 MB. In a session of his own no signal to the workers'
        # group meets him.
        watchman = subprocess.Popen(
            [sys.executable, "-I", "-S", str(WATCHMAN), str(process), str(_silent_seconds())],
            stdin=source,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
    finally:
        os.close(source)
    os.set_blocking(target, False)
    return target, watchman
