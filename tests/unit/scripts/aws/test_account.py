"""What the account may not have is refused before anything is made; what AWS does not tell refuses nothing."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from scripts.aws import account, clients
from scripts.errors import AwsError, InputError, MissingError

SETTINGS = {
    "region": "eu-west-1",
    "master_instance_type": "m7i-flex.large",
    "worker_instance_type": "c6i.2xlarge",
    "worker_count": 2,
    "budget_email": None,
}
FREE_TYPES = {"t3.micro", "m7i-flex.large", "c7i-flex.large"}


def denied(code: str = "AccessDeniedException") -> ClientError:
    return ClientError({"Error": {"Code": code}}, "DescribeBudgets")


def raising(error: Exception) -> Callable[..., Any]:
    def stand_in(*_: Any, **__: Any) -> None:
        raise error

    return stand_in


@pytest.fixture
def free_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """An account on the free plan, and the types that it may start."""
    monkeypatch.setattr(account, "plan_of_account", lambda: "FREE")
    monkeypatch.setattr(account, "_types_of_free_plan", lambda _: FREE_TYPES)


def test_a_type_that_the_free_plan_does_not_start_is_refused_with_those_that_it_does(free_plan: None) -> None:
    with pytest.raises(InputError) as refused:
        account.check(SETTINGS)
    assert (refused.value.code, str(refused.value)) == (
        2,
        "Your account is on AWS's free plan, which starts c7i-flex.large, m7i-flex.large, t3.micro only, and not "
        "c6i.2xlarge: choose among them, or upgrade to the paid plan in the AWS console (Billing).",
    )


def test_types_of_the_free_plan_are_taken(free_plan: None) -> None:
    account.check(SETTINGS | {"worker_instance_type": "c7i-flex.large"})
    account.check(SETTINGS | {"worker_count": 0})


def test_a_paid_account_may_start_every_type(free_plan: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "plan_of_account", lambda: "PAID")
    account.check(SETTINGS)


@pytest.mark.parametrize("what", ["plan_of_account", "_types_of_free_plan"])
@pytest.mark.parametrize(
    "error", [denied("ResourceNotFoundException"), EndpointConnectionError(endpoint_url="x"), MissingError("No.")]
)
def test_where_the_plan_cannot_be_asked_nothing_is_refused(
    free_plan: None, monkeypatch: pytest.MonkeyPatch, what: str, error: Exception
) -> None:
    monkeypatch.setattr(account, what, raising(error))
    account.check(SETTINGS)


def test_where_no_type_is_called_free_nothing_is_refused(free_plan: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "_types_of_free_plan", lambda _: set())
    account.check(SETTINGS)


def test_the_types_of_the_free_plan_are_ec2s_own(aws: Callable[[str], Any]) -> None:
    types = account._types_of_free_plan("eu-west-1")
    assert "t3.micro" in types
    assert "c6i.2xlarge" not in types


class Budgets:
    """An API of budgets that answers, or raises."""

    def __init__(self, error: Exception | None) -> None:
        self.asked: list[dict[str, Any]] = []
        self.error = error

    def describe_budgets(self, **asked: Any) -> None:
        self.asked.append(asked)
        if self.error:
            raise self.error


@pytest.fixture
def budgets(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception | None], Budgets]:
    """Has the API of budgets answer so."""

    def answer(error: Exception | None) -> Budgets:
        api = Budgets(error)
        monkeypatch.setattr(clients, "client", lambda *_: api)
        monkeypatch.setattr(clients, "account", lambda _: "123456789012")
        return api

    monkeypatch.setattr(account, "plan_of_account", lambda: "PAID")
    return answer


WITH_BUDGET = SETTINGS | {"budget_email": "me@example.com"}


def test_without_a_right_on_budgets_a_budget_is_refused(budgets: Callable[..., Budgets]) -> None:
    budgets(denied())
    with pytest.raises(AwsError) as refused:
        account.check(WITH_BUDGET)
    assert (refused.value.code, str(refused.value)) == (
        4,
        "Your AWS credentials have no right on the account's budgets (AccessDeniedException), which budget_email "
        "needs: set budget_email = null in terraform.tfvars, or ask your administrator for budgets:ViewBudget, "
        "ModifyBudget and TagResource.",
    )


def test_with_the_right_the_budget_is_taken(budgets: Callable[..., Budgets]) -> None:
    api = budgets(None)
    account.check(WITH_BUDGET)
    assert api.asked == [{"AccountId": "123456789012", "MaxResults": 1}]


def test_without_a_budget_nobody_asks_for_the_right(budgets: Callable[..., Budgets]) -> None:
    api = budgets(denied())
    account.check(SETTINGS)
    assert api.asked == []


@pytest.mark.parametrize("error", [denied("ThrottlingException"), EndpointConnectionError(endpoint_url="x")])
def test_where_budgets_cannot_be_asked_nothing_is_refused(budgets: Callable[..., Budgets], error: Exception) -> None:
    budgets(error)
    account.check(WITH_BUDGET)
