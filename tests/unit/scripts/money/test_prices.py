"""What a cluster costs: from AWS's price list where it answers, from the table where not."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from botocore.stub import Stubber

from scripts import remembered
from scripts.aws import clients
from scripts.money import prices
from tests.doubles.fake_hosts import cluster_of

SETTINGS = {
    "region": "eu-west-1",
    "master_instance_type": "m6i.large",
    "worker_instance_type": "c6i.2xlarge",
    "worker_count": 2,
    "worker_spot": False,
    "root_volume_gb": 30,
}
TABLE = json.loads(prices.TABLE.read_text())
COPIED = f"a table copied on {TABLE['copied_on']}"
DISKS = 90 * 0.088 / 730


@pytest.fixture(autouse=True)
def checkout() -> None:
    """None: there the price list is silent, and here it is what is under test."""


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, Stubber]]:
    """AWS's answers, given one by one; what is not given is an error as without rights."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    stubbed = {
        name: boto3.client(name, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
        for name in ("pricing", "ec2")
    }
    stubs = {name: Stubber(client) for name, client in stubbed.items()}
    for stub in stubs.values():
        stub.activate()
    monkeypatch.setattr(clients, "client", lambda service, *_: stubbed[service])
    forget()
    yield stubs
    forget()


def forget() -> None:
    """As in another process: only what is on the disk is known."""
    for function in (prices.of_instance, prices.of_spot, prices.of_nat):
        function.cache_clear()


def product(price: float, unit: str = "Hrs") -> str:
    dimension = {"unit": unit, "pricePerUnit": {"USD": f"{price:.10f}"}}
    return json.dumps({"terms": {"OnDemand": {"ABC": {"priceDimensions": {"ABC.1": dimension}}}}})


def answers(stub: Stubber, *products: str) -> None:
    stub.add_response("get_products", {"FormatVersion": "aws_v1", "PriceList": list(products)})


def refuses(stub: Stubber, times: int = 1) -> None:
    for _ in range(times):
        stub.add_client_error("get_products", "AccessDeniedException")


def test_without_rights_on_the_price_list_the_table_is_taken_and_says_when_it_was_copied(
    services: dict[str, Stubber],
) -> None:
    refuses(services["pricing"], 2)
    price = prices.of_settings(SETTINGS)
    assert price is not None
    # The sum of docs/cluster-and-cost.md: 0.107 + 2 x 0.3648 + 3 x 0.005 + 3 x 30 GB x 0.088 / 730 h.
    assert price.per_hour == pytest.approx(0.107 + 0.7296 + 0.015 + DISKS)
    assert str(price) == f"0.86 USD an hour, 20.70 USD a day (by {COPIED})"


def test_the_price_list_comes_before_the_table(services: dict[str, Stubber]) -> None:
    answers(services["pricing"], product(0.4))
    assert prices.of_instance("eu-west-1", "m6i.large") == prices.Price(0.4, "USD", "AWS's price list")


