"""What stretches of a ledger add up to: months, the disks in between, and what nobody knows."""

from datetime import UTC, datetime
from typing import Any

import pytest

from scripts.money import ledger, reckoning
from scripts.money.ledger import Stretch
from scripts.money.reckoning import Amounts
from tests.unit.scripts.money.ledger_entries import CLOSED, ENTRY, of_time

OTHER_MASTER = {"hosts": [CLOSED["hosts"][0] | {"id": "i-2"}]}


def stretch(started: str, ended: str, base: dict[str, Any] = CLOSED, **more: Any) -> Stretch:
    found = ledger._parse(of_time(started, ended, base)[1] | more)
    assert found
    return found


def at(day: int, hour: int = 0) -> datetime:
    return datetime(2026, 2, day, hour, tzinfo=UTC)


def test_a_stretch_across_a_months_border_is_split_by_time() -> None:
    # Three of four hours lie in January.
    months = reckoning.by_month(reckoning.parts([stretch("2026-01-31T21:00", "2026-02-01T01:00")]))
    assert list(months) == ["2026-01", "2026-02"]
    assert months["2026-01"].hours == pytest.approx(1.5)
    assert months["2026-01"].work == pytest.approx(3.0 * 3 / 4)
    assert months["2026-02"].together == pytest.approx(4.601 / 4)
    assert months["2026-02"].spot_saved == pytest.approx(0.8 / 4)


def test_a_stretch_over_a_year_has_a_share_in_every_month_of_it() -> None:
    months = reckoning.by_month([reckoning.Part(at(1), datetime(2027, 2, 1, tzinfo=UTC), Amounts(idle=365.0))])
    assert [round(sums.idle) for sums in months.values()] == [28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 31]
    assert list(months)[-2:] == ["2026-12", "2027-01"]


def test_one_that_took_no_time_is_in_its_month() -> None:
    months = reckoning.by_month(reckoning.parts([stretch("2026-02-01T10:00", "2026-02-01T10:00")]))
    assert months["2026-02"].work == 3.0


def test_disks_of_hosts_that_were_stopped_count_until_the_next_start() -> None:
    both = [stretch("2026-02-01T10:00", "2026-02-01T12:00"), stretch("2026-02-02T12:00", "2026-02-02T14:00")]
    assert reckoning.total(reckoning.parts(both)).disks == pytest.approx(2 * 0.2 + 24 * 0.1)
    assert reckoning.total(reckoning.parts(both)).hours == 4.0
    # Its master stands there yet.
    assert reckoning.total(reckoning.parts(both, at(3, 0))).disks == pytest.approx(2 * 0.2 + 34 * 0.1)
    assert reckoning.doubts(both, at(3, 0)) == []


def test_disks_count_until_the_cluster_was_taken_down() -> None:
    taken = stretch("2026-02-01T10:00", "2026-02-01T12:00", gone_at="2026-02-01T15:00:00+00:00")
    later = stretch("2026-02-05T10:00", "2026-02-05T12:00", **OTHER_MASTER, why="make down")
    assert reckoning.total(reckoning.parts([taken, later])).disks == pytest.approx(2 * 0.2 + 3 * 0.1)
    assert reckoning.doubts([taken, later]) == []


def test_where_nobody_knows_when_the_disks_went_they_count_no_longer_and_that_is_said() -> None:
    both = [
        stretch("2026-02-01T10:00", "2026-02-01T12:00"),
        stretch("2026-02-02T12:00", "2026-02-02T14:00", **OTHER_MASTER),
    ]
    assert reckoning.total(reckoning.parts(both)).disks == pytest.approx(2 * 0.2)
    assert reckoning.doubts(both) == [
        f"When the disks of cluster fruits went after 2026-02-0{day} UTC is not known: they count until then."
        for day in ("1 12:00", "2 14:00")
    ]


def test_one_that_is_open_and_not_the_newest_ended_when_it_was_seen_last() -> None:
    both = [
        stretch("2026-02-01T10:00", "2026-02-01T12:00", ENTRY),
        stretch("2026-02-02T12:00", "2026-02-02T14:00", ENTRY),
    ]
    assert reckoning.total(reckoning.parts(both)).hours == 4.0
    assert reckoning.doubts(both) == [
        "The keeper of cluster fruits fell silent: its stretch from 2026-02-01 10:00 UTC counts until "
        "2026-02-01 12:00 UTC, when it wrote last."
    ]
    # The newest goes on: there is nothing to doubt, and no disk beside it.
    assert reckoning.total(reckoning.parts(both[1:], at(9))).disks == 0.2


def test_hours_without_a_price_are_said() -> None:
    one = stretch(
        "2026-02-01T10:00", "2026-02-01T12:00", usd=None, currency=None, disks_per_hour=None, spot_saved_usd=None
    )
    assert reckoning.total(reckoning.parts([one])) == Amounts(1.5, 0.5, unpriced_hours=2.0)
    assert reckoning.doubts([one]) == ["No price was known for 2.0 hours of cluster fruits: no sum has them."]


def test_a_life_begins_after_the_last_make_down() -> None:
    down = stretch("2026-02-01T10:00", "2026-02-01T12:00", why="make down")
    stopped, last = (stretch(f"2026-02-0{day}T10:00", f"2026-02-0{day}T12:00") for day in (2, 3))
    gone = stretch("2026-02-03T10:00", "2026-02-03T12:00", why="make down")
    assert reckoning.life([down, stopped, last]) == [stopped, last]
    assert reckoning.life([down, stopped, gone]) == [stopped, gone]
    assert reckoning.life([down]) == [down]


def test_a_life_is_told_in_hours_and_money() -> None:
    first = stretch("2026-02-01T10:00", "2026-02-01T12:00")
    last = stretch("2026-02-02T12:00", "2026-02-02T14:00", why="make down")
    assert reckoning.life_in_words([first, last]) == [
        "Cluster fruits from 2026-02-01 10:00 UTC to 2026-02-02 14:00 UTC: 4.0 hours up, 3.0 at work and 1.0 idle.",
        "  work 6.00 USD, idling 2.00 USD, storage (disks) 2.80 USD, addresses 0.80 USD, requests less than 0.01 USD: "
        "11.60 USD together.",
        "  Spot saved 1.60 USD.",
        f"  {reckoning.NOT_A_BILL}",
    ]
