"""What the double answers beside moto, asked by the product as it asks AWS."""

from collections.abc import Iterator

import pytest

from scripts.aws import account, clients, own_address, quotas
from scripts.errors import AwsError
from scripts.money import prices
from tests.doubles.aws.double import AwsDouble

REGION = "eu-west-1"
SETTINGS = {
    "cluster_name": "fruits",
    "region": REGION,
    "master_instance_type": "m6i.large",
    "worker_instance_type": "c6i.2xlarge",
    "worker_count": 2,
    "worker_spot": False,
    "budget_email": "me@example.com",
}


@pytest.fixture(autouse=True)
def asked(aws: AwsDouble, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The tests' AWS, taken by the product's clients for Amazon's."""
    for name, value in aws.environment().items():
        monkeypatch.setenv(name, value)
    remembered = (clients.client, prices.of_instance, prices.of_spot, prices.of_nat)
    for function in remembered:
        function.cache_clear()
    yield
    for function in remembered:
        function.cache_clear()


def test_the_callers_address_is_told() -> None:
    assert own_address.own_address() == "127.0.0.1"


def test_prices_come_from_the_price_list_and_the_spot_market() -> None:
    on_demand, spot = prices.of_instance(REGION, "c6i.2xlarge"), prices.of_spot(REGION, "c6i.2xlarge")
    assert on_demand
    assert spot
    assert on_demand.source == prices.API_SOURCE
    assert 0 < spot.per_hour < on_demand.per_hour


def test_a_type_without_a_price_has_none() -> None:
    assert prices.of_instance(REGION, "x9.tiny") is None
    assert prices.of_spot(REGION, "x9.tiny") is None


def test_quotas_are_told() -> None:
    [answer] = quotas.check(SETTINGS)
    assert answer.text == "18 on-demand vCPUs needed, your quota is 64"
    with pytest.raises(AwsError, match="80 spot vCPUs are needed in eu-west-1 and your quota is 64: ask for more"):
        quotas.check(SETTINGS | {"worker_spot": True, "worker_count": 10})


def test_the_account_is_paid_for_and_may_have_budgets() -> None:
    assert account.plan_of_account() == "PAID"
    account.check(SETTINGS)


def test_without_a_right_on_budgets_none_is_asked_for(aws: AwsDouble) -> None:
    aws.fail("budgets:DescribeBudgets", code="AccessDeniedException")
    with pytest.raises(AwsError, match=r"no right on the account's budgets \(AccessDeniedException\)"):
        account.check(SETTINGS)
