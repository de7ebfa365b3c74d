"""What a cluster costs, in words: before it is made, while it runs, and by what that is bounded."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scripts import tfvars
from scripts.aws import prices
from scripts.aws.prices import Price
from scripts.cluster import Cluster

NOT_KNOWN = "not known for these instance types: see aws.amazon.com/ec2/pricing"
# What prices and their bounds depend on, beside what Cluster has.
ENDS = ("idle_minutes", "max_age_hours", "cloudwatch", "budget_email")


@dataclass(frozen=True)
class Ends:
    """When the cluster stops by itself, 0 for never; and how many hosts then keep a disk that is paid for."""

    idle_minutes: float
    max_age_hours: float
    disks: int


def before(settings: Mapping[str, Any]) -> list[str]:
    """The price of the cluster that a plan's variables lead to, its bound, and what CloudWatch adds."""
    price = prices.of_settings(settings)
    disks = prices.of_disks(settings["region"], 1, int(settings["root_volume_gb"]))
    ends = _ends(settings, int(settings["worker_count"]), bool(settings["worker_spot"]))
    return [f"Price: {price or NOT_KNOWN}", bound(price, ends, disks), *cloudwatch(settings)]


def of_running(cluster: Cluster) -> list[str]:
    """The same for a cluster that runs, by the settings in force."""
    settings = {name: tfvars.setting(name) for name in ENDS}
    price = prices.of(cluster)
    disks = prices.of_disks(cluster.region, 1, cluster.root_volume_gb)
    ends = _ends(settings, len(cluster.workers), cluster.spot)
    return [str(price or NOT_KNOWN), bound(price, ends, disks), *cloudwatch(settings)]


def bound(price: Price | None, ends: Ends, disk_per_hour: float) -> str:
    """When it stops by itself and what it comes to until then, if somebody forgets it."""
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
    most = f": at most {_sum(price.per_hour * ends.max_age_hours)} if you forget it" if price else ""
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
    return [
        f"CloudWatch adds up to {_sum(each['metric_per_month'])} a month for each metric, "
        f"{_sum(each['dashboard_per_month'])} for the dashboard{alarms}; AWS gives an account 10 metrics, 3 dashboards "
        "and 10 alarms free, which may cover it (cloudwatch = false leaves it out)."
    ]


def _ends(settings: Mapping[str, Any], workers: int, spot: bool) -> Ends:
    # Spot workers cannot be stopped: they go, and their disks with them.
    return Ends(float(settings["idle_minutes"]), float(settings["max_age_hours"]), 1 if spot else 1 + workers)


def _disks(disks: int) -> str:
    return "its disks cost" if disks > 1 else "its disk costs"


def _sum(amount: float) -> str:
    return f"{amount:.2f} {prices.currency()}"


def _count(number: float, unit: str) -> str:
    return f"{number:g} {unit}{'' if number == 1 else 's'}"
