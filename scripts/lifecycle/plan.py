"""`make plan`: what the settings would make of the cluster, and its price; and what must be true before that."""

from collections.abc import Sequence
from typing import Any

from scripts import console, lock, processes, tfvars
from scripts.aws import clients, own_address, resources
from scripts.cluster import Host
from scripts.errors import BusyError
from scripts.hosts import host_keys
from scripts.lifecycle import preflight
from scripts.money import bounds
from scripts.terraform import validation, workspace
from scripts.terraform.workspace import Plan, Terraform

# What each host has of its own.
OF_A_HOST = ("aws_instance", "aws_scheduler_schedule")
TOOLS = ("terraform", "ansible-playbook", "ssh", "ssh-keygen")


def plan(admin_cidr: str = "") -> None:
    """Say in a few lines what `up` would do and what the cluster costs; changes nothing but makes the key pair."""
    name = tfvars.read()["cluster_name"]
    check(name)
    with lock.changing(name, "plan"), console.phase("Plan") as under_way:
        host_keys.ensure_pair(name)
        planned = plan_for(name, admin_cidr)
        under_way.result = counts(planned)
    preflight.check(planned.variables)
    for line in groups(planned):
        console.say(f"  {line}")
    for line in bounds.before(planned.variables):
        console.say(line)
    console.say("Next: make up")


def check(name: str) -> str:
    """Tools, settings and credentials; gives the account. Raises InputError or MissingError with what to do."""
    for tool in TOOLS:
        processes.need(tool)
    region = checked_region()
    if rehearsal := clients.rehearsal(region):
        console.say(rehearsal)
    account = clients.account(region)
    return f"cluster {name} in {region}, account {account}"


def checked_region() -> str:
    """The region that is set, once Terraform takes the settings. Raises InputError when it refuses them."""
    validation.check(tfvars.text())
    return str(tfvars.setting("region"))


def counts(planned: Plan) -> str:
    """How much a plan creates, changes and destroys."""
    verbs = {"create": "to create", "update": "to change", "replace": "to replace", "delete": "to destroy"}
    counts = [f"{count} {verb}" for action, verb in verbs.items() if (count := planned.count(action))]
    return ", ".join(counts) or "nothing to change"


def groups(planned: Plan) -> list[str]:
    """What is to be done, one line for each action and what machines it concerns."""
    lines = []
    for action in ("create", "update", "replace", "delete"):
        addresses = [address for address, planned_action in planned.changes.items() if planned_action == action]
        if addresses:
            hosts = [_host(address) for address in addresses if address.startswith("aws_instance.")]
            others = len(addresses) - len(hosts)
            parts = [*hosts, f"{others} parts of network, access and storage"] if others else hosts
            lines.append(f"{action}: {', '.join(parts)}")
    return lines


def plan_for(name: str, admin_cidr: str, replacing: Sequence[Host] = (), alone: Sequence[Host] = ()) -> Plan:
    """Plan by the settings in force; a bucket that an earlier cluster of this name left is taken over.

    `replacing` are hosts that others are to take the place of; `alone` are the workers that are looked at, where not
    everything is.
    """
    terraform = workspace.Workspace(name)
    variables: dict[str, Any] = {"admin_cidrs": own_address.admin_cidrs(admin_cidr)}
    planned = terraform.plan(
        variables,
        replacing=[address_of("aws_instance", host) for host in replacing],
        targets=[address_of(kind, host) for kind in OF_A_HOST for host in alone],
    )
    if planned.changes.get("aws_s3_bucket.data") == "create":
        region = str(planned.variables["region"])
        if planned.values["aws_s3_bucket.data"]["bucket"] in resources.buckets(region, name):
            planned = terraform.plan(variables | {"bucket_adopt": True})
    if "create" in planned.changes.values():
        _refuse_unknown_resources(terraform, str(planned.variables["region"]), name)
    return planned


def _refuse_unknown_resources(terraform: Terraform, region: str, name: str) -> None:
    """A second cluster of the same name would clash with the first, or be paid for unseen."""
    there = resources.of_cluster(region, name)
    state = terraform.state_text() if there else ""
    unknown = [str(resource) for resource in there if f'"{resource.id}"' not in state]
    if unknown:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        raise BusyError(
            f"AWS has {', '.join(unknown[:3])}{more} of a cluster {name} that Terraform's state here does not know: "
            "another laptop's, or left by something that was killed. Choose another cluster_name, or run `make down`."
        )


def address_of(kind: str, host: Host) -> str:
    """What Terraform calls a host's instance, or another resource of its own."""
    number = host.name.partition("worker-")[2]
    return f"{kind}.worker[{int(number) - 1}]" if number else f"{kind}.{host.name}"


def _host(address: str) -> str:
    index = address.partition("[")[2].rstrip("]")
    return f"worker-{int(index) + 1}" if index else "master"
