"""The job's own commands, run on this machine with the person's login."""

import sys

from scripts import processes
from scripts.access import certificates, login


def run(region: str, *words: str) -> int:
    """Run `python -m pipeline` with these words at this terminal; gives its exit code. It says its own sentences."""
    with login.lent() as lent:
        environment = certificates.environment() | lent | {"AWS_REGION": region}
        return processes.hand_over([sys.executable, "-m", "pipeline", *words], env=environment)
