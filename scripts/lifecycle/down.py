"""`make down`: logs saved, the cluster taken away, looked for and summed up; bucket and images stay unless PURGE=1."""

from typing import Any

from scripts import console, lock, processes, tfvars
from scripts.access import certificates, login
from scripts.access.errors import aws_errors_as_sentences
from scripts.access.profile import credentials_file, profile_name, remove_profile
from scripts.aws import clients, resource_removal, resources
from scripts.aws.resources import Resource
from scripts.cluster import Cluster
from scripts.errors import AwsError, BusyError, NoClusterError, OperatorError
from scripts.hosts import host_keys, logs, tunnels
from scripts.images import shelf
from scripts.lifecycle import ends, plan, power
from scripts.money import life, prices
from scripts.runs import at_work
from scripts.terraform import outputs, workspace
from scripts.terraform.diagnostics import Event
from scripts.waiting import wait_until

GONE_SECONDS = 120
# What the ledger has until nothing is left: only then the disks are gone, too.
BEGUN = "make down was begun"
# A page has 1,000 objects; whoever has more reads "more than".
PAGES_COUNTED = 20
MEGABYTE = 10**6


def down(purge: bool = False) -> None:
    """Take the cluster away, whatever of it is there. Raises AwsError when something is left in the end."""
    name = tfvars.read()["cluster_name"]
    processes.need("terraform")
    region = plan.checked_region()
    clients.account(region)
    with lock.changing(name, "down"):
        up_now = _current()
        question = "Take the cluster down all the same?"
        is_at_work = at_work.ask_before(up_now, question) if up_now else False
        if purge:
            _ask_before_purge(region, name)
        if up_now:
            with console.phase("Logs") as under_way:
                if is_at_work:
                    at_work.end_runs(up_now, under_way.note)
                _close_ledger(up_now, under_way)
                logs.save_to_bucket(up_now, under_way)
        until = life.ran_until(up_now) if up_now else None
        known = workspace.Workspace(name).state_text()
        with console.phase("Destroy") as under_way:
            under_way.result = _destroy(name, under_way)
        with console.phase("Check") as under_way:
            under_way.result = _check(region, name, known, under_way)
        if up_now:
            host_keys.forget(up_now.known_hosts, up_now.hosts)
        if swept := _sweep(name):
            console.say(f"Swept from this machine: {' and '.join(swept)}.")
        life.tell(region, name, until, up_now.master.id if up_now else None)
        if purge:
            _purge(region, name)
            _purge_images(region, name)
        else:
            _tell_of_buckets(region, name)
            if costs := shelf.cost(region, name):
                console.say(costs)


def _close_ledger(cluster: Cluster, under_way: console.Phase) -> None:
    """Have the ledger's last entry written while somebody knows of it."""
    try:
        if power.are_off(cluster):
            power.settle(cluster)
        else:
            ends.save_last_entry(cluster, BEGUN, under_way)
    except OperatorError as error:
        under_way.note(f"the ledger's last entry was not written: {error.reason}")


def _sweep(name: str) -> list[str]:
    """Delete the secrets that this machine kept for the cluster; gives what there was."""
    tunnels.forget_ways_in(tfvars.state_folder(name))
    there = {
        "the cluster's key pair": host_keys.delete_own_pair(name),
        f"the AWS profile {profile_name(name)}": remove_profile(credentials_file(), profile_name(name)),
    }
    return [what for what, was_there in there.items() if was_there]


def _current() -> Cluster | None:
    try:
        return outputs.current()
    except NoClusterError:
        return None


def _destroy(name: str, under_way: console.Phase) -> str:
    """Destroy all that Terraform knows but the bucket, which is taken out of its hands first."""
    terraform = workspace.Workspace(name)
    known = terraform.state_list()
    terraform.forget([address for address in known if address.startswith("aws_s3_")])
    going = {address for address in known if not address.startswith(("aws_s3_", "data."))}
    done = 0

    def hear(event: Event) -> None:
        nonlocal done
        # Data sources that are read have such an event, too.
        if event.get("type") == "apply_complete" and event["hook"]["resource"]["addr"] in going:
            done += 1
            if console.is_terminal():
                under_way.note(f"{done} of {len(going)}: {event['hook']['resource']['addr']}")

    if not going:
        return "Terraform knows of nothing"
    terraform.destroy(hear)
    return f"{done} resources destroyed"


