"""`make bake`: images of a master and of a worker, from which the next hosts start with everything installed.

Their hosts are Terraform's, in the cluster's network, and are there for this alone: whatever ends a bake early, the
next apply of anybody's takes them away, and so do they themselves.
"""

from contextlib import nullcontext
from dataclasses import replace

from scripts import console, lock, tfvars
from scripts.access.errors import aws_errors_as_sentences
from scripts.aws import clients
from scripts.cluster import Cluster, Host
from scripts.errors import BusyError, InputError, OperatorError
from scripts.hosts import ansible, host_keys, readiness
from scripts.images import contents, shelf
from scripts.images.shelf import Image
from scripts.lifecycle import ends, plan, up
from scripts.terraform import outputs, workspace

HOSTS = tuple(f'{plan.BAKE}"{role}"]' for role in shelf.ROLES)
# All of them, those that no setting wishes for any more, too.
TARGETS = (plan.BAKE.rstrip("["),)
# The hard end that they have in terraform/bake.tf; a test holds the two together.
ALONE_MINUTES = 90


def bake(clean: bool = False, admin_cidr: str = "") -> None:
    """Have images that fit this checkout, or with `clean` none at all.

    Raises NoClusterError where no cluster is up, whose network they are made in; InputError with an ami_id.
    """
    name = tfvars.read()["cluster_name"]
    plan.check(name)
    region = str(tfvars.setting("region"))
    with lock.changing(name, "bake"):
        if clean:
            _clean(region, name)
            return
        if tfvars.setting("ami_id"):
            raise InputError("ami_id names an image of your own, which hosts start from: leave it out to bake one.")
        cluster = outputs.current()
        made_of = contents.of_checkout()
        kinds = _kinds(cluster)
        wanted = _of_this(cluster, kinds, made_of)
        if set(wanted) < set(shelf.ROLES):
            # The keeper leaves them alone, and would stop the cluster beside them.
            with ends.put_off(cluster, "bake") if readiness.runs(cluster) else nullcontext():
                wanted = _bake(cluster, kinds, made_of, wanted, admin_cidr)
        with console.phase("Images") as under_way:
            there = shelf.wait_for(region, name, list(wanted.values()), under_way.note)
            under_way.result = ", ".join(f"{image.id} ({image.kind})" for image in there)
        _remove_others(region, name, made_of)
        _say(region, name, there)


def _kinds(cluster: Cluster) -> dict[str, str]:
    """What the cluster's images are called, by their role. Raises BusyError where nobody tells."""
    release = workspace.Workspace(cluster.name).outputs().get("debian_release")
    master = readiness.described(cluster).get(cluster.master.name)
    if release is None or master is None:
        raise BusyError("The cluster was made by an earlier Orchard, or is half gone: `make up`, then `make bake`.")
    return {role: shelf.kind(role, master["Architecture"], release) for role in shelf.ROLES}


def _of_this(cluster: Cluster, kinds: dict[str, str], made_of: str) -> dict[str, str]:
    """The images of this checkout that are ready, or about to be, by their role; one that came to nothing goes."""
    found = [image for image in shelf.images(cluster.region, cluster.name) if image.contents == made_of]
    good = [image for image in found if image.state in ("available", "pending")]
    # Nobody else may have its name while it is there.
    shelf.remove(cluster.region, [image for image in found if image not in good])
    ids = {image.kind: image.id for image in good}
    return {role: ids[kind] for role, kind in kinds.items() if kind in ids}


def _bake(
    cluster: Cluster, kinds: dict[str, str], made_of: str, there: dict[str, str], admin_cidr: str
) -> dict[str, str]:
    """Have the images made that are not there, and their hosts taken away, however that ends; gives all by role."""
    left = [address for address in workspace.Workspace(cluster.name).state_list() if address in HOSTS]
    if left and not console.ask(
        "AWS has hosts that images are made of already, by another laptop, or since a `make bake` that was broken off. "
        "Take them away and begin anew?"
    ):
        raise BusyError(f"Nothing was changed: those hosts switch themselves off within {ALONE_MINUTES} minutes.")
    try:
        baking = _hosts(cluster, left, admin_cidr)
        readiness.connect(baking)
        with console.phase("Software") as under_way:
            ansible.prepare_images(cluster.name, under_way.note)
            under_way.result = "installed, and nothing left that is a host's own"
        made = _make_images(baking, kinds, made_of, there)
    except BaseException as error:
        _take_away_after(cluster, error)
        raise
    _take_away(cluster)
    # Their addresses may be others' tomorrow.
    host_keys.forget(cluster.known_hosts, baking.hosts)
    return made


