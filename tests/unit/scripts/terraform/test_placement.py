"""Where AWS has no room: what is tried next, and what is left alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from scripts.aws.quotas import QuotaError
from scripts.errors import AwsError, ConfigurationError, OperatorError
from scripts.terraform import errors, placement
from scripts.terraform.diagnostics import Diagnostic
from scripts.terraform.workspace import WORKER_KIND, Placement, Plan

C6, C5 = "c6i.2xlarge", "c5.2xlarge"
# As Terraform lists them with two zones, two types and spot_fallback.
ALLOWED = tuple(Placement(zone, kind, spot) for spot in (True, False) for kind in (C6, C5) for zone in ("1b", "1a"))
FIRST = ALLOWED[0]
FULL = "InsufficientInstanceCapacity"
MASTER, WORKER = "aws_instance.master", "aws_instance.worker[0]"


def planned(
    at: Placement = FIRST,
    there: dict[str, Placement] | None = None,
    changes: dict[str, str] | None = None,
    allowed: tuple[Placement, ...] = ALLOWED,
) -> Plan:
    """A plan of workers at a place, over hosts that are there."""
    before: dict[str, dict[str, Any]] = {}
    for address, place in (there or {}).items():
        before[address] = {"instance_type": place.worker_instance_type, "instance_lifecycle": ""}
        kind = {"instance_type": place.worker_instance_type, "spot": place.worker_spot}
        before[WORKER_KIND] = {"input": kind}
    variables = {"worker_instance_type": at.worker_instance_type, "worker_spot": at.worker_spot}
    values = {placement.SUBNET: {"availability_zone": at.zone}}
    return Plan(changes or {}, variables, values, True, Path("next.tfplan"), before, allowed)


def refused(code: str, address: str = WORKER) -> AwsError:
    """What an apply raises for a host that AWS does not start."""
    failure = errors.explain("create it", [Diagnostic(f"RunInstances, api error {code}: no", "", address)], "fruits")
    assert isinstance(failure, AwsError)
    return failure


class Aws:
    """Refuses places by what it is told: what was tried, what had to be made anew, what was said."""

    def __init__(self, *refusals: OperatorError) -> None:
        self.refusals = list(refusals)
        self.tried: list[Placement] = []
        self.replaced: list[list[str]] = []
        self.said: list[str] = []

    def attempt(self, plan: Plan) -> str:
        at = placement.of(plan)
        assert at
        self.tried.append(at)
        if self.refusals:
            raise self.refusals.pop(0)
        return "made"

    def again(self, wanted: Placement, replace: Sequence[str]) -> Plan:
        self.replaced.append(list(replace))
        return planned(wanted)

    def walk(self, plan: Plan) -> str:
        return placement.walk(plan, self.attempt, self.again, self.said.append)


def test_zones_come_first_then_types_then_on_demand() -> None:
    aws = Aws(*(refused(FULL) for _ in range(7)))
    assert aws.walk(planned()) == "made"
    # Of another kind, the zone that it is in by then is the first: the master need not be made anew.
    assert aws.tried == [
        Placement("1b", C6, True),
        Placement("1a", C6, True),
        Placement("1a", C5, True),
        Placement("1b", C5, True),
        Placement("1b", C6, False),
        Placement("1a", C6, False),
        Placement("1a", C5, False),
        Placement("1b", C5, False),
    ]
    moved = [[placement.SUBNET], [], [placement.SUBNET], [], [placement.SUBNET], [], [placement.SUBNET]]
    assert aws.replaced == moved


def test_each_step_is_a_line() -> None:
    aws = Aws(refused(FULL), refused("SpotMaxPriceTooLow"), refused("MaxSpotInstanceCountExceeded"))
    aws.walk(planned())
    assert aws.said == [
        "worker-1 could not be started in 1b: AWS has none left in this zone just now (InsufficientInstanceCapacity). "
        "Trying 1a; hosts that were made are made again there.",
        "worker-1 could not be started in 1a: the spot price is above worker_spot_max_price (SpotMaxPriceTooLow). "
        f"Trying {C5}, spot, 1a.",
        "worker-1 could not be started in 1a: your account's quota of spot instances does not reach "
        f"(MaxSpotInstanceCountExceeded). Trying {C6}, on demand, 1a.",
    ]


def test_where_nothing_is_left_the_last_refusal_is_told_with_the_way_on() -> None:
    aws = Aws(*(refused(FULL) for _ in ALLOWED))
    with pytest.raises(AwsError, match="worker-1 could not be started: AWS has none left") as failure:
        aws.walk(planned())
    assert len(aws.tried) == len(set(ALLOWED))
    assert failure.value.__notes__ == [
        "`make up` goes on where it tried last; `make down`, then `make up` choose anew."
    ]


def test_a_single_place_that_is_refused_is_told_as_before() -> None:
    with pytest.raises(AwsError) as failure:
        Aws(refused(FULL)).walk(planned(allowed=(FIRST,)))
    assert not hasattr(failure.value, "__notes__")


@pytest.mark.parametrize("error", [refused("VcpuLimitExceeded", MASTER), refused("InsufficientFreeAddressesInSubnet")])
def test_what_no_other_place_mends_is_not_tried_elsewhere(error: AwsError) -> None:
    aws = Aws(error)
    with pytest.raises(AwsError) as failure:
        aws.walk(planned())
    assert (failure.value, aws.tried, aws.said) == (error, [FIRST], [])


def test_a_quota_of_vcpus_is_not_tried_in_the_next_zone() -> None:
    on_demand = tuple(place for place in ALLOWED if not place.worker_spot)
    aws = Aws(refused("VcpuLimitExceeded"))
    with pytest.raises(AwsError, match="quota of vCPUs does not reach"):
        aws.walk(planned(on_demand[0], allowed=on_demand))
    assert aws.tried == [on_demand[0]]


def test_a_spot_quota_that_is_known_beforehand_leads_to_on_demand_too() -> None:
    aws = Aws(QuotaError("16 spot vCPUs are needed and your quota is 0.", "spot"))
    aws.walk(planned())
    assert aws.tried == [FIRST, Placement("1b", C6, False)]
    with pytest.raises(QuotaError):
        Aws(QuotaError("18 on-demand vCPUs are needed and your quota is 4.", "on-demand")).walk(planned())


def test_a_master_that_is_refused_is_tried_in_other_zones_and_with_no_other_workers() -> None:
    aws = Aws(refused(FULL, MASTER), refused(FULL, MASTER))
    with pytest.raises(AwsError, match="The master could not be started"):
        aws.walk(planned())
    assert [place.zone for place in aws.tried] == ["1b", "1a"]


def test_what_is_no_refusal_of_a_host_ends_it() -> None:
    aws = Aws(AwsError("AWS had too many requests."))
    with pytest.raises(AwsError, match="too many"):
        aws.walk(planned())
    assert aws.tried == [FIRST]
    aws = Aws(ConfigurationError("no"))
    with pytest.raises(ConfigurationError):
        aws.walk(planned())


def test_a_host_that_is_there_keeps_the_cluster_in_its_zone() -> None:
    tried = placement.others(planned(there={MASTER: FIRST}))
    assert {place.zone for place in tried} == {"1b"}
    assert {(place.worker_instance_type, place.worker_spot) for place in tried} == {
        (C5, True),
        (C6, False),
        (C5, False),
    }


def test_a_worker_that_stays_keeps_the_others_at_its_kind() -> None:
    assert placement.others(planned(there={MASTER: FIRST, WORKER: FIRST})) == []
    assert placement.others(planned(there={MASTER: FIRST, WORKER: FIRST}, changes={WORKER: "update"})) == []
    assert placement.others(planned(there={MASTER: FIRST, WORKER: FIRST}, changes={WORKER: "replace"}))


@pytest.mark.parametrize(
    ("changes", "allowed", "expected"),
    [
        ({}, ALLOWED, Placement("1b", C5, False)),
        ({placement.WISH: "create"}, ALLOWED, Placement("1b", C5, False)),
        ({placement.WISH: "update"}, ALLOWED, None),
        ({}, ALLOWED[:2], None),
    ],
    ids=["as it is", "made by an earlier version", "other wishes", "not allowed any more"],
)
def test_workers_stay_of_their_kind_until_somebody_wishes_for_others(
    changes: dict[str, str], allowed: tuple[Placement, ...], expected: Any
) -> None:
    there = {MASTER: FIRST, WORKER: Placement("1b", C5, False)}
    assert placement.kept(planned(there=there, changes=changes, allowed=allowed)) == expected


def test_workers_of_the_planned_kind_need_no_other_plan() -> None:
    assert placement.kept(planned(there={WORKER: FIRST})) is None
    assert placement.kept(planned()) is None


def test_lost_workers_that_are_planned_alone_are_of_the_kind_of_the_others() -> None:
    plan = planned()
    plan.before["terraform_data.worker_kind"] = {"input": {"instance_type": C5, "spot": False, "max_price": None}}
    assert placement.kept(plan) == Placement("1b", C5, False)
    # With the whole in sight and no worker left, the kind is chosen anew.
    plan.values[placement.WISH] = {}
    assert placement.kept(plan) is None


def test_a_refusal_says_host_code_and_reason() -> None:
    found = errors.refusal(refused(FULL, "aws_instance.worker[2]"))
    assert found
    assert (found.host, found.code, found.reason) == ("worker-3", FULL, "AWS has none left in this zone just now")
    assert errors.refusal(AwsError("no")) is None
