"""The watchman of a Python worker, a process of his own: reads what it says on his input, and ends it if it is silent.

    watchman.py PROCESS SECONDS

He needs nothing but Python itself, and ends when his input does.
"""

import os
import select
import signal
import sys

AT_WORK = b"w"
# One slice too long says that the host stood still, the watchman with it; only many in a row say that one process does.
SLICES = 10


def watch(process: int, seconds: float, source: int = 0) -> None:
    """Until the input ends: end the process with SIGKILL where it is at work and says nothing for so many seconds."""
    is_at_work, silent = False, 0
    while True:
        heard, _, _ = select.select([source], [], [], seconds / SLICES if is_at_work else None)
        if not heard:
            silent += 1
            if silent == SLICES:
                end(process, seconds)
                return
            continue
        said = os.read(source, 65536)
        if not said:
            return
        is_at_work, silent = said.endswith(AT_WORK), 0


def end(process: int, seconds: float) -> None:
    """End the process, if it is the one that has started this one: it hears no other signal where it is stopped."""
    if os.getppid() != process:
        return
    print(f"orchard: Python worker {process} did nothing for {seconds:g} s and is ended.", file=sys.stderr, flush=True)
    os.kill(process, signal.SIGKILL)


if __name__ == "__main__":
    watch(int(sys.argv[1]), float(sys.argv[2]))