def _hosts(cluster: Cluster, left: list[str], admin_cidr: str) -> Cluster:
    """As a cluster: a master and a worker."""
    with console.phase("Hosts") as under_way:
        planned = plan.plan_for(cluster.name, admin_cidr, replacing=left, targets=TARGETS, baking=True)
        _refuse_anything_else(planned.changes)
        under_way.note("starting a host for each image")
        under_way.result = up.apply(cluster.name, planned, under_way)
        made = workspace.Workspace(cluster.name).outputs()["bake"]
    return replace(cluster, master=Host(**made["master"]), workers=(Host(**made["worker"]),))


def _refuse_anything_else(changes: dict[str, str]) -> None:
    if more := [f"{action} {address}" for address, action in changes.items() if address not in HOSTS]:
        raise BusyError(
            f"Terraform would change the cluster, too ({', '.join(more)}), as when terraform.tfvars was changed: "
            "`make up` makes it so, then `make bake`."
        )


def _make_images(baking: Cluster, kinds: dict[str, str], made_of: str, there: dict[str, str]) -> dict[str, str]:
    """Stop the hosts, and have an image made of each whose role has none yet; gives all by role, ready."""
    ec2 = clients.client("ec2", baking.region)
    with console.phase("Stop") as under_way:
        with aws_errors_as_sentences("stop the hosts that images are made of"):
            ec2.stop_instances(InstanceIds=[host.id for host in baking.hosts])
        readiness.wait_for_state(baking, "stopped", under_way)
        under_way.result = f"{len(baking.hosts)} hosts stopped"
    made = dict(there)
    with console.phase("Images") as under_way:
        for role, host in zip(shelf.ROLES, baking.hosts, strict=True):
            if role not in there:
                made[role] = shelf.create(baking.region, host.id, baking.name, baking.tags, (kinds[role], made_of))
        # Until then, for what AWS has not copied yet is on their disks.
        shelf.wait_for(baking.region, baking.name, list(made.values()), under_way.note)
        under_way.result = "copied"
    return made


def _take_away(cluster: Cluster) -> None:
    """Give the hosts back: Terraform knows of them, or has none."""
    with console.phase("Hosts") as under_way:
        planned = plan.plan_for(cluster.name, "", targets=TARGETS)
        _refuse_anything_else(planned.changes)
        under_way.result = up.apply(cluster.name, planned, under_way)


def _take_away_after(cluster: Cluster, error: BaseException) -> None:
    """What ended the bake is what is told; that its hosts are still there is a note beside it."""
    try:
        _take_away(cluster)
    except (OperatorError, KeyboardInterrupt) as refused:
        error.add_note(
            f"The hosts that images are made of are not taken away yet ({refused}): the next `make bake`, `make up` or "
            f"`make down` does it, or they themselves within {ALONE_MINUTES} minutes."
        )


def _remove_others(region: str, name: str, made_of: str) -> None:
    """Images of other versions, which are paid for and which nothing here starts from."""
    others = [image for image in shelf.images(region, name) if image.contents != made_of]
    if others:
        shelf.remove(region, others)
        console.say(f"Deleted: {len(others)} images of other versions of the roles.")


def _say(region: str, name: str, made: list[Image]) -> None:
    for image in made:
        console.say(f"{image.kind:<{console.NAME_WIDTH * 2}}{image.id}  baked {image.day}")
    if costs := shelf.cost(region, name):
        console.say(costs)
    console.say("Next: make up, for hosts that are made from now on start from them; those that are there stay.")


def _clean(region: str, name: str) -> None:
    """Take away all images, and whatever a bake that was broken off has left."""
    with console.phase("Images") as under_way:
        gone = shelf.remove_all(region, name)
        under_way.result = f"{len(gone)} images deleted, and their snapshots" if gone else "there were none"
    if any(address in HOSTS for address in workspace.Workspace(name).state_list()):
        _take_away(outputs.current())
