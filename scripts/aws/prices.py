"""What a cluster costs: by AWS's price API where the credentials allow it, else by the dated table prices.json."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from scripts.aws import clients
from scripts.cluster import Cluster

TABLE = Path(__file__).with_name("prices.json")
HOURS_PER_DAY = 24
HOURS_PER_MONTH = 730
GIGABYTE = 2**30
# The price API lives in few regions and knows the prices of all.
API_REGION = "us-east-1"
API_SOURCE = "AWS's price list"
LINUX = {"operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used"}


@dataclass(frozen=True)
class Price:
    """A price per hour before tax, and where its largest part is from."""

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


def of(cluster: Cluster) -> Price | None:
    """The running cluster's price; None where a type's price is not known."""
    return of_cluster(
        cluster.region,
        cluster.master_type,
        cluster.worker_type,
        len(cluster.workers),
        cluster.spot,
        cluster.root_volume_gb,
    )


def of_cluster(region: str, master_type: str, worker_type: str, workers: int, spot: bool, root_gb: int) -> Price | None:
    """The price of such a cluster with disks and public addresses; None where a type's price is not known."""
    master = of_instance(region, master_type)
    worker = (of_spot(region, worker_type) if spot else None) or of_instance(region, worker_type)
    if master is None or (worker is None and workers):
        return None
    hosts = workers + 1
    machines = master.per_hour + (worker.per_hour * workers if worker else 0)
    addresses = hosts * _part(region, "public_ipv4_per_hour")
    source = worker.source if spot and worker else master.source
    return Price(machines + addresses + of_disks(region, hosts, root_gb), _table()["currency"], source)


def of_disks(region: str, hosts: int, root_gb: int) -> float:
    """What the hosts' disks cost an hour, running or stopped."""
    return float(hosts * root_gb * _part(region, "gp3_per_gb_month") / HOURS_PER_MONTH)


def of_storage(region: str, size: int) -> float:
    """What so many bytes in S3 cost a month."""
    return float(size / GIGABYTE * _part(region, "s3_standard_per_gb_month"))


def currency() -> str:
    """The currency of every price here."""
    return str(_table()["currency"])


@cache
def of_instance(region: str, instance_type: str) -> Price | None:
    """On demand, Linux. None where neither the API nor the table knows it."""
    asked = _ask_api(region, instance_type)
    if asked is not None:
        return Price(asked, "USD", API_SOURCE)
    table = _table()
    known = table.get(region, {}).get("instance_per_hour", {}).get(instance_type)
    return None if known is None else Price(known, table["currency"], f"a table of {table['as_of']}")


@cache
def of_spot(region: str, instance_type: str) -> Price | None:
    """The last spot price in the dearest zone of the region; None where AWS does not tell."""
    try:
        answer = clients.client("ec2", region).describe_spot_price_history(
            InstanceTypes=[instance_type], ProductDescriptions=["Linux/UNIX"], StartTime=datetime.now(UTC)
        )
    except (ClientError, BotoCoreError):
        return None
    prices = [float(entry["SpotPrice"]) for entry in answer["SpotPriceHistory"]]
    return Price(max(prices), "USD", "the spot market just now") if prices else None


def _ask_api(region: str, instance_type: str) -> float | None:
    wanted = LINUX | {"regionCode": region, "instanceType": instance_type}
    filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]
    try:
        answer = clients.client("pricing", API_REGION, clients.IN_A_HURRY).get_products(
            ServiceCode="AmazonEC2", Filters=filters
        )
    except (ClientError, BotoCoreError):
        return None
    return next((price for product in answer.get("PriceList", []) if (price := _on_demand(json.loads(product)))), None)


def _on_demand(product: dict[str, Any]) -> float | None:
    for offer in product.get("terms", {}).get("OnDemand", {}).values():
        for dimension in offer["priceDimensions"].values():
            price = float(dimension["pricePerUnit"].get("USD", 0))
            if price and dimension["unit"] == "Hrs":
                return price
    return None


def _part(region: str, name: str) -> float:
    """A price of the table; where the region is not in it, of the first region that is."""
    table = _table()
    regions = [table[region]] if region in table else [part for part in table.values() if isinstance(part, dict)]
    return float(regions[0][name])


@cache
def _table() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(TABLE.read_text())
    return loaded
