"""Fabric's tasks: `fab -r scripts --list`. Each is a line or two; what they do is in the modules beside this one."""

import sys
from pathlib import Path

# Fabric puts this folder on the path and not the checkout that it is a package of.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts import power
from scripts import up as creation
from scripts.tasks import task

ADMIN_CIDR = {"admin-cidr": "network to open SSH to, as 203.0.113.7/32, instead of asking AWS for your address"}


@task(ADMIN_CIDR)
def plan(admin_cidr: str = "") -> None:
    """Say what `up` would do, and the price per hour and day."""
    creation.plan(admin_cidr)


@task(ADMIN_CIDR)
def up(admin_cidr: str = "") -> None:
    """Create the cluster, or mend and change it to what terraform.tfvars says."""
    creation.up(admin_cidr)


@task()
def stop() -> None:
    """Stop the instances; the disks stay."""
    power.stop()


@task()
def start() -> None:
    """Start them again, and verify the cluster."""
    power.start()
