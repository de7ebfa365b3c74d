"""What moto does not answer: prices, plan and quotas of the account, who is written to about a budget."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moto.budgets.responses import BudgetsResponse
from moto.core.responses import ActionResult
from moto.ec2.responses.spot_instances import SpotInstances
from moto.servicequotas.models import ServiceQuotasBackend

TABLE = Path(__file__).resolve().parents[3] / "scripts" / "money" / "prices.json"
# In vCPUs, as an account that has been in use for a while has them.
QUOTAS = {
    "L-1216C47A": ("Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", 64.0),
    "L-34B43A08": ("All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests", 64.0),
}
SPOT_SHARE = 0.4  # of the price on demand; on the market it is a third to a half


def apply() -> None:
    """Teach moto the calls that it knows by name only."""
    ServiceQuotasBackend.get_service_quota = _quota
    SpotInstances.describe_spot_price_history = _spot_prices
    BudgetsResponse.describe_subscribers_for_notification = _subscribers
    BudgetsResponse.list_tags_for_resource = _tags_of_budget
    create = BudgetsResponse.create_budget

    def create_and_tag(self: Any) -> str:
        answer: str = create(self)
        _budget(self).tags = self._get_param("ResourceTags", [])
        return answer

    BudgetsResponse.create_budget = create_and_tag


def get_products(request: dict[str, Any]) -> bytes:
    """The price list's answer for an instance type or for NAT gateways: empty where the table has no price."""
    wanted = {entry["Field"]: entry["Value"] for entry in request.get("Filters", [])}
    region, is_nat = wanted.get("regionCode", ""), wanted.get("productFamily") == "NAT Gateway"
    price = _of_region(region).get("nat_per_gb") if is_nat else _per_hour(region, wanted.get("instanceType", ""))
    dimension = {"unit": "GB" if is_nat else "Hrs", "pricePerUnit": {"USD": f"{price or 0:.10f}"}}
    product = {
        "product": {"attributes": wanted},
        "terms": {"OnDemand": {"OFFER": {"priceDimensions": {"RATE": dimension}}}},
    }
    return json.dumps({"FormatVersion": "aws_v1", "PriceList": [json.dumps(product)] if price else []}).encode()


def get_account_plan_state() -> bytes:
    """An account that is paid for, and may start every type."""
    return json.dumps({"accountPlanType": "PAID", "accountPlanStatus": "ACTIVE"}).encode()


def _quota(self: Any, service_code: str, quota_code: str) -> dict[str, Any]:
    name, value = QUOTAS[quota_code]
    return {"ServiceCode": service_code, "QuotaCode": quota_code, "QuotaName": name, "Value": value}


def _budget(self: Any) -> Any:
    """The budget that a call is about, named by itself, in it or at the end of an ARN."""
    name = self._get_param("BudgetName") or (self._get_param("Budget") or {}).get("BudgetName")
    name = name or self._get_param("ResourceARN").rpartition("/")[2]
    return next(budgets[name] for budgets in self.backend.budgets.values() if name in budgets)


def _subscribers(self: Any) -> str:
    asked = self._get_param("Notification")
    # AWS fills in what was left out; the three that say which one it is are always there.
    names = ("NotificationType", "ComparisonOperator", "Threshold")
    found = [
        notification.subscribers
        for notification in _budget(self).notifications
        if all(notification.details[name] == asked[name] for name in names)
    ]
    return json.dumps({"Subscribers": found[0]})


def _tags_of_budget(self: Any) -> str:
    return json.dumps({"ResourceTags": getattr(_budget(self), "tags", [])})


def _spot_prices(self: Any) -> ActionResult:
    region = self.ec2_backend.region_name
    history = [
        {
            "AvailabilityZone": f"{region}{zone}",
            "InstanceType": wanted,
            "ProductDescription": "Linux/UNIX",
            "SpotPrice": f"{price * SPOT_SHARE:.6f}",
            "Timestamp": datetime.now(UTC),
        }
        for wanted in self._get_param("InstanceTypes", [])
        if (price := _per_hour(region, wanted))
        for zone in "ab"
    ]
    return ActionResult({"SpotPriceHistory": history, "NextToken": ""})


def _per_hour(region: str, instance_type: str) -> float | None:
    price = _of_region(region).get("instance_per_hour", {}).get(instance_type)
    return None if price is None else float(price)


def _of_region(region: str) -> dict[str, Any]:
    known: dict[str, Any] = json.loads(TABLE.read_text())["regions"].get(region, {})
    return known
