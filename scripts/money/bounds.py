"""What a cluster costs, in words: before it is made, while it runs, and by what that is bounded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scripts import tfvars
from scripts.aws import resources, subnet
from scripts.aws.clients import UNANSWERED
from scripts.cluster import Cluster
from scripts.errors import OperatorError
from scripts.money import prices
from scripts.money.prices import Price, Rates

NOT_KNOWN = "not known for these instance types: see aws.amazon.com/ec2/pricing"
# The schedules of terraform/ends.tf.
AWS_LATER_HOURS = 1
METRICS = 9  # that the keeper writes; a test holds it to them


@dataclass(frozen=True)
class Ends:
    """When the cluster stops by itself, 0 for never; and how many hosts then keep a disk that is paid for."""

    idle_minutes: float
    max_age_hours: float
    disks: int


def before(settings: Mapping[str, Any]) -> list[str]:
    """The price of the cluster that a plan's variables lead to, its bound, what CloudWatch and a NAT gateway add."""
    rates, workers = prices.rates_of_settings(settings), int(settings["worker_count"])
    disks = prices.of_disks(settings["region"], 1, int(settings["root_volume_gb"]))
    kept = _disks_kept(workers, bool(settings["worker_spot"]))
    ends = Ends(float(settings["idle_minutes"]), float(settings["max_age_hours"]), kept)
    price, bounded = _price_and_bound(rates, workers, ends, disks)
    return [f"Price: {price}", bounded, *cloudwatch(settings), *nat(settings)]


def of_running(cluster: Cluster) -> list[str]:
    """Price and bound of a cluster that runs, by what was applied."""
    disks = prices.of_disks(cluster.region, 1, cluster.root_volume_gb)
    kept = _disks_kept(len(cluster.workers), cluster.spot)
    ends = Ends(cluster.ends.idle_minutes, cluster.ends.max_age_hours, kept)
    return _price_and_bound(prices.rates(cluster), len(cluster.workers), ends, disks)


def _price_and_bound(rates: Rates | None, workers: int, ends: Ends, disk_per_hour: float) -> list[str]:
    if rates is None:
        return [NOT_KNOWN, bound(None, ends, disk_per_hour)]
    price = rates.price(workers)
    return [str(price), bound(price, ends, disk_per_hour, rates.dearest(workers))]


def bound(price: Price | None, ends: Ends, disk_per_hour: float, dearest: Price | None = None) -> str:
    """When it stops by itself and what it comes to at most, if somebody forgets it and its keeper fails, too.

    Until AWS's own schedule, then, AWS_LATER_HOURS behind the age limit; at the `dearest` price, for spot prices rise.
    """
    if not ends.idle_minutes and not ends.max_age_hours:
        costs = f"it costs {_sum(price.per_day)} a day" if price else "it is paid for"
        return f"Nothing stops it by itself (idle_minutes and max_age_hours are 0): {costs} until you stop it."
    idle = f"after {_count(ends.idle_minutes, 'idle minute')}" if ends.idle_minutes else ""
    stopped = f"stopped, {_disks(ends.disks)} {_sum(ends.disks * disk_per_hour * prices.HOURS_PER_DAY)} a day."
    if not ends.max_age_hours:
        return (
            f"It stops by itself {idle}, and never while something is at work (max_age_hours is 0): nothing bounds "
            f"what that costs; {stopped}"
        )
    age = f"after {_count(ends.max_age_hours, 'hour')}"
    when = f"{idle}, {age} at the latest" if idle else f"{age}, idle or not"
    hours = ends.max_age_hours + AWS_LATER_HOURS
    most = f": at most {_sum((dearest or price).per_hour * hours)} if you forget it" if price else ""
    return f"It stops by itself {when}{most}; {stopped}"


