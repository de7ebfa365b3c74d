"""What the account itself is not allowed to have: types on AWS's free plan, a budget without the right to one."""

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from scripts.aws import clients
from scripts.aws.clients import UNANSWERED
from scripts.errors import AwsError, InputError, OperatorError

# The API of plans and that of budgets live here alone, for all regions.
GLOBAL_REGION = "us-east-1"
DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}


def check(settings: Mapping[str, Any]) -> None:
    """Refuse what the account may not have. Raises InputError or AwsError; where AWS does not tell, nothing is refused.

    `settings` are a plan's variables, or the answers of `init`.
    """
    _refuse_types_outside_the_free_plan(settings)
    if settings["budget_email"]:
        _refuse_without_right_on_budgets(str(settings["region"]))


def _refuse_types_outside_the_free_plan(settings: Mapping[str, Any]) -> None:
    """An account made since 2025-07-15 may be on the free plan, which starts types of AWS's own choice only.

    freetier:GetAccountPlanState says FREE or PAID (AWS Billing and Cost Management API Reference); EC2's filter
    `free-tier-eligible` names the types, and RunInstances refuses others as InvalidParameterCombination.
    """
    region = str(settings["region"])
    wished = {str(settings["master_instance_type"])}
    if int(settings["worker_count"]):
        wished.add(str(settings["worker_instance_type"]))
    try:
        if plan_of_account() != "FREE":
            return
        may = _types_of_free_plan(region)
    except (*UNANSWERED, OperatorError):
        return
    if may and (refused := sorted(wished - may)):
        raise InputError(
            f"Your account is on AWS's free plan, which starts {', '.join(sorted(may))} only, and not "
            f"{' or '.join(refused)}: choose among them, or upgrade to the paid plan in the AWS console (Billing)."
        )


def plan_of_account() -> str:
    """FREE or PAID. Raises what boto3 raises, for older accounts, too, which have no plan."""
    client = clients.client("freetier", GLOBAL_REGION, clients.IN_A_HURRY)
    return str(client.get_account_plan_state()["accountPlanType"])


def _types_of_free_plan(region: str) -> set[str]:
    pages = clients.client("ec2", region).get_paginator("describe_instance_types")
    eligible = [{"Name": "free-tier-eligible", "Values": ["true"]}]
    return {kind["InstanceType"] for page in pages.paginate(Filters=eligible) for kind in page["InstanceTypes"]}


def _refuse_without_right_on_budgets(region: str) -> None:
    """Nobody can ask whether a budget may be made but by making one. Whether budgets may be seen can be asked.

    Terraform reads a budget back once it has made it, so without budgets:ViewBudget its apply fails for certain. Who
    may see and not make budgets learns it from the apply, whose first step is the budget.
    """
    try:
        clients.client("budgets", GLOBAL_REGION, clients.IN_A_HURRY).describe_budgets(
            AccountId=clients.account(region), MaxResults=1
        )
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in DENIED:
            raise AwsError(
                f"Your AWS credentials have no right on the account's budgets ({code}), which budget_email needs: set "
                "budget_email = null in terraform.tfvars, or ask your administrator for budgets:ViewBudget, "
                "ModifyBudget and TagResource."
            ) from None
    except (*UNANSWERED, OperatorError):
        return
