"""What there is now: hosts, workers, runs, time and cost, for people and for programs."""

import json
import time
from dataclasses import asdict, dataclass, replace
from typing import Any

from scripts import console, tfvars
from scripts.access.errors import aws_errors_as_sentences
from scripts.aws import clients, resources
from scripts.cluster import Cluster
from scripts.errors import ConfigurationError, HostError, MissingError, NoClusterError
from scripts.hosts import keeper
from scripts.hosts.keeper import Ends
from scripts.hosts.spark_master import MasterState, master_state
from scripts.hosts.ssh import Hosts
from scripts.lifecycle import ends
from scripts.money import prices
from scripts.money.amounts import money
from scripts.money.bounds import of_instances as price_of_instances
from scripts.money.prices import Price
from scripts.runs import systemd_unit
from scripts.runs.progress import Progress, last_progress, losses, span
from scripts.terraform import outputs

RUNNING = "running"


@dataclass(frozen=True)
class HostStatus:
    """A host: its instance's state as EC2 tells it, and whether the master has it as a worker alive."""

    name: str
    id: str
    state: str
    type: str
    public_ip: str | None
    private_ip: str
    is_alive: bool | None


@dataclass(frozen=True)
class RunStatus:
    """A run that goes on. `seconds` since it began; `progress` is None before the first picture.

    `losses` are its sentences on hosts that it lost.
    """

    run_id: str
    seconds: float
    progress: Progress | None
    losses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Status:
    """The cluster now. Costs are since the master's last start, in `currency`, None where no price is known.

    `ends` is the keeper's word, None where it cannot be asked. `rehearsal` says so where the cluster is not in AWS.
    `bakers` are instances beside it that images are made of.
    """

    cluster: str
    region: str
    bucket: str
    state: str
    hosts: tuple[HostStatus, ...]
    workers: int
    workers_alive: int | None
    runs: tuple[RunStatus, ...] | None
    uptime_seconds: float | None
    price_per_hour: float | None
    cost_so_far: float | None
    currency: str
    ends: Ends | None = None
    rehearsal: str | None = None
    bakers: tuple[str, ...] = ()


def show_what_there_is(as_json: bool) -> None:
    """`show` the cluster that is up; where Terraform has no whole one, the instances that AWS has of its name.

    Raises NoClusterError where there are none either.
    """
    try:
        cluster = outputs.current()
    except NoClusterError:
        rest = ask_for_rest(str(tfvars.setting("region")), str(tfvars.read()["cluster_name"]))
        if not rest.hosts:
            raise
        console.say(json.dumps(asdict(rest), indent=1) if as_json else "\n".join(lines_of_rest(rest)))
        return
    show(cluster, as_json)


def show(cluster: Cluster, as_json: bool) -> None:
    """Print it."""
    status = ask(cluster)
    if as_json:
        console.say(json.dumps(asdict(status), indent=1))
        return
    for line in lines(status):
        console.say(line)


def ask(cluster: Cluster) -> Status:
    """Ask EC2, then the master where it runs. A master that runs and cannot be reached leaves its part unknown."""
    instances = _instances(cluster)
    state: MasterState | None = None
    runs: tuple[RunStatus, ...] | None = None
    ending: Ends | None = None
    if _state_of(instances, cluster.master.id) == RUNNING:
        try:
            with Hosts(cluster) as hosts:
                state, runs = master_state(hosts, cluster), _runs(hosts)
                ending = _ending(hosts)
        except (ConfigurationError, HostError, MissingError) as error:
            console.warn(str(error))
    found = status_of(cluster, instances, state, runs, _price(cluster, instances), time.time())
    with aws_errors_as_sentences("describe the hosts"):
        bakers = tuple(resources.bakers(cluster.region, cluster.name))
    return replace(found, ends=ending, rehearsal=clients.rehearsal(cluster.region), bakers=bakers)


def _ending(hosts: Hosts) -> Ends | None:
    try:
        return keeper.ends(hosts)
    except ConfigurationError as error:
        console.warn(str(error))
        return None


def status_of(
    cluster: Cluster,
    instances: dict[str, dict[str, Any]],
    state: MasterState | None,
    runs: tuple[RunStatus, ...] | None,
    price: Price | None,
    now: float,
) -> Status:
    """Put together what was asked. `instances` are EC2's descriptions by instance id."""
    hosts = tuple(
        HostStatus(
            name=host.name,
            id=host.id,
            state=_state_of(instances, host.id),
            type=instances.get(host.id, {}).get("InstanceType", ""),
            public_ip=instances.get(host.id, {}).get("PublicIpAddress"),
            private_ip=host.private_ip,
            is_alive=None if state is None or host is cluster.master else host.private_ip in state.alive,
        )
        for host in cluster.hosts
    )
    is_up = hosts[0].state == RUNNING
    uptime = now - instances[cluster.master.id]["LaunchTime"].timestamp() if is_up else None
    per_hour = price.per_hour if price else None
    return Status(
        cluster=cluster.name,
        region=cluster.region,
        bucket=cluster.bucket,
        state=hosts[0].state,
        hosts=hosts,
        workers=len(cluster.workers),
        workers_alive=None if state is None else sum(host.is_alive is True for host in hosts),
        runs=runs,
        uptime_seconds=uptime,
        price_per_hour=per_hour,
        cost_so_far=None if uptime is None or per_hour is None else per_hour * uptime / 3600,
        currency=prices.currency(),
    )


