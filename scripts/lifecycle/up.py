"""`make up` and `make start`: to a cluster that works, converging from wherever the last time stopped."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from scripts import console, lock, tfvars
from scripts.cluster import Cluster, Host
from scripts.errors import NoClusterError
from scripts.hosts import ansible, readiness
from scripts.lifecycle import ends, plan, power, preflight, summary
from scripts.money import bounds
from scripts.repair import answering
from scripts.terraform import outputs, placement, workspace
from scripts.terraform.diagnostics import Event
from scripts.terraform.workspace import KIND, Placement, Plan

Settings = dict[str, Any]


def up(admin_cidr: str = "") -> None:
    """Create or mend the cluster; ends with its addresses, its price and the next command."""
    name = tfvars.read()["cluster_name"]
    with console.phase("Checks") as under_way:
        under_way.result = plan.check(name)
    with lock.changing(name, "up"):
        cluster = converge(name, admin_cidr)
    summary.say(cluster)


def start() -> None:
    """Start every instance, make spot workers anew, and prove that the cluster works again."""
    name = tfvars.read()["cluster_name"]
    with lock.changing(name, "start"):
        cluster = outputs.current()
        if power.lost_workers(cluster):
            plan.check(name)
            cluster = converge(name)
        else:
            power.say_how_it_stopped(cluster)
            cluster = _switch_on(cluster)
    summary.say(cluster)


def _switch_on(cluster: Cluster) -> Cluster:
    ends.move_aws(cluster.region, cluster.name, cluster.ends.max_age_hours)
    with console.phase("Start") as under_way:
        started = power.start_stopped(cluster, under_way)
        under_way.result = f"{started} hosts started" if started else "all were running"
    cluster = outputs.current()
    readiness.connect(cluster)
    with ends.put_off(cluster, "start"):
        readiness.verify(cluster)
        ends.begin_anew(cluster)
    return cluster


def converge(name: str, admin_cidr: str = "", *, is_asked: bool = False, **wished: Any) -> Cluster:
    """Make the cluster as the settings say, whatever is there of it. The lock is held.

    `wished` are other values of settings; they are written into terraform.tfvars just before machines are made so. A
    host that is at work is stopped, replaced or deleted when somebody says so, or has been asked already. Whatever
    ends it early says what runs by then, and is paid for.
    """
    try:
        return _converge(name, admin_cidr, is_asked, wished)
    except BaseException as error:
        for line in bounds.of_what_runs(name):
            error.add_note(line)
        raise


def _converge(name: str, admin_cidr: str, is_asked: bool, wished: Settings) -> Cluster:
    before = _before()
    if before:
        power.say_how_it_stopped(before)
    # What Terraform changes of a schedule whose hour is past might stop the hosts at once, half a cluster's, too.
    ends.move_aws(str(tfvars.setting("region")), name, float(tfvars.setting("max_age_hours")))
    with ends.put_off(before, "up") if before and readiness.runs(before) else nullcontext():
        return _make_and_configure(name, admin_cidr, None if is_asked else before, wished)


def _before() -> Cluster | None:
    try:
        return outputs.current()
    except NoClusterError:
        return None


def _make_and_configure(name: str, admin_cidr: str, at_work: Cluster | None, wished: Settings) -> Cluster:
    with console.phase("Plan") as under_way:
        key = plan.ensure_key(name)
        planned = plan.plan_for(name, admin_cidr, **wished)
        under_way.result = f"{plan.counts(planned)}; {key}"
    for line in plan.images(planned):
        console.say(line)
    cluster = machines(name, admin_cidr, planned, at_work, **wished)
    cluster = answering.connect(cluster, lambda hosts: _replace(name, admin_cidr, hosts))
    with ends.put_off(cluster, "up"):
        with console.phase("Software") as under_way:
            changed = ansible.configure(name, under_way.note)
            under_way.result = f"{changed} changes" if changed else "nothing to change"
        readiness.verify(cluster)
        ends.begin_anew(cluster)
    return cluster


def machines(name: str, admin_cidr: str, planned: Plan, at_work: Cluster | None, **wished: Any) -> Cluster:
    """The machines of a plan, or of what the settings allow in its place where AWS has no room."""
    said = [planned.variables[setting] for setting in KIND]

    def again(wanted: Placement, replacing: Sequence[str]) -> Plan:
        with console.phase("Plan") as under_way:
            other = plan.plan_for(name, admin_cidr, wanted, replacing, **wished)
            under_way.result = plan.counts(other)
        if said != (kind := [other.variables[setting] for setting in KIND]):
            console.say(bounds.before(other.variables)[0])
            said[:] = kind
        return other

    return placement.walk(planned, lambda tried: _make(name, tried, at_work, wished), again, console.say)


def _make(name: str, planned: Plan, at_work: Cluster | None, wished: Settings) -> Cluster:
    preflight.check(planned.variables)
    if at_work:
        plan.ask_before_hosts_go(at_work, planned)
    # Not before, for it may be refused; nor back afterwards, for the machines are there.
    for setting, value in wished.items():
        tfvars.write(tfvars.with_setting(tfvars.text(), setting, value))
    with console.phase("Machines") as under_way:
        under_way.result = apply(name, planned, under_way)
        cluster = outputs.current()
        if power.start_stopped(cluster, under_way):
            cluster = outputs.current()
    return cluster


def _replace(name: str, admin_cidr: str, hosts: Sequence[Host]) -> Cluster:
    """Have others in the place of hosts that do not come back."""
    with console.phase("Replacement") as under_way:
        planned = plan.plan_for(name, admin_cidr, replacing=[plan.address_of("aws_instance", host) for host in hosts])
        under_way.result = f"{apply(name, planned, under_way)}: {', '.join(host.name for host in hosts)} made anew"
    return outputs.current()


def apply(name: str, planned: Plan, under_way: console.Phase) -> str:
    """Carry the plan out, and say how far it is on the way."""
    if not planned.applicable:
        return "as planned already"
    total, done = len(planned.changes), 0

    def hear(event: Event) -> None:
        nonlocal done
        # Data sources that are read late have such an event, too.
        if event.get("type") == "apply_complete" and event["hook"]["resource"]["addr"] in planned.changes:
            done += 1
            if console.is_terminal():
                under_way.note(f"{done} of {total}: {event['hook']['resource']['addr']}")

    workspace.Workspace(name).apply(planned, hear)
    return f"{done} of {total} done"
