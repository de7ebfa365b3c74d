"""Spark's daemon of Python workers, begun so that the kernel takes these first where a host's memory ends.

Spark starts it as `spark.python.daemon.module`; each worker that it forks has its score. Without it the kernel might
choose an executor's JVM, and with that every task of the host.
"""

from contextlib import suppress
from pathlib import Path

SCORE = 500
_FILE = Path("/proc/self/oom_score_adj")


def go_first(file: Path = _FILE) -> None:
    """Have the kernel choose this process, and those that it forks, before any that has not asked for it."""
    with suppress(OSError, ValueError):  # no Linux: nobody chooses there
        if int(file.read_text()) < SCORE:
            file.write_text(str(SCORE))


if __name__ == "__main__":
    go_first()
    from pyspark.daemon import manager

    manager()
