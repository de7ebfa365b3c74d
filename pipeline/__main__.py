"""`python -m pipeline`, and the command `orchard` of an installed package."""

import os
import sys
from typing import NoReturn

from pipeline.cli import main
from pipeline.errors import ExitCode


def run() -> NoReturn:
    """Do what the command line asks for and end the process with its exit code."""
    code = main()
    if code == ExitCode.INTERRUPTED:
        # An orderly exit would wait for the threads that are in the middle of a request, and one may stall.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    run()
