"""Join control groups, then become another program: `launch.py GROUP... -- PROGRAM ARGUMENT...`."""

import ctypes
import os
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Never returns."""
    split = sys.argv.index("--")
    # A killed sandbox takes its hosts along: nspawn gets SIGTERM, an orderly power off, when its supervisor dies.
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    for group in sys.argv[1:split]:
        (Path(group) / "cgroup.procs").write_text(str(os.getpid()))
    os.execvp(sys.argv[split + 1], sys.argv[split + 1 :])  # noqa: S606


main()
