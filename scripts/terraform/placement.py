"""Where workers are made and of which kind: what a plan says of it, and what is left to try when AWS has no room.

The choices, and their order, are Terraform's (network.tf); here is only walked along them.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from scripts.aws import quotas
from scripts.errors import AwsError
from scripts.terraform import errors
from scripts.terraform.errors import Refusal
from scripts.terraform.workspace import Placement, Plan, kind_of

SUBNET = "aws_subnet.public[0]"
WISH = "terraform_data.wish"
HOST, WORKER = "aws_instance.", "aws_instance.worker["
# What another zone, type or market may have room for.
NO_ROOM = {"InsufficientInstanceCapacity", "Unsupported", "SpotMaxPriceTooLow"}
# What the account may have of a market, in whatever zone.
QUOTAS = {"MaxSpotInstanceCountExceeded", "VcpuLimitExceeded", "InstanceLimitExceeded", quotas.CODES["spot"]}

Made = TypeVar("Made")


def of(planned: Plan) -> Placement | None:
    """Where this plan makes the workers, and of which kind; None where no place is allowed."""
    if not planned.placements:
        return None
    # A given subnet is in no plan, and has one zone.
    zone = planned.values.get(SUBNET, {}).get("availability_zone") or planned.placements[0].zone
    return Placement(zone, planned.variables["worker_instance_type"], planned.variables["worker_spot"])


def kept(planned: Plan) -> Placement | None:
    """The placement of the workers that are there, where this plan would make others than were asked for by then.

    Workers stay as they are until somebody wishes for others, be they of the first kind or of the last.
    """
    now = of(planned)
    if now is None or planned.changes.get(WISH) in ("update", "replace") or not (kind := _kind_there(planned)):
        return None
    there = Placement(now.zone, **kind)
    return there if there != now and there in planned.placements else None


def _kind_there(planned: Plan) -> dict[str, Any]:
    """The kind of the workers that are there; of lost ones that are planned alone, that of the others. Else empty."""
    workers = [planned.before[address] for address in planned.before if address.startswith(WORKER)]
    if workers:
        # Not by the instance's own `instance_lifecycle`, which the provider may leave empty.
        is_spot = bool(kind_of(planned.before).get("worker_spot"))
        return {"worker_instance_type": workers[0]["instance_type"], "worker_spot": is_spot}
    # A plan of the whole chooses anew where no worker is left.
    return {} if WISH in planned.values else kind_of(planned.before)


def others(planned: Plan) -> list[Placement]:
    """What may be tried in place of this plan's placement, in order.

    A host that is there keeps the cluster in its zone, a worker that stays keeps it at its kind.
    """
    now, hosts = of(planned), [address for address in planned.before if address.startswith(HOST)]
    staying = [host for host in hosts if host.startswith(WORKER) and planned.changes.get(host) in (None, "update")]
    if now is None or staying:
        return []
    return [place for place in planned.placements if place != now and (not hosts or place.zone == now.zone)]


def left(rest: Sequence[Placement], tried: Placement, refusal: Refusal) -> list[Placement]:
    """What of the rest is worth a try after this refusal."""
    if refusal.code in NO_ROOM and refusal.host == errors.MASTER:
        # The master is the same everywhere but for its zone.
        return [place for place in rest if place.zone != tried.zone]
    if refusal.code in NO_ROOM:
        return list(rest)
    if refusal.code in QUOTAS and refusal.host != errors.MASTER and tried.worker_spot:
        return [place for place in rest if not place.worker_spot]
    return []


def after(planned: Plan, error: AwsError) -> list[Placement]:
    """What is left to try once this plan was refused so."""
    tried, refusal = of(planned), errors.refusal(error)
    return left(others(planned), tried, refusal) if tried and refusal else []


def walk(
    planned: Plan,
    attempt: Callable[[Plan], Made],
    again: Callable[[Placement, Sequence[str]], Plan],
    say: Callable[[str], None],
) -> Made:
    """Carry a plan out by `attempt`; where AWS has no room for a host, one that `again` makes of the next placement.

    `again` is given the addresses to be made anew with it; `say` gets a line for each step. Raises what `attempt`
    raises, once there is nothing left to try.
    """
    tried, rest = of(planned), others(planned)
    is_first = True
    while True:
        try:
            return attempt(planned)
        except AwsError as error:
            refusal = errors.refusal(error)
            rest = left(rest, tried, refusal) if refusal and tried else []
            if not rest or refusal is None or tried is None:
                if not is_first:
                    error.add_note("`make up` goes on where it tried last; `make down`, then `make up` choose anew.")
                raise
            following = _next(rest, tried)
            say(f"{refusal.of(tried.zone)}. {_step(tried, following)}.")
        rest.remove(following)
        planned = again(following, [SUBNET] if following.zone != tried.zone else [])
        tried, is_first = following, False


def _next(rest: Sequence[Placement], tried: Placement) -> Placement:
    """The first; of its kind the one in the zone where the master is by now, if there is one."""
    first = rest[0]
    here = Placement(tried.zone, first.worker_instance_type, first.worker_spot)
    return here if here in rest else first


def _step(tried: Placement, following: Placement) -> str:
    market = "spot" if following.worker_spot else "on demand"
    kind = f"{following.worker_instance_type}, {market}, "
    is_other = (tried.worker_instance_type, tried.worker_spot) != (
        following.worker_instance_type,
        following.worker_spot,
    )
    moved = "" if following.zone == tried.zone else "; hosts that were made are made again there"
    return f"Trying {kind if is_other else ''}{following.zone}{moved}"