def lines(status: Status) -> list[str]:
    """The status as a person reads it."""
    alive = "unknown" if status.workers_alive is None else f"{status.workers_alive} of {status.workers}"
    since = "" if status.uptime_seconds is None else f" for {span(status.uptime_seconds)}"
    said = [status.rehearsal] if status.rehearsal else []
    said += [f"Cluster {status.cluster} in {status.region}: {status.state}{since}; workers alive: {alive}"]
    said += [f"  {line}" for line in console.columns(map(_cells, status.hosts))]
    for run in status.runs or ():
        said.append(f"Run {run.run_id} for {span(run.seconds)}: {run.progress or 'starting'}")
        said += [f"  {console.one_line(loss)}" for loss in run.losses]
    if status.runs is None and status.state == RUNNING:
        said.append("Whether a run is under way is not known.")
    elif not status.runs:
        said.append("No run is under way.")
    if status.ends:
        said += ends.lines(status.ends, time.time())
        said += map(console.one_line, status.ends.notices)
    if status.bakers:
        said.append(
            f"Beside it, images are made of {', '.join(status.bakers)}: where no `make bake` is at work, the next one "
            "or `make up` takes them away."
        )
    if status.price_per_hour is None:
        said.append("Price: not known for these instance types.")
    else:
        so_far = (
            ""
            if status.cost_so_far is None
            else f"; about {money(status.cost_so_far, status.currency)} since its start"
        )
        said.append(f"Price: {money(status.price_per_hour, status.currency)} an hour{so_far}.")
    return said


@dataclass(frozen=True)
class Rest:
    """What AWS has of a cluster that Terraform has no whole one of; `price_per_hour` is None where it is not known."""

    cluster: str
    region: str
    state: str
    hosts: tuple[HostStatus, ...]
    price_per_hour: float | None
    currency: str
    next: str
    rehearsal: str | None = None


def ask_for_rest(region: str, name: str) -> Rest:
    """Ask EC2 for what carries the cluster's tags. Raises AwsError or MissingError."""
    with aws_errors_as_sentences("describe the hosts"):
        found = resources.instances(region, name)
        gigabytes = resources.disk_gigabytes(region, name)
    price = price_of_instances(region, found, gigabytes)
    return Rest(
        cluster=name,
        region=region,
        state="not whole",
        hosts=tuple(_host_of_rest(host, name) for host in found),
        price_per_hour=price.per_hour if price else None,
        currency=prices.currency(),
        next="`make up` goes on with it, `make down` takes it away.",
        rehearsal=clients.rehearsal(region),
    )


def lines_of_rest(rest: Rest) -> list[str]:
    """The same as a person reads it."""
    per_hour = "not known for these instance types"
    if rest.price_per_hour is not None:
        per_hour = f"{money(rest.price_per_hour, rest.currency)} an hour"
    return [
        *([rest.rehearsal] if rest.rehearsal else []),
        f"Cluster {rest.cluster} in {rest.region} is not whole; AWS has these hosts of it:",
        *(f"  {line}" for line in console.columns(map(_cells, rest.hosts))),
        f"Price: {per_hour}.",
        f"Next: {rest.next}",
    ]


def _host_of_rest(described: dict[str, Any], cluster_name: str) -> HostStatus:
    return HostStatus(
        name=resources.host_name(described, cluster_name),
        id=described["InstanceId"],
        state=described["State"]["Name"],
        type=described["InstanceType"],
        public_ip=described.get("PublicIpAddress"),
        private_ip=described.get("PrivateIpAddress", "-"),
        is_alive=None,
    )


def _price(cluster: Cluster, instances: dict[str, dict[str, Any]]) -> Price | None:
    """What runs of it costs, and the disks of all hosts that are there, running or not."""
    there = [found for found in instances.values() if found["State"]["Name"] not in ("terminated", "shutting-down")]
    return price_of_instances(cluster.region, there, len(there) * cluster.root_volume_gb)


def _cells(host: HostStatus) -> tuple[str, ...]:
    alive = {True: "alive", False: "not alive", None: ""}[host.is_alive]
    return host.name, host.state, host.type, host.public_ip or "-", host.private_ip, alive


def _instances(cluster: Cluster) -> dict[str, dict[str, Any]]:
    with aws_errors_as_sentences("describe the hosts"):
        # By filter: an id that is no more would be an error.
        pages = (
            clients.client("ec2", cluster.region)
            .get_paginator("describe_instances")
            .paginate(Filters=[{"Name": "instance-id", "Values": [host.id for host in cluster.hosts]}])
        )
        found = [instance for page in pages for group in page["Reservations"] for instance in group["Instances"]]
    return {instance["InstanceId"]: instance for instance in found}


def _state_of(instances: dict[str, dict[str, Any]], instance_id: str) -> str:
    return str(instances.get(instance_id, {}).get("State", {}).get("Name", "gone"))


def _runs(hosts: Hosts) -> tuple[RunStatus, ...]:
    now = time.time()
    found = []
    for going in systemd_unit.running(hosts):
        lines = systemd_unit.snapshot(hosts, going.run_id).lines
        found.append(RunStatus(going.run_id, going.seconds(now), last_progress(lines), losses(lines)))
    return tuple(found)
