"""What stretches of a ledger add up to: by month, and over the life of a cluster. Asks nobody."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from scripts import console
from scripts.money.amounts import money
from scripts.money.ledger import Stretch, Usd

USD = "USD"
NOT_A_BILL = (
    "In USD before tax, by the cluster's own ledger: a reckoning, not AWS's bill, without the bucket's storage."
)
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Amounts:
    """Hours of a cluster, at work and idle, and what they cost in USD. `unpriced_hours` are in no USD here."""

    work_hours: float = 0.0
    idle_hours: float = 0.0
    unpriced_hours: float = 0.0
    work: float = 0.0
    idle: float = 0.0
    disks: float = 0.0
    addresses: float = 0.0
    requests: float = 0.0
    spot_saved: float = 0.0

    def __add__(self, other: "Amounts") -> "Amounts":
        return Amounts(*(mine + others for mine, others in zip(astuple(self), astuple(other), strict=True)))

    def share(self, part: float) -> "Amounts":
        """So much of each, 1 being all."""
        return Amounts(*(part * amount for amount in astuple(self)))

    @property
    def hours(self) -> float:
        """At work and idle."""
        return self.work_hours + self.idle_hours

    @property
    def together(self) -> float:
        """USD of all parts."""
        return self.work + self.idle + self.disks + self.addresses + self.requests


@dataclass(frozen=True)
class Part:
    """A time and what it cost: a stretch, or the disks of the hosts that were stopped after it."""

    began_at: datetime
    ended_at: datetime
    amounts: Amounts


def parts(stretches: Sequence[Stretch], kept_until: datetime | None = None) -> list[Part]:
    """A cluster's stretches, the oldest first, and the disks after each of them; see `_stopped_until`."""
    found = []
    for stretch, following in _with_following(stretches):
        found.append(Part(stretch.started_at, stretch.end, _of(stretch)))
        until = _stopped_until(stretch, following, kept_until)
        if until and until > stretch.end:
            hours = (until - stretch.end) / HOUR
            found.append(Part(stretch.end, until, Amounts(disks=hours * (stretch.disks_per_hour or 0))))
    return found


def total(found: Iterable[Part]) -> Amounts:
    """All together."""
    return sum((part.amounts for part in found), Amounts())


def by_month(found: Iterable[Part]) -> dict[str, Amounts]:
    """For each month (UTC), as 2026-11; what goes over a month's end is split by time."""
    months: dict[str, Amounts] = {}
    for part in found:
        for month, share in _shares(part.began_at, part.ended_at):
            months[month] = months.get(month, Amounts()) + part.amounts.share(share)
    return months


def doubts(stretches: Sequence[Stretch], kept_until: datetime | None = None) -> list[str]:
    """What the ledger leaves open, and how it was counted, one sentence each."""
    said = []
    for stretch, following in _with_following(stretches):
        name = console.one_line(stretch.cluster)
        if following and not stretch.ended_at:
            said.append(
                f"The keeper of cluster {name} fell silent: its stretch from {day(stretch.started_at)} counts until "
                f"{day(stretch.end)}, when it wrote last."
            )
        is_over = following or stretch.ended_at
        if is_over and stretch.disks_per_hour and not _stopped_until(stretch, following, kept_until):
            said.append(
                f"When the disks of cluster {name} went after {day(stretch.end)} is not known: they count until then."
            )
    if unpriced := total(parts(stretches)).unpriced_hours:
        said.append(f"No price was known for {unpriced:,.1f} hours of cluster {name}: no sum has them.")
    return said


def life(stretches: Sequence[Stretch]) -> list[Stretch]:
    """The stretches since the cluster was created last: those after the last `make down` before the newest."""
    begins = [number for number, (before, _) in enumerate(pairwise(stretches), start=1) if before.gone_at]
    return list(stretches[max(begins, default=0) :])


def life_in_words(stretches: Sequence[Stretch]) -> list[str]:
    """What a cluster's life came to, in lines."""
    sums = total(parts(stretches))
    name, first, last = console.one_line(stretches[0].cluster), stretches[0], stretches[-1]
    said = [
        f"Cluster {name} from {day(first.started_at)} to {day(last.gone_at or last.end)}: {sums.hours:,.1f} hours up, "
        f"{sums.work_hours:,.1f} at work and {sums.idle_hours:,.1f} idle.",
        f"  work {money(sums.work, USD)}, idling {money(sums.idle, USD)}, storage (disks) {money(sums.disks, USD)}, "
        f"addresses {money(sums.addresses, USD)}, requests {money(sums.requests, USD)}: "
        f"{money(sums.together, USD)} together.",
    ]
    if sums.spot_saved > 0:
        said.append(f"  Spot saved {money(sums.spot_saved, USD)}.")
    return [*said, *(f"  {doubt}" for doubt in doubts(stretches)), f"  {NOT_A_BILL}"]


def day(at: datetime) -> str:
    """A time to the minute."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _with_following(stretches: Sequence[Stretch]) -> Iterable[tuple[Stretch, Stretch | None]]:
    return zip(stretches, [*stretches[1:], None], strict=True)


def _of(stretch: Stretch) -> Amounts:
    usd = stretch.usd or Usd(0, 0, 0, 0, 0)
    return Amounts(
        work_hours=stretch.work_hours,
        idle_hours=stretch.idle_hours,
        unpriced_hours=0 if stretch.usd else stretch.hours,
        spot_saved=stretch.spot_saved_usd or 0,
        **vars(usd),
    )


def _stopped_until(stretch: Stretch, following: Stretch | None, kept_until: datetime | None) -> datetime | None:
    """How long the disks went on after a stretch; None where nobody knows, or the stretch goes on.

    Until `make down`, or the next start of the same master, for an instance's disk lives as long as the instance;
    `kept_until` is for the newest.
    """
    if stretch.gone_at:
        return stretch.gone_at
    if following:
        return following.started_at if following.master_id == stretch.master_id else None
    return kept_until if stretch.ended_at else None


def _shares(began_at: datetime, ended_at: datetime) -> Iterator[tuple[str, float]]:
    """The months that a time touches, and how much of it lies in each."""
    whole = (ended_at - began_at) / HOUR
    while whole and began_at < ended_at:
        border = min(_next_month(began_at), ended_at)
        yield f"{began_at:%Y-%m}", (border - began_at) / HOUR / whole
        began_at = border
    if not whole:
        yield f"{began_at:%Y-%m}", 1.0


def _next_month(at: datetime) -> datetime:
    return datetime(at.year + at.month // 12, at.month % 12 + 1, 1, tzinfo=UTC)