def _check(region: str, name: str, destroyed: str, under_way: console.Phase) -> str:
    """Look through the API for what is left; what the state did not know of is taken away when that is allowed.

    `destroyed` is the state's text before Terraform destroyed what is in it.
    """
    there = _wait_until_gone(region, name, destroyed, under_way)
    if there:
        listed = ", ".join(map(str, there))
        if not console.ask(f"AWS still has {listed}, which carry the cluster's tags. Delete them?"):
            raise BusyError(f"Still there, and paid for: {listed}. `make down` again asks again.")
        resource_removal.remove(region, there)
        there = _wait_until_gone(region, name, " ".join(f'"{resource.id}"' for resource in there), under_way)
    if there:
        raise AwsError(
            f"Still there, and paid for: {', '.join(map(str, there))}: `make down` again, or the AWS console."
        )
    return f"nothing of cluster {name} is left in {region}"


def _wait_until_gone(region: str, name: str, destroyed: str, under_way: console.Phase) -> list[Resource]:
    """What stays. Waited for is what shuts down, and what was destroyed and is listed for a while, as AWS does."""
    there: list[Resource] = []

    def is_settled() -> bool:
        there[:] = resources.of_cluster(region, name)
        # An instance says itself what becomes of it.
        late = [found for found in there if f'"{found.id}"' in destroyed and found.kind != "instance"]
        going = [*(resources.shutting_down(region, name) if there else []), *late]
        if going:
            under_way.note(f"waiting for {going[0]} to be gone")
        return not going

    wait_until(is_settled, seconds=GONE_SECONDS)
    return there


def _ask_before_purge(region: str, name: str) -> None:
    for bucket in resources.buckets(region, name):
        question = f"Delete the bucket {bucket} with {_contents(region, bucket)}, for good?"
        if not console.ask(question):
            raise BusyError("Nothing was changed. Without PURGE=1 the bucket stays.")


def _purge(region: str, name: str) -> None:
    for bucket in resources.buckets(region, name):
        with console.phase("Purge") as under_way, aws_errors_as_sentences(f"delete the bucket {bucket}"):
            under_way.note(f"deleting every object and version in {bucket}")
            found = login.session().resource("s3", region_name=region, verify=certificates.bundle()).Bucket(bucket)
            found.object_versions.delete()
            found.delete()
            under_way.result = f"bucket {bucket} deleted"


def _purge_images(region: str, name: str) -> None:
    """Images can be baked anew from any checkout: nobody is asked for them alone."""
    if shelf.images(region, name) or shelf.cost(region, name):
        with console.phase("Purge") as under_way:
            under_way.result = f"{len(shelf.remove_all(region, name))} images and their snapshots deleted"


def _tell_of_buckets(region: str, name: str) -> None:
    for bucket in resources.buckets(region, name):
        size, _ = _size(region, bucket)
        cost = prices.of_storage(region, size)
        console.say(
            f"The bucket {bucket} stays with {_contents(region, bucket)}: about {cost:.2f} {prices.currency()} a "
            "month. The next `make up` takes it over; `make down PURGE=1` deletes it."
        )


def _contents(region: str, bucket: str) -> str:
    size, objects = _size(region, bucket)
    more = "more than " if objects >= PAGES_COUNTED * 1000 else ""
    return f"{more}{objects:,} objects and versions ({size / MEGABYTE:,.1f} MB)"


def _size(region: str, bucket: str) -> tuple[int, int]:
    """Bytes and number of the objects and versions in it, counted so far."""
    s3: Any = clients.client("s3", region)
    size = objects = 0
    with aws_errors_as_sentences(f"list the bucket {bucket}"):
        pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
        for _, page in zip(range(PAGES_COUNTED), pages, strict=False):
            size += sum(version["Size"] for version in page.get("Versions", []))
            objects += len(page.get("Versions", []))
    return size, objects
