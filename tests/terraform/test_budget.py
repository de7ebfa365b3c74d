"""A budget is there before anything is paid for, and no reason to touch a host."""

from concurrent.futures import Future
from dataclasses import dataclass

import pytest

from tests.doubles.aws.double import AwsDouble
from tests.terraform.configuration import Result
from tests.terraform.conftest import Make

NAME = "thrifty"


@dataclass
class Applied:
    """An apply whose budget was refused, one without a budget, and what a budget added later would change."""

    refused: Result
    launches_of_refused: int
    changes_afterwards: dict[str, str]
    changes_for_budget: dict[str, str]


def begin_early(make_configuration: Make, _: AwsDouble) -> Applied:
    """All of it in an AWS of its own: its faults are nobody else's."""
    with AwsDouble() as aws:
        cluster = make_configuration(
            aws,
            NAME,
            budget_email="me@example.com",
            master_instance_type="t3.medium",
            worker_count=0,
            cloudwatch=False,
        )
        cluster.init()
        aws.fail("budgets:CreateBudget", code="AccessDeniedException", times=50)
        refused = cluster.run("apply", "-auto-approve", "-input=false")
        launches = aws.calls().count("ec2:RunInstances")
        cluster.set(budget_email=None)
        cluster.apply()
        afterwards = cluster.changes()
        aws.forget_faults()
        cluster.set(budget_email="me@example.com")
        return Applied(refused, launches, afterwards, cluster.changes())


@pytest.fixture(scope="module")
def applied(early: dict[str, Future[Applied]]) -> Applied:
    """How it all ended."""
    return early[__name__].result()


def test_a_budget_that_may_not_be_made_ends_the_apply_before_a_host_is_started(applied: Applied) -> None:
    assert applied.refused.returncode == 1
    assert "AccessDeniedException" in applied.refused.stderr
    assert applied.launches_of_refused == 0


def test_without_a_budget_the_hosts_are_made_and_nothing_is_left_to_do(applied: Applied) -> None:
    # The master is burstable: its credits as AWS tells them back are no change either.
    assert applied.changes_afterwards == {}


def test_a_budget_that_comes_later_touches_no_host(applied: Applied) -> None:
    assert applied.changes_for_budget == {"aws_budgets_budget.monthly[0]": "create"}
