"""Lost workers made anew, and nothing else touched: Terraform for them alone, Ansible for them alone."""

from collections.abc import Sequence
from dataclasses import replace

from scripts import console
from scripts.cluster import Cluster, Host
from scripts.errors import BusyError, UnpinnedError
from scripts.hosts import ansible, host_keys, readiness
from scripts.hosts.ssh import Hosts
from scripts.lifecycle import plan, up
from scripts.terraform import outputs
from scripts.terraform.workspace import Plan


class Unseen(console.Phase):
    """A phase beside another command's words: what it notes goes to the log file."""

    def __init__(self) -> None:
        super().__init__("Healing", None)

    def note(self, text: str) -> None:
        """Keep it."""
        console.log(text)


def lost(cluster: Cluster) -> list[Host]:
    """The workers that AWS has no more, while the master runs; none of a cluster that stops or is gone."""
    now = readiness.states(cluster)
    if now[cluster.master.name] != "running":
        return []
    # What shuts down yet, Terraform takes for one that is there.
    return [host for host in cluster.workers if now[host.name] == "terminated"]


def make_anew(cluster: Cluster, gone: Sequence[Host], is_there: bool = False) -> Cluster:
    """Have others in their places, at work; gives the cluster with them. The lock is held.

    With `is_there` AWS has them yet, and they are given back.

    Raises BusyError where Terraform would do more or less than that, or where this checkout is not the cluster's; and
    what Terraform, hosts and Ansible raise.
    """
    ansible.require_same_software(cluster.name)
    there = gone if is_there else ()
    planned = plan.plan_for(cluster.name, "", replacing=[plan.address_of("aws_instance", h) for h in there], alone=gone)
    _refuse_anything_else(planned, gone)
    up.apply(cluster.name, planned, Unseen())
    host_keys.forget(cluster.known_hosts, gone)
    cluster = outputs.current()
    _equip(cluster, [cluster.host(host.name) for host in gone])
    return cluster


def equip(cluster: Cluster, workers: Sequence[Host]) -> None:
    """Have these workers' software as the others', and wait until the master sees them.

    Raises BusyError where this checkout has another, and what hosts and Ansible raise.
    """
    ansible.require_same_software(cluster.name)
    _equip(cluster, workers)


def _equip(cluster: Cluster, workers: Sequence[Host]) -> None:
    host_keys.pin(cluster, Unseen())
    readiness.wait_for_ssh(cluster, Unseen(), of=workers)
    ansible.configure(cluster.name, console.log, only=workers)
    with Hosts(cluster) as hosts:
        readiness.wait_for_workers(hosts, replace(cluster, workers=tuple(workers)), Unseen())


def silent(cluster: Cluster, workers: Sequence[Host]) -> list[Host]:
    """Those of these workers that do not answer now; one that shows a key which nobody has pinned yet does."""
    failed = readiness.silent(cluster, workers, Unseen(), seconds=0)
    return [host for host in workers if host.name in failed and not isinstance(failed[host.name], UnpinnedError)]


def _refuse_anything_else(planned: Plan, gone: Sequence[Host]) -> None:
    """A person may have changed the settings since: that is for `up`, which says what it does."""
    wished = {plan.address_of("aws_instance", host) for host in gone}
    theirs = {plan.address_of(kind, host) for kind in plan.OF_A_HOST for host in gone}
    # One that is there already was made by an earlier try, which found no room for another.
    made = {a for a in planned.values if planned.changes.get(a, "no-op") in ("create", "replace", "no-op")}
    more = [f"{action} {address}" for address, action in planned.changes.items() if address not in theirs]
    if more or not wished <= made:
        what = ", ".join(more) or f"nothing in the place of {', '.join(sorted(wished - made))}"
        raise BusyError(
            f"Terraform would do something else than make them anew ({what}), as when terraform.tfvars was changed: "
            "`make up` makes it so."
        )
