"""`make allow`: let the address in that this machine has now, and change nothing else."""

from scripts import console, lock, tfvars
from scripts.aws import own_address
from scripts.errors import BusyError
from scripts.lifecycle import plan, up
from scripts.terraform import outputs, workspace

RULE = "aws_vpc_security_group_ingress_rule.ssh"


def allow(admin_cidr: str = "") -> None:
    """Open SSH to admin_cidrs and to this machine's address (or the given network), and close it to all others.

    Raises NoClusterError where no cluster is up, BusyError where terraform.tfvars asks for more on the way there.
    """
    name = tfvars.read()["cluster_name"]
    with lock.changing(name, "allow"):
        outputs.current()
        wanted = own_address.admin_cidrs(admin_cidr)
        with console.phase("Rule") as under_way:
            planned = workspace.Workspace(name).plan({"admin_cidrs": wanted}, targets=[RULE])
            if others := [address for address in planned.changes if not address.startswith(f"{RULE}[")]:
                more = ", ".join(others[:3])
                raise BusyError(f"terraform.tfvars changes more than who is let in ({more}): `make up` does it all.")
            up.apply(name, planned, under_way)
            under_way.result = plan.counts(planned)
    console.say(f"Let in: {', '.join(wanted)}")
