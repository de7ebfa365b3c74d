"""`make up` and `make plan`: from settings to a cluster that works, converging from wherever the last time stopped."""

from typing import Any

from scripts import (
    ansible,
    aws,
    caller,
    commands,
    console,
    introduction,
    keys,
    leftovers,
    lock,
    power,
    prices,
    readiness,
    settings,
    terraform,
)
from scripts import cluster as clusters
from scripts.cluster import Cluster
from scripts.diagnostics import Event
from scripts.errors import BusyError, InputError
from scripts.prices import Price
from scripts.terraform import Plan

TOOLS = ("terraform", "ansible-playbook", "ssh", "ssh-keygen")


def plan(admin_cidr: str = "") -> None:
    """Say in a few lines what `up` would do and what the cluster costs; changes nothing but makes the key pair."""
    name = settings.read()["cluster_name"]
    check(name)
    with lock.changing(name, "plan"), console.phase("Plan") as under_way:
        keys.ensure_pair(name)
        planned = plan_for(name, admin_cidr)
        under_way.result = summary(planned)
    for line in groups(planned):
        console.say(f"  {line}")
    console.say(f"Price: {price_of(planned) or 'unknown for these instance types: see aws.amazon.com/ec2/pricing'}")
    console.say("Next: make up")


def up(admin_cidr: str = "") -> None:
    """Create or mend the cluster; ends with its addresses, its price and the next command."""
    name = settings.read()["cluster_name"]
    with console.phase("Checks") as under_way:
        under_way.result = check(name)
    with lock.changing(name, "up"):
        cluster = converge(name, admin_cidr)
    introduction.say(cluster)


def converge(name: str, admin_cidr: str = "") -> Cluster:
    """Make the cluster as the settings say, whatever is there of it. The lock is held."""
    with console.phase("Plan") as under_way:
        key = keys.ensure_pair(name)
        planned = plan_for(name, admin_cidr)
        under_way.result = f"{summary(planned)}; {key}"
    with console.phase("Machines") as under_way:
        under_way.result = apply(planned, under_way)
        cluster = clusters.current()
        if power.start_stopped(cluster, under_way):
            cluster = clusters.current()
    readiness.connect(cluster)
    with console.phase("Software") as under_way:
        changed = ansible.configure(under_way.note)
        under_way.result = f"{changed} changes" if changed else "nothing to change"
    readiness.verify(cluster)
    return cluster


def check(name: str) -> str:
    """Tools, region and credentials; gives the account. Raises InputError or MissingError with what to do."""
    for tool in TOOLS:
        commands.need(tool)
    region = check_region()
    account = aws.account(region)
    return f"cluster {name} in {region}, account {account}"


def check_region() -> str:
    """The region that is set. Raises InputError when it is not one of those allowed."""
    region, allowed = settings.setting("region"), settings.setting("allowed_regions")
    if region not in allowed:
        raise InputError(
            f"The region {region} is not among allowed_regions ({', '.join(allowed)}): choose one of these in "
            "terraform.tfvars, or add it to allowed_regions on purpose."
        )
    return str(region)


def price_of(planned: Plan) -> Price | None:
    """The price of the cluster that the plan leads to."""
    values = planned.variables
    return prices.of_cluster(
        region=values["region"],
        master_type=values["master_instance_type"],
        worker_type=values["worker_instance_type"],
        workers=int(values["worker_count"]),
        spot=bool(values["worker_spot"]),
        root_gb=int(values["root_volume_gb"]),
    )


def summary(planned: Plan) -> str:
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


def apply(planned: Plan, under_way: console.Phase) -> str:
    """Carry the plan out, and say how far it is on the way."""
    if not planned.applicable:
        return "as planned already"
    total, done = len(planned.changes), 0

    def hear(event: Event) -> None:
        nonlocal done
        # Data sources that are read late are told of as well.
        if event.get("type") == "apply_complete" and event["hook"]["resource"]["addr"] in planned.changes:
            done += 1
            if console.is_terminal():
                under_way.note(f"{done} of {total}: {event['hook']['resource']['addr']}")

    terraform.apply(planned, hear)
    return f"{done} of {total} done"


def plan_for(name: str, admin_cidr: str) -> Plan:
    """Plan by the settings in force; a bucket that an earlier cluster of this name left is taken over."""
    terraform.use(name)
    variables: dict[str, Any] = {"admin_cidrs": caller.admin_cidrs(admin_cidr)}
    planned = terraform.plan(variables)
    if planned.changes.get("aws_s3_bucket.data") == "create":
        region = str(planned.variables["region"])
        if planned.values["aws_s3_bucket.data"]["bucket"] in leftovers.buckets(region, name):
            planned = terraform.plan(variables | {"bucket_adopt": True})
    if "create" in planned.changes.values():
        _refuse_strays(str(planned.variables["region"]), name)
    return planned


def _refuse_strays(region: str, name: str) -> None:
    """A second cluster of the same name would clash with the first, or be paid for unseen."""
    there = leftovers.of_cluster(region, name)
    state = terraform.state_text() if there else ""
    strays = [str(thing) for thing in there if f'"{thing.id}"' not in state]
    if strays:
        more = f" and {len(strays) - 3} more" if len(strays) > 3 else ""
        raise BusyError(
            f"AWS has {', '.join(strays[:3])}{more} of a cluster {name} that Terraform's state here does not know: "
            "another laptop's, or left by something that was killed. Choose another cluster_name, or run `make down`."
        )


def _host(address: str) -> str:
    index = address.partition("[")[2].rstrip("]")
    return f"worker-{int(index) + 1}" if index else "master"