def test_what_the_price_list_said_is_not_asked_again_for_a_week(
    services: dict[str, Stubber], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_on = datetime.now(UTC)
    answers(services["pricing"], product(0.4))
    prices.of_instance("eu-west-1", "m6i.large")
    forget()
    assert prices.of_instance("eu-west-1", "m6i.large") == prices.Price(
        0.4, "USD", f"AWS's price list of {asked_on:%Y-%m-%d}"
    )
    forget()
    later = asked_on + timedelta(days=7, seconds=5)
    monkeypatch.setattr(remembered, "now", lambda: later)
    answers(services["pricing"], product(0.5))
    assert prices.of_instance("eu-west-1", "m6i.large") == prices.Price(0.5, "USD", "AWS's price list")


def test_one_regions_price_and_one_types_is_no_other_ones(services: dict[str, Stubber]) -> None:
    answers(services["pricing"], product(0.4))
    prices.of_instance("eu-west-1", "m6i.large")
    refuses(services["pricing"], 3)
    assert [getattr(prices.of_instance(*asked), "per_hour", None) for asked in (
        ("eu-central-1", "m6i.large"), ("eu-west-1", "m6i.xlarge"), ("eu-north-1", "m6i.large"),
    )] == [0.115, 0.214, None]  # fmt: skip


def test_what_a_rehearsal_says_is_not_remembered(
    services: dict[str, Stubber], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(clients, "rehearsal", lambda *_: "REHEARSAL")
    answers(services["pricing"], product(0.4))
    prices.of_instance("eu-west-1", "m6i.large")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_type_has_no_price_rather_than_a_wrong_one(services: dict[str, Stubber]) -> None:
    answers(services["pricing"])
    answers(services["pricing"], product(0.3648))
    assert prices.of_settings(SETTINGS | {"master_instance_type": "x9.huge"}) is None


def test_spot_workers_cost_what_the_dearest_zone_asked_last_and_say_what_they_save(
    services: dict[str, Stubber],
) -> None:
    refuses(services["pricing"], 2)
    history = [{"SpotPrice": "0.11"}, {"SpotPrice": "0.14"}]
    services["ec2"].add_response("describe_spot_price_history", {"SpotPriceHistory": history})
    rates = prices.rates_of_settings(SETTINGS | {"worker_spot": True})
    assert rates is not None
    assert (rates.worker_per_hour, rates.worker_on_demand_per_hour) == (0.14, 0.3648)
    assert rates.price(2).per_hour == pytest.approx(0.107 + 2 * 0.14 + 0.015 + DISKS)
    assert rates.source == f"{COPIED}, the spot market just now"


def test_a_clusters_rates_are_what_its_price_is_made_of(services: dict[str, Stubber]) -> None:
    refuses(services["pricing"], 2)
    cluster = cluster_of(workers=2)
    rates = prices.rates(cluster)
    assert rates is not None
    assert json.loads(json.dumps(asdict(rates))) == {
        "master_per_hour": TABLE["regions"]["eu-west-1"]["instance_per_hour"][cluster.master_type],
        "worker_per_hour": TABLE["regions"]["eu-west-1"]["instance_per_hour"][cluster.worker_type],
        "worker_on_demand_per_hour": TABLE["regions"]["eu-west-1"]["instance_per_hour"][cluster.worker_type],
        "disk_per_hour": pytest.approx(cluster.root_volume_gb * 0.088 / 730),
        "address_per_hour": 0.005,
        "s3_put_per_1000": 0.005,
        "s3_get_per_1000": 0.0004,
        "currency": "USD",
        "source": COPIED,
    }
    assert prices.of(cluster) == rates.price(2)


def test_without_workers_their_type_needs_no_price(services: dict[str, Stubber]) -> None:
    refuses(services["pricing"], 2)
    rates = prices.rates_of_settings(SETTINGS | {"worker_count": 0, "worker_instance_type": "x9.huge"})
    assert rates is not None
    assert rates.worker_per_hour is None
    assert rates.price(0).per_hour == pytest.approx(0.107 + 0.005 + DISKS / 3)


def test_in_a_region_that_the_table_does_not_have_the_dearest_disks_are_taken_and_said(
    services: dict[str, Stubber],
) -> None:
    answers(services["pricing"], product(0.1))
    answers(services["pricing"], product(0.4))
    price = prices.of_settings(SETTINGS | {"region": "eu-north-1"})
    assert price is not None
    assert price.per_hour == pytest.approx(0.1 + 0.8 + 0.015 + 90 * 0.0952 / 730)
    assert price.source == (
        "AWS's price list, disks, addresses and S3 as in the dearest region known, for eu-north-1's are not"
    )


def test_a_nat_gateways_price_is_by_the_gigabyte(services: dict[str, Stubber]) -> None:
    answers(services["pricing"], product(0.048, "Hrs"), product(0.05, "GB"))
    assert prices.of_nat("eu-west-1") == (0.05, "AWS's price list")
    refuses(services["pricing"], 2)
    assert prices.of_nat("us-east-1") == (0.045, COPIED)
    assert prices.of_nat("eu-central-1") is None


def test_a_stopped_cluster_costs_its_disks_and_a_kept_bucket_its_bytes() -> None:
    assert prices.of_disks("eu-west-1", 3, 30) == pytest.approx(DISKS)
    assert prices.of_storage("eu-west-1", 10 * 2**30) == pytest.approx(0.23)


def test_every_price_of_the_table_has_a_source_and_every_region_the_types_that_are_set_by_default() -> None:
    assert TABLE["source"]
    assert TABLE["cloudwatch"]["source"]
    for region, known in TABLE["regions"].items():
        assert known["parts_source"], region
        assert all(0 < price < 5 for price in known["instance_per_hour"].values()), region
        assert {"m6i.large", "c6i.2xlarge", "t3.medium"} <= set(known["instance_per_hour"]), region
