"""`python -m pipeline`."""

import os
import sys

from pipeline.cli import main
from pipeline.errors import ExitCode

if __name__ == "__main__":
    code = main()
    if code == ExitCode.INTERRUPTED:
        # An orderly exit would wait for the threads that are in the middle of a request, and one may stall.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
