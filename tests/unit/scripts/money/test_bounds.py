"""What a cluster costs and by what that is bounded, in words."""

import pytest

from scripts.cluster import Cluster
from scripts.money import bounds, prices
from scripts.money.bounds import Ends, bound
from scripts.money.prices import Price
from tests.unit.scripts.lifecycle.conftest import variables

PRICE = Price(0.8625, "USD", "a table")
DISK = 30 * 0.088 / 730


@pytest.fixture(autouse=True)
def no_other_tests_prices() -> None:
    prices.of_instance.cache_clear()


def test_both_ends_bound_what_it_costs() -> None:
    assert bound(PRICE, Ends(30, 12, disks=3), DISK) == (
        "It stops by itself after 30 idle minutes, after 12 hours at the latest: at most 11.21 USD if you forget it; "
        "stopped, its disks cost 0.26 USD a day."
    )


def test_an_age_alone_bounds_it_too() -> None:
    assert bound(PRICE, Ends(0, 1, disks=1), DISK) == (
        "It stops by itself after 1 hour, idle or not: at most 1.73 USD if you forget it; stopped, its disk costs "
        "0.09 USD a day."
    )


def test_an_idle_end_alone_bounds_no_sum() -> None:
    assert bound(PRICE, Ends(1, 0, disks=3), DISK) == (
        "It stops by itself after 1 idle minute, and never while something is at work (max_age_hours is 0): nothing "
        "bounds what that costs; stopped, its disks cost 0.26 USD a day."
    )


def test_without_an_end_it_says_plainly_that_nothing_bounds_it() -> None:
    assert bound(PRICE, Ends(0, 0, disks=3), DISK) == (
        "Nothing stops it by itself (idle_minutes and max_age_hours are 0): it costs 20.70 USD a day until you stop it."
    )


def test_without_a_price_the_ends_are_said_without_a_sum() -> None:
    assert bound(None, Ends(30, 0.5, disks=3), DISK) == (
        "It stops by itself after 30 idle minutes, after 0.5 hours at the latest; stopped, its disks cost 0.26 USD a "
        "day."
    )
    assert "it is paid for until you stop it" in bound(None, Ends(0, 0, disks=3), DISK)


def test_before_it_is_made_the_price_its_bound_and_cloudwatch_are_said() -> None:
    price, bounded, cloudwatch = bounds.before(variables())
    assert price.startswith("Price: 0.49 USD an hour, 11.74 USD a day (by a table copied on ")
    assert "at most 6.36 USD if you forget it; stopped, its disks cost 0.17 USD a day." in bounded
    assert cloudwatch == (
        "CloudWatch adds up to 2.70 USD a month for 9 metrics, 3.00 USD for the dashboard; AWS gives an account 10 "
        "metrics, 3 dashboards and 10 alarms free, which may cover it (cloudwatch = false leaves it out)."
    )


def test_alarms_are_named_where_there_are_any_and_nothing_where_cloudwatch_is_off() -> None:
    [*_, cloudwatch] = bounds.before(variables() | {"budget_email": "me@example.com"})
    assert ", 0.10 USD for each of two alarms; AWS gives" in cloudwatch
    assert len(bounds.before(variables() | {"cloudwatch": False})) == 2


def test_spot_is_bounded_by_what_it_may_rise_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices, "of_spot", lambda *_: Price(0.1, "USD", "the market"))
    price, bounded, _ = bounds.before(variables() | {"worker_spot": True})
    assert price.startswith("Price: 0.22 USD an hour")
    assert "at most 6.36 USD if you forget it" in bounded


def test_spot_workers_leave_no_disks_behind() -> None:
    _, bounded, _ = bounds.before(variables() | {"worker_spot": True})
    assert bounded.endswith("stopped, its disk costs 0.09 USD a day.")


def test_a_type_without_a_price_is_said_and_not_guessed() -> None:
    price, *_ = bounds.before(variables() | {"master_instance_type": "x9.huge"})
    assert price == "Price: not known for these instance types: see aws.amazon.com/ec2/pricing"


def test_a_running_cluster_is_told_the_same_as_the_plan(cluster: Cluster) -> None:
    price, *rest = bounds.of_running(cluster)
    assert [f"Price: {price}", *rest] == bounds.before(variables() | {"cloudwatch": False})


@pytest.mark.parametrize(
    ("price", "charges"), [((0.048, "a table"), "4.80 USD for 100 GB (by a table)"), (None, "for each GB")]
)
def test_a_given_subnet_whose_pictures_pass_a_nat_gateway_is_named_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, price: tuple[float, str] | None, charges: str
) -> None:
    monkeypatch.setattr(bounds.subnet, "reaches_s3_through_nat", lambda *_: True)
    monkeypatch.setattr(prices, "of_nat", lambda _: price)
    [*_, said] = bounds.before(variables() | {"existing_subnet_id": "subnet-0theirs"})
    assert said == (
        f"Subnet subnet-0theirs reaches S3 through a NAT gateway, which charges {charges} on the way: a gateway "
        "endpoint for S3 in its route table is free."
    )


def test_a_subnet_of_the_clusters_own_and_one_with_an_endpoint_need_no_such_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounds.subnet, "reaches_s3_through_nat", lambda *_: False)
    assert bounds.nat(variables() | {"existing_subnet_id": "subnet-0theirs"}) == []
    monkeypatch.setattr(bounds.subnet, "reaches_s3_through_nat", lambda *_: True)
    assert bounds.nat(variables()) == []
