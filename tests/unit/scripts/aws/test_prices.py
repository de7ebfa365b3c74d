"""What a cluster costs: from AWS's price list where it answers, from the table where not."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from scripts.aws import clients, prices

PRODUCT = {
    "terms": {
        "OnDemand": {
            "ABC": {
                "priceDimensions": {
                    "ABC.1": {"unit": "Hrs", "pricePerUnit": {"USD": "0.4000000000"}},
                }
            }
        }
    }
}


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Stubber]]:
    """AWS's answers, given one by one; what is not given is an error as without rights."""
    stubbed = {
        name: boto3.client(name, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
        for name in ("pricing", "ec2")
    }
    stubs = {name: Stubber(client) for name, client in stubbed.items()}
    for stub in stubs.values():
        stub.activate()
    monkeypatch.setattr(clients, "client", lambda service, *_: stubbed[service])
    prices.of_instance.cache_clear()
    prices.of_spot.cache_clear()
    yield stubs
    prices.of_instance.cache_clear()
    prices.of_spot.cache_clear()


def price_list(*products: dict[str, Any]) -> dict[str, Any]:
    return {"FormatVersion": "aws_v1", "PriceList": [json.dumps(product) for product in products]}


def test_without_rights_on_the_price_list_the_dated_table_is_taken(services: dict[str, Stubber]) -> None:
    for _ in range(2):
        services["pricing"].add_client_error("get_products", "AccessDeniedException")
    price = prices.of_cluster("eu-west-1", "m6i.large", "c6i.2xlarge", 2, spot=False, root_gb=30)
    assert price is not None
    # The sum of docs/cluster-and-cost.md: 0.107 + 2 x 0.3648 + 3 x 0.005 + 3 x 30 GB x 0.088 / 730 h.
    assert price.per_hour == pytest.approx(0.107 + 0.7296 + 0.015 + 90 * 0.088 / 730)
    assert str(price) == "0.86 USD an hour, 20.70 USD a day (by a table of 2025-06-30)"


def test_the_price_list_comes_before_the_table(services: dict[str, Stubber]) -> None:
    services["pricing"].add_response("get_products", price_list(PRODUCT))
    price = prices.of_instance("eu-west-1", "m6i.large")
    assert price == prices.Price(0.4, "USD", "AWS's price list")


def test_an_unknown_type_has_no_price_rather_than_a_wrong_one(services: dict[str, Stubber]) -> None:
    services["pricing"].add_response("get_products", price_list())
    assert prices.of_cluster("eu-west-1", "x9.huge", "x9.huge", 1, spot=False, root_gb=30) is None


def test_spot_workers_cost_what_the_dearest_zone_asked_last(services: dict[str, Stubber]) -> None:
    services["pricing"].add_client_error("get_products", "AccessDeniedException")
    history = [{"SpotPrice": "0.11"}, {"SpotPrice": "0.14"}]
    services["ec2"].add_response("describe_spot_price_history", {"SpotPriceHistory": history})
    price = prices.of_cluster("eu-west-1", "m6i.large", "c6i.2xlarge", 2, spot=True, root_gb=30)
    assert price is not None
    assert price.per_hour == pytest.approx(0.107 + 2 * 0.14 + 0.015 + 90 * 0.088 / 730)
    assert price.source == "the spot market just now"


def test_a_stopped_cluster_costs_its_disks_and_a_kept_bucket_its_bytes() -> None:
    assert prices.of_disks("eu-west-1", 3, 30) == pytest.approx(90 * 0.088 / 730)
    assert prices.of_storage("eu-west-1", 10 * 2**30) == pytest.approx(0.23)