def cloudwatch(settings: Mapping[str, Any]) -> list[str]:
    """What CloudWatch adds, in one sentence; none where it is off.

    The allowance (10 custom metrics, 3 dashboards, 10 alarms an account, each month) is that of the page
    aws.amazon.com/cloudwatch/pricing. What else the account has there counts, too, so nobody can promise it here.
    """
    if not settings["cloudwatch"]:
        return []
    each = prices.of_cloudwatch()
    alarms = f", {_sum(each['alarm_per_month'])} for each of two alarms" if settings["budget_email"] else ""
    metrics = _sum(METRICS * each["metric_per_month"])
    return [
        f"CloudWatch adds up to {metrics} a month for {METRICS} metrics, {_sum(each['dashboard_per_month'])} for the "
        f"dashboard{alarms}; AWS gives an account 10 metrics, 3 dashboards and 10 alarms free, which may cover it "
        "(cloudwatch = false leaves it out)."
    ]


def of_what_runs(cluster_name: str) -> list[str]:
    """One line on the cluster's instances that run and what they cost, asked of AWS by their tags.

    None where nothing runs, or nobody tells: it is said beside an error that has its own sentence.
    """
    try:
        region = str(tfvars.setting("region"))
        running = [host for host in resources.instances(region, cluster_name) if _runs(host)]
        price = of_instances(region, running, resources.disk_gigabytes(region, cluster_name))
    except (*UNANSWERED, OperatorError):
        return []
    if not running:
        return []
    named = ", ".join(f"{resources.host_name(host, cluster_name)} ({host['InstanceType']})" for host in running)
    costs = f"{_sum(price.per_hour)} an hour by {price.source}" if price else f"price {NOT_KNOWN}"
    return [f"Running now: {named}; {costs}. `make down` takes it all away."]


def of_instances(region: str, described: Sequence[Mapping[str, Any]], disk_gigabytes: int) -> Price | None:
    """What those of the instances that run cost, and the disks of all; None where a type's price is not known."""
    running = [host for host in described if _runs(host)]
    of_each = [_of_instance(region, host) for host in running]
    known = [price for price in of_each if price]
    if len(known) < len(of_each):
        return None
    addresses = sum(1 for host in running if host.get("PublicIpAddress")) * prices.of_address(region)
    per_hour = sum(price.per_hour for price in known) + addresses + prices.of_disks(region, 1, disk_gigabytes)
    sources = dict.fromkeys(price.source for price in known)
    return Price(per_hour, prices.currency(), ", ".join(sources) or "their disks alone")


def _runs(described: Mapping[str, Any]) -> bool:
    return described["State"]["Name"] in ("pending", "running")


def _of_instance(region: str, described: Mapping[str, Any]) -> Price | None:
    on_spot = described.get("InstanceLifecycle") == "spot"
    kind = str(described["InstanceType"])
    return (prices.of_spot(region, kind) if on_spot else None) or prices.of_instance(region, kind)


def nat(settings: Mapping[str, Any]) -> list[str]:
    """What pictures cost on their way through a given subnet's NAT gateway, in one sentence; none where none does.

    A gateway endpoint for S3 has no charge of its own (aws.amazon.com/privatelink/pricing and Amazon VPC's guide,
    "Gateway endpoints").
    """
    given = settings["existing_subnet_id"]
    if not given or not subnet.reaches_s3_through_nat(settings["region"], given):
        return []
    known = prices.of_nat(settings["region"])
    charges = f"{_sum(100 * known[0])} for 100 GB (by {known[1]})" if known else "for each GB"
    return [
        f"Subnet {given} reaches S3 through a NAT gateway, which charges {charges} on the way: a gateway endpoint for "
        "S3 in its route table is free."
    ]


def _disks_kept(workers: int, spot: bool) -> int:
    # Spot workers cannot be stopped: they go, and their disks with them.
    return 1 if spot else 1 + workers


def _disks(disks: int) -> str:
    return "its disks cost" if disks > 1 else "its disk costs"


def _sum(amount: float) -> str:
    return f"{amount:.2f} {prices.currency()}"


def _count(number: float, unit: str) -> str:
    return f"{number:g} {unit}{'' if number == 1 else 's'}"
