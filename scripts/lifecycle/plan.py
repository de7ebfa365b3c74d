"""`make plan`: what the settings would make of the cluster, and its price; and what must be true before that."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from scripts import console, lock, tfvars
from scripts.aws import clients, own_address, resources
from scripts.aws.quotas import QuotaError
from scripts.cluster import Cluster, Host
from scripts.doctor import machine, tools
from scripts.errors import AwsError, BusyError, MissingError
from scripts.hosts import host_keys
from scripts.images import contents, shelf
from scripts.lifecycle import preflight
from scripts.money import bounds, choice, measured
from scripts.runs import at_work, estimate
from scripts.terraform import outputs, placement, validation, workspace
from scripts.terraform.workspace import Placement, Plan, Terraform

# What each host has of its own.
OF_A_HOST = ("aws_instance", "aws_scheduler_schedule")
KEY_PAIR, HOST = "aws_key_pair.admin", "aws_instance."
# Hosts that images are made of, and that no cluster misses.
BAKE = "aws_instance.bake["


def plan(admin_cidr: str = "", pictures: str = "", precision: str = "", megapixels: str = "", decode: str = "") -> None:
    """Say in a few lines what `up` would do and what the cluster costs; changes nothing but makes the key pair.

    With a number of pictures also what they take and cost on it, and on workers of other types. Raises InputError.
    """
    question = choice.asked(pictures, precision, megapixels, decode)
    name = tfvars.read()["cluster_name"]
    check(name)
    outputs.check_account(name)
    with lock.changing(name, "plan"), console.phase("Plan") as under_way:
        ensure_key(name)
        planned = plan_for(name, admin_cidr)
        under_way.result = counts(planned)
    try:
        preflight.check(planned.variables)
    except QuotaError as error:
        if not placement.after(planned, error):
            raise
        console.say(f"{error} With spot_fallback, `make up` goes on to workers on demand.")
    for line in groups(planned):
        console.say(f"  {line}")
    for line in [*images(planned), *bounds.before(planned.variables), *cost_of_images(planned)]:
        console.say(line)
    if question:
        for line in choice.lines(planned.variables, question, _measured(planned), estimate.FIXED_SECONDS):
            console.say(line)
    console.say("Next: make up")


def _measured(planned: Plan) -> choice.Known:
    """What this account's runs have measured; nothing where that cannot be read, which a line says."""
    try:
        return measured.read(resources.buckets_of_project(str(planned.variables["region"])))
    except AwsError as error:
        console.say(f"What runs of this account have measured is not known: {error}")
        return {}


def check(name: str) -> str:
    """Tools, settings and credentials; gives the account. Raises InputError or MissingError with what to do."""
    tools.check()
    machine.secrets()
    machine.disk()
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
            hosts = [_host(address) for address in addresses if address.startswith(HOST)]
            others = len(addresses) - len(hosts)
            parts = [*hosts, f"{others} parts of network, access and storage"] if others else hosts
            lines.append(f"{action}: {', '.join(parts)}")
    return lines


def ensure_key(name: str) -> str:
    """Have the key pair that logs in; gives a word on where it is.

    Raises MissingError where hosts were made with another laptop's: one that is made now would let nobody in.
    """
    if not host_keys.has_pair(name):
        there = workspace.Workspace(name).state_list()
        if KEY_PAIR in there and any(address.startswith(HOST) for address in there):
            key = host_keys.private_key_path(name)
            raise MissingError(
                f"Cluster {name} was made from another laptop, whose key its hosts take: copy "
                f".orchard/{name}/{key.name} from there to {key}, then again."
            )
    return host_keys.ensure_pair(name)


