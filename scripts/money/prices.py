"""What a cluster costs: by AWS's price API where the credentials allow it, else by the table prices.json.

The table says of each of its prices where it is from. What the API said is kept for a week on this machine.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from scripts import remembered
from scripts.aws import clients
from scripts.aws.clients import UNANSWERED
from scripts.cluster import Cluster
from scripts.remembered import Remembered

TABLE = Path(__file__).with_name("prices.json")
HOURS_PER_DAY = 24
HOURS_PER_MONTH = 730
GIGABYTE = 2**30
# The price API lives in few regions and knows the prices of all.
API_REGION = "us-east-1"
API_SOURCE = "AWS's price list"
GOOD_FOR = timedelta(days=7)
LINUX = {"operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used"}
NAT = {"productFamily": "NAT Gateway", "operation": "NatGateway"}


@dataclass(frozen=True)
class Price:
    """A price per hour before tax, and where it is from."""

    per_hour: float
    currency: str
    source: str

    @property
    def per_day(self) -> float:
        """For 24 hours."""
        return self.per_hour * HOURS_PER_DAY

    def __str__(self) -> str:
        return (
            f"{self.per_hour:.2f} {self.currency} an hour, {self.per_day:.2f} {self.currency} a day (by {self.source})"
        )


@dataclass(frozen=True)
class Rates:
    """What a cluster's parts cost, before tax: of it every sum is made, here and on the master.

    Per hour: one master, one worker, one worker on demand (what spot saves is the difference), one host's root disk,
    one public address. The workers' are None where there are no workers and their type's price is not known.
    """

    master_per_hour: float
    worker_per_hour: float | None
    worker_on_demand_per_hour: float | None
    disk_per_hour: float
    address_per_hour: float
    s3_put_per_1000: float
    s3_get_per_1000: float
    currency: str
    source: str

    def price(self, workers: int) -> Price:
        """A master and so many workers, each with its disk and its public address."""
        return self._price(workers, self.worker_per_hour or 0)

    def dearest(self, workers: int) -> Price:
        """The same where the spot market asks as much as it may: what a worker costs on demand."""
        return self._price(workers, max(self.worker_per_hour or 0, self.worker_on_demand_per_hour or 0))

    def _price(self, workers: int, worker_per_hour: float) -> Price:
        each = self.disk_per_hour + self.address_per_hour
        machines = self.master_per_hour + workers * worker_per_hour
        return Price(machines + (1 + workers) * each, self.currency, self.source)


@dataclass(frozen=True)
class Parts:
    """Prices of a region beside its instances', and what is to be said where they are another region's."""

    by_name: Mapping[str, float]
    note: str = ""


def rates(cluster: Cluster) -> Rates | None:
    """What the parts of a running cluster cost; None where a type's price is not known."""
    return _rates(
        cluster.region,
        cluster.master_type,
        cluster.worker_type,
        len(cluster.workers),
        cluster.spot,
        cluster.root_volume_gb,
    )


def rates_of_settings(settings: Mapping[str, Any]) -> Rates | None:
    """The same for the cluster that settings lead to, such as a plan's variables."""
    return _rates(
        settings["region"],
        settings["master_instance_type"],
        settings["worker_instance_type"],
        int(settings["worker_count"]),
        bool(settings["worker_spot"]),
        int(settings["root_volume_gb"]),
    )


def _rates(region: str, master_type: str, worker_type: str, workers: int, spot: bool, root_gb: int) -> Rates | None:
    master, on_demand = of_instance(region, master_type), of_instance(region, worker_type)
    worker = (of_spot(region, worker_type) if spot else None) or on_demand
    if master is None or (worker is None and workers):
        return None
    parts = _parts(region)
    used = [master.source, *([worker.source] if worker and workers else []), *([parts.note] if parts.note else [])]
    return Rates(
        master_per_hour=master.per_hour,
        worker_per_hour=worker.per_hour if worker else None,
        worker_on_demand_per_hour=on_demand.per_hour if on_demand else None,
        disk_per_hour=of_disks(region, 1, root_gb),
        address_per_hour=parts.by_name["public_ipv4_per_hour"],
        s3_put_per_1000=parts.by_name["s3_put_per_1000"],
        s3_get_per_1000=parts.by_name["s3_get_per_1000"],
        currency=currency(),
        source=", ".join(dict.fromkeys(used)),
    )


def of(cluster: Cluster) -> Price | None:
    """The running cluster's price; None where a type's price is not known."""
    found = rates(cluster)
    return found.price(len(cluster.workers)) if found else None


def of_settings(settings: Mapping[str, Any]) -> Price | None:
    """The price of the cluster that settings lead to; None where a type's price is not known."""
    found = rates_of_settings(settings)
    return found.price(int(settings["worker_count"])) if found else None


def of_disks(region: str, hosts: int, root_gb: int) -> float:
    """What the hosts' disks cost an hour, running or stopped."""
    return hosts * root_gb * _parts(region).by_name["gp3_per_gb_month"] / HOURS_PER_MONTH


