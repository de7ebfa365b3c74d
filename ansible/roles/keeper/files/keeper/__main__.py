"""The keeper's one way in: what systemd starts on every host, and what orchard-run asks on the master."""

import sys
from pathlib import Path

# Where orchard_run lies, which knows the host. Nobody but root writes there.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from orchard_keeper.command_line import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
