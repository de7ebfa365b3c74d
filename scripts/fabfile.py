"""Fabric's tasks: `fab -r scripts --list`. Each is a line or two; what they do is in the modules beside this one."""

import sys
from pathlib import Path

# Fabric puts this folder on the path and not the checkout that it is a package of.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts import cluster, console
from scripts.tasks import task


@task()
def whereabouts() -> None:
    """Name the cluster that is up."""
    console.say(cluster.current().name)
