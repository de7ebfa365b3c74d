"""Whether the account's quotas of vCPUs reach for what the settings ask for, beside what runs in the region already."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from scripts.aws import clients, resources
from scripts.aws.clients import UNANSWERED
from scripts.errors import AwsError, InputError

UNKNOWN_TYPE = "InvalidInstanceType"
# Of EC2 in Service Quotas, in vCPUs of instances that are pending or running (EC2 User Guide, "Amazon EC2 service
# quotas" and "Spot Instance quotas"): one for each market and group of families.
CODES = {"on-demand": "L-1216C47A", "spot": "L-34B43A08"}
# The standard group is A, C, D, H, I, M, R, T, Z; im4gn and is4gen are of I.
STANDARD = {"a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"}
TYPES_IN_A_CALL = 100


class QuotaError(AwsError):
    """A quota is known and does not reach; `market` is the one that it is about, `spot` or `on-demand`."""

    def __init__(self, sentence: str, market: str) -> None:
        super().__init__(sentence)
        self.market = market


@dataclass(frozen=True)
class Answer:
    """What a look came to, as a line; `is_whole` where everything could be looked at."""

    text: str
    is_whole: bool = True


@dataclass(frozen=True)
class Machine:
    """Instances of one type on one market: wished for, or running; `ours` are this cluster's own."""

    market: str
    type: str
    count: int = 1
    ours: bool = True

    @property
    def is_standard(self) -> bool:
        """Whether the quotas that are looked at are about it."""
        return _family(self.type) in STANDARD


def check(settings: Mapping[str, Any]) -> list[Answer]:
    """One line for each quota that the settings need; what could not be read is said in it, and refuses nothing.

    Raises InputError for a type that the region does not have, QuotaError where a quota is known and does not reach.
    """
    region, wished = str(settings["region"]), _wished(settings)
    try:
        running = _running(region, str(settings["cluster_name"]))
        cpus = _cpus(region, {machine.type for machine in (*wished, *running) if machine.is_standard})
    except UNANSWERED as error:
        if _short(error) != UNKNOWN_TYPE:
            return [Answer(f"could not be read ({_short(error)})", is_whole=False)]
        raise InputError(
            f"AWS does not know these instance types in {region} ({UNKNOWN_TYPE}): choose others."
        ) from None
    others = sorted({machine.type for machine in wished if not machine.is_standard})
    answers = [_compared(region, market, wished, running, cpus) for market in CODES]
    if others:
        answers.append(Answer(f"{', '.join(others)}: another quota counts, which is not looked at", is_whole=False))
    return [answer for answer in answers if answer]


def _compared(
    region: str, market: str, wished: Iterable[Machine], running: Iterable[Machine], cpus: Mapping[str, int]
) -> Answer | None:
    """The quota beside what is asked of it; None where nothing is."""

    def sum_of(machines: Iterable[Machine]) -> int:
        counted = (machine for machine in machines if machine.market == market and machine.is_standard)
        return sum(cpus[machine.type] * machine.count for machine in counted)

    needed = sum_of(wished)
    if not needed:
        return None
    used = sum_of(machine for machine in running if not machine.ours)
    ours = sum_of(machine for machine in running if machine.ours)
    try:
        has = _allowed(region, CODES[market])
    except UNANSWERED as error:
        return Answer(f"{needed} {market} vCPUs needed; your quota could not be read ({_short(error)})", is_whole=False)
    in_use = f", of which {used} are in use by others" if used else ""
    # What runs of this cluster is there already, whatever the quota has become.
    if needed > ours and used + needed > has:
        raise QuotaError(
            f"{needed} {market} vCPUs are needed in {region} and your quota is {has}{in_use}: ask for more under "
            f"Service Quotas (EC2, {CODES[market]}), or choose fewer workers or smaller types.",
            market,
        )
    return Answer(f"{needed} {market} vCPUs needed, your quota is {has}{in_use}")


def _wished(settings: Mapping[str, Any]) -> list[Machine]:
    market = "spot" if settings["worker_spot"] else "on-demand"
    workers = Machine(market, str(settings["worker_instance_type"]), int(settings["worker_count"]))
    return [Machine("on-demand", str(settings["master_instance_type"])), workers]


def _running(region: str, cluster_name: str) -> list[Machine]:
    tags = resources.tags_of(cluster_name)
    return [
        Machine(
            market=found.get("InstanceLifecycle", "on-demand"),
            type=found["InstanceType"],
            ours=tags.items() <= {tag["Key"]: tag["Value"] for tag in found.get("Tags", [])}.items(),
        )
        for found in resources.every_instance(region, ["pending", "running"])
    ]


def _cpus(region: str, types: set[str]) -> dict[str, int]:
    asked = sorted(types)
    found: dict[str, int] = {}
    for first in range(0, len(asked), TYPES_IN_A_CALL):
        some = asked[first : first + TYPES_IN_A_CALL]
        answer = clients.client("ec2", region).describe_instance_types(InstanceTypes=some)
        found |= {kind["InstanceType"]: int(kind["VCpuInfo"]["DefaultVCpus"]) for kind in answer["InstanceTypes"]}
    return found


def _allowed(region: str, code: str) -> int:
    answer = clients.client("service-quotas", region, clients.IN_A_HURRY).get_service_quota(
        ServiceCode="ec2", QuotaCode=code
    )
    return int(answer["Quota"]["Value"])


def _family(instance_type: str) -> str:
    """The letters that a type's name begins with: `c` of c7i-flex.large."""
    letters = re.match("[a-z]*", instance_type)
    return letters[0] if letters else ""


def _short(error: Exception) -> str:
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "no code"))
    return type(error).__name__