def plan_for(
    name: str,
    admin_cidr: str,
    wanted: Placement | None = None,
    replacing: Sequence[str] = (),
    alone: Sequence[Host] = (),
    targets: Sequence[str] = (),
    **wished: Any,
) -> Plan:
    """Plan by the settings in force, and by those wished for; a bucket that an earlier cluster left is taken over.

    Workers that are there stay of their kind. `wanted` is where an `up` that is under way tries it next; what is at the
    addresses of `replacing` is made anew; `alone` are the workers that are looked at, `targets` the addresses, where
    not everything is. New hosts start from images that fit this checkout, where there are any.

    Raises BusyError where AWS has hosts that the state does not know, MissingError where they take another key.
    """
    terraform = workspace.Workspace(name)
    targets = [*targets, *(address_of(kind, host) for kind in OF_A_HOST for host in alone)]
    variables: dict[str, Any] = {"admin_cidrs": own_address.admin_cidrs(admin_cidr), **wished}
    if baked := _images_that_fit(name):
        variables["baked_images"] = baked
    if wanted:
        variables["placement"] = asdict(wanted)
    elif zone := terraform.zone():
        variables["placement"] = {"zone": zone}
    planned = terraform.plan(variables, replacing, targets)
    if wanted is None and (kept := placement.kept(planned)):
        variables["placement"] = asdict(kept)
        planned = terraform.plan(variables, replacing, targets)
    if planned.changes.get("aws_s3_bucket.data") == "create":
        region = str(planned.variables["region"])
        if planned.values["aws_s3_bucket.data"]["bucket"] in resources.buckets(region, name):
            planned = terraform.plan(variables | {"bucket_adopt": True}, replacing, targets)
    # What an `up` under way has just taken away again is listed for another minute.
    if "create" in planned.changes.values() and wanted is None:
        _refuse_unknown_resources(terraform, str(planned.variables["region"]), name)
    _refuse_another_key(planned, name)
    return planned


def _images_that_fit(name: str) -> dict[str, str]:
    """Terraform's baked_images; nothing where the person names an image, for that comes first."""
    if tfvars.setting("ami_id"):
        return {}
    return shelf.fitting(shelf.images(str(tfvars.setting("region")), name), contents.of_checkout())


def images(planned: Plan) -> list[str]:
    """What is to be said of the images that this plan's new hosts start from, or do not; nothing without new hosts."""
    made = {
        _host(address).partition("-")[0]: str(planned.values.get(address, {}).get("ami"))
        for address, action in planned.changes.items()
        if action in ("create", "replace") and address.startswith(HOST) and not address.startswith(BAKE)
    }
    if not made or planned.variables.get("ami_id"):
        return []
    there = shelf.images(str(planned.variables["region"]), str(planned.variables["cluster_name"]))
    return shelf.started_from(there, made, contents.of_checkout())


def cost_of_images(planned: Plan) -> list[str]:
    """What images cost a month, in one sentence; none where there are none."""
    cost = shelf.cost(str(planned.variables["region"]), str(planned.variables["cluster_name"]))
    return [cost] if cost else []


def ask_before_hosts_go(cluster: Cluster, planned: Plan) -> None:
    """Ask where the plan stops, replaces or deletes a host and something is at work. Raises BusyError without a yes."""
    going = _going(planned)
    if not going:
        return
    would = " and ".join(f"{verb} {', '.join(hosts)}" for verb, hosts in going.items())
    is_at_work = at_work.ask_before(cluster, f"This would {would}. Do it all the same?")
    # Workers' tasks are done elsewhere; a run does not outlive its driver.
    if is_at_work and any("master" in hosts for hosts in going.values()):
        with console.phase("Runs") as under_way:
            at_work.end_runs(cluster, under_way.note)
            under_way.result = "ended, and kept as far as they came"


def _going(planned: Plan) -> dict[str, list[str]]:
    """Hosts by what is done to them that ends what they are at."""
    does = {"replace": "replace", "delete": "delete", "update": "stop and start again"}
    going: dict[str, list[str]] = {}
    for action, verb in does.items():
        for address, planned_action in planned.changes.items():
            is_going = planned_action == action and (action != "update" or address in planned.stops)
            if is_going and address.startswith(HOST) and not address.startswith(BAKE):
                going.setdefault(verb, []).append(_host(address))
    return going


def _refuse_another_key(planned: Plan, name: str) -> None:
    """AWS would take another key pair, and the hosts that stay would not."""
    stay = [a for a in planned.values if a.startswith(HOST) and planned.changes.get(a) in (None, "update")]
    if stay and planned.changes.get(KEY_PAIR) == "replace":
        key = host_keys.private_key_path(name)
        raise MissingError(
            f"The hosts of cluster {name} take another key than {key}: put the one there that they were made with, "
            "from the laptop that made them, or `make down`, then `make up`."
        )


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
    if address.startswith(BAKE):
        role = index.strip('"')
        return f"bake-{role}"
    return f"worker-{int(index) + 1}" if index else "master"