def of_snapshots(region: str, gigabytes: float) -> tuple[float, str]:
    """What so many GB of snapshots cost a month, and the source; by the dearest region known where this one is not."""
    known = {name: float(price) for name, price in _table()["snapshots"]["per_gb_month"].items()}
    is_known = region in known
    note = "" if is_known else f", for the dearest region known: {region}'s price is not"
    return gigabytes * (known[region] if is_known else max(known.values())), f"{_table_source()}{note}"


def of_storage(region: str, size: int) -> float:
    """What so many bytes in S3 cost a month."""
    return size / GIGABYTE * _parts(region).by_name["s3_standard_per_gb_month"]


def of_address(region: str) -> float:
    """What a public address costs an hour."""
    return _parts(region).by_name["public_ipv4_per_hour"]


def of_cloudwatch() -> dict[str, float]:
    """What CloudWatch asks a month: metric_per_month, alarm_per_month, dashboard_per_month.

    They are us-east-1's, and prices.json has their source.
    """
    found = _table()["cloudwatch"]
    return {name: float(price) for name, price in found.items() if name.endswith("_per_month")}


def currency() -> str:
    """The currency of every price here."""
    return str(_table()["currency"])


@cache
def of_instance(region: str, instance_type: str) -> Price | None:
    """On demand, Linux. None where neither the API nor the table knows it: another region's is no price."""
    filters = LINUX | {"regionCode": region, "instanceType": instance_type}
    if found := _by_api(f"{region} {instance_type}", filters, "Hrs"):
        return found
    known = _table()["regions"].get(region, {}).get("instance_per_hour", {}).get(instance_type)
    return None if known is None else Price(float(known), currency(), _table_source())


@cache
def of_nat(region: str) -> tuple[float, str] | None:
    """What a NAT gateway asks for each GB that goes through it, and the source; None where it is not known."""
    if found := _by_api(f"{region} NAT", NAT | {"regionCode": region}, "GB"):
        return found.per_hour, found.source
    known = _table()["regions"].get(region, {}).get("nat_per_gb")
    return None if known is None else (float(known), _table_source())


@cache
def of_spot(region: str, instance_type: str) -> Price | None:
    """The last spot price in the dearest zone of the region; None where AWS does not tell."""
    try:
        answer = clients.client("ec2", region).describe_spot_price_history(
            InstanceTypes=[instance_type], ProductDescriptions=["Linux/UNIX"], StartTime=datetime.now(UTC)
        )
    except UNANSWERED:
        return None
    prices = [float(entry["SpotPrice"]) for entry in answer["SpotPriceHistory"]]
    return Price(max(prices), "USD", "the spot market just now") if prices else None


def _by_api(name: str, wanted: Mapping[str, str], unit: str) -> Price | None:
    """What AWS's price list says now or said within the week."""
    # What plays AWS in a rehearsal has prices of its own, which are nobody else's.
    kept = None if clients.rehearsal(API_REGION, "pricing") else _kept()
    if kept and (known := kept.get(name)):
        price, learnt = known
        return Price(price, "USD", f"{API_SOURCE} of {learnt:%Y-%m-%d}")
    asked = _ask_api(wanted, unit)
    if asked is None:
        return None
    if kept:
        kept.put(name, asked)
    return Price(asked, "USD", API_SOURCE)


def _kept() -> Remembered:
    return Remembered(remembered.cache_folder() / "prices.json", GOOD_FOR, remembered.now)


def _ask_api(wanted: Mapping[str, str], unit: str) -> float | None:
    filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]
    try:
        answer = clients.client("pricing", API_REGION, clients.IN_A_HURRY).get_products(
            ServiceCode="AmazonEC2", Filters=filters
        )
    except UNANSWERED:
        return None
    products = map(json.loads, answer.get("PriceList", []))
    return next((price for product in products if (price := _on_demand(product, unit))), None)


def _on_demand(product: dict[str, Any], unit: str) -> float | None:
    for offer in product.get("terms", {}).get("OnDemand", {}).values():
        for dimension in offer["priceDimensions"].values():
            price = float(dimension["pricePerUnit"].get("USD", 0))
            if price and dimension["unit"] == unit:
                return price
    return None


def _parts(region: str) -> Parts:
    """The region's own; where the table has none, the highest of any region's, which is said with every price."""
    regions: dict[str, dict[str, Any]] = _table()["regions"]
    own = _numbers(regions.get(region, {}))
    if own:
        return Parts(own)
    every = [_numbers(known) for known in regions.values()]
    names = {name for known in every for name in known}
    highest = {name: max(known[name] for known in every if name in known) for name in names}
    return Parts(highest, f"disks, addresses and S3 as in the dearest region known, for {region}'s are not")


def _numbers(known: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(price) for name, price in known.items() if isinstance(price, (int, float))}


def _table_source() -> str:
    """The catalogue does not say how old it is: what is known is the day it was copied on."""
    return f"a table copied on {_table()['copied_on']}"


@cache
def _table() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(TABLE.read_text())
    return loaded
