"""`make keep`, and what the other commands do to the cluster's own end."""

import re
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scripts.aws import schedules
from scripts.cluster import Cluster, Limits
from scripts.errors import ConfigurationError, InputError
from scripts.hosts import keeper
from scripts.hosts.keeper import Ends
from scripts.lifecycle import ends
from scripts.money import prices
from tests.doubles.fake_hosts import ORCHARD_RUN
from tests.doubles.fake_hosts import FakeHosts as Answering
from tests.unit.scripts.lifecycle.conftest import ENDS, NAME, FakeHosts

HOUR = 3600.0


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """The hours that AWS was given to stop the hosts at."""
    seen: list[datetime] = []
    monkeypatch.setattr(schedules, "move", lambda *asked: seen.append(asked[-1]) or 2)
    return seen


def hours_from_now(at: datetime) -> float:
    return (at - datetime.now(UTC)) / timedelta(hours=1)


def test_keep_moves_aws_first_and_tells_the_keeper_of_it(
    cluster: Cluster,
    hosts: FakeHosts,
    moved: list[datetime],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    until = time.time() + 2 * HOUR

    def keep(_: Any, hours: float) -> Ends:
        assert (hours, len(moved), len(hosts.told)) == (2.0, 1, 1)
        return replace(ENDS, kept_until=until, aws_stops_at=moved[0].timestamp())

    monkeypatch.setattr(keeper, "keep", keep)
    ends.keep("2")
    assert hours_from_now(moved[0]) == pytest.approx(13, abs=0.01)
    assert hosts.told == [{"aws_stops_at": moved[0].timestamp()}]
    assert re.fullmatch(
        rf"Nothing ends cluster {NAME} before .*\d\d:\d\d\. AWS itself stops its hosts at .*\d\d:\d\d\.\n",
        capsys.readouterr().out,
    )


def test_a_long_keep_takes_aws_along(cluster: Cluster, moved: list[datetime], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "keep", lambda *_: ENDS)
    ends.keep("40")
    assert hours_from_now(moved[0]) == pytest.approx(41, abs=0.01)


@pytest.mark.parametrize("hours", ["0", "-2", "200", "two", "", "nan", "inf"])
def test_hours_that_are_none_are_refused_before_anything_is_moved(moved: list[datetime], hours: str) -> None:
    with pytest.raises(InputError) as refused:
        ends.keep(hours)
    assert refused.value.code == 2
    assert str(refused.value) == (f"HOURS={hours} is no time to keep a cluster for: give hours above 0, up to 168.")
    assert moved == []


def test_a_cluster_that_is_too_old_for_a_keeper_says_the_next_step(
    cluster: Cluster, moved: list[datetime], monkeypatch: pytest.MonkeyPatch
) -> None:
    def keep(*_: Any) -> Ends:
        raise ConfigurationError("master could not do `keeper`: `make up` mends it.")

    monkeypatch.setattr(keeper, "keep", keep)
    with pytest.raises(ConfigurationError, match="`make up` mends it"):
        ends.keep("2")


def test_a_host_of_before_there_were_keepers_works_and_says_what_puts_one_there(
    cluster: Cluster, moved: list[datetime], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = "master could not do `keeper` (argument command: invalid choice: 'keeper'): `make logs` tells more."

    def ask(*_: Any, **__: Any) -> None:
        raise ConfigurationError(refused, "argument command: invalid choice: 'keeper' (choose from start, stop)")

    monkeypatch.undo()
    monkeypatch.setattr(schedules, "move", lambda *_: 0)
    monkeypatch.setattr(keeper.orchard_run, "ask", ask)
    ends.begin_anew(cluster)
    assert "never by itself: The master has no keeper yet: `make up` puts one there." in capsys.readouterr().out
    with pytest.raises(keeper.NoKeeperError):
        keeper.keep(Answering(cluster), 2)


def test_prices_that_are_not_known_now_take_nothing_from_those_that_were(
    cluster: Cluster, hosts: FakeHosts, moved: list[datetime], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prices, "rates", lambda _: None)
    ends.begin_anew(cluster)
    assert "rates" not in hosts.told[0]


def test_a_cluster_without_a_schedule_of_aws_is_told_so(
    cluster: Cluster, hosts: FakeHosts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(schedules, "move", lambda *_: 0)
    ends.begin_anew(cluster)
    assert "AWS has no schedule that stops the hosts, should their keeper not: `make up` makes it" in (
        capsys.readouterr().out
    )


def test_without_an_age_limit_aws_is_not_asked(cluster: Cluster, hosts: FakeHosts, moved: list[datetime]) -> None:
    forever = replace(cluster, ends=Limits(30, 0))
    ends.begin_anew(forever)
    assert moved == []
    assert hosts.told[0]["aws_stops_at"] is None


def test_when_its_time_begins_anew_the_keeper_learns_prices_and_aws_hour(
    cluster: Cluster, hosts: FakeHosts, moved: list[datetime], capsys: pytest.CaptureFixture[str]
) -> None:
    ends.begin_anew(cluster)
    [told] = hosts.told
    assert (told["begins_anew"], told["aws_stops_at"]) == (True, moved[0].timestamp())
    assert told["rates"]["master_per_hour"] > 0
    assert hours_from_now(moved[0]) == pytest.approx(13, abs=0.01)
    assert re.search(r"^Ends +\d+ s  by itself after 30 idle minutes, .* at the latest$", capsys.readouterr().out, re.M)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            {"held_by": ("run r", "kernel of a.ipynb"), "idle_since": None},
            ["Held by run r, kernel of a.ipynb. It stops at LATER at the latest."],
        ),
        ({}, ["Idle since BEFORE. It stops at SOON if nothing is at work by then."]),
        (
            {"kept_until": "SOON"},
            ["Idle since BEFORE. It stops at SOON if nothing is at work by then (kept until SOON)."],
        ),
        ({"ends_kind": "age", "ends_at": "LATER"}, ["Idle since BEFORE. It stops at LATER at the latest."]),
        ({"ends_at": None, "age_ends_at": None}, ["Idle since BEFORE. Nothing ends it by itself."]),
        ({"ended": "idle: nothing at work since 10:00 UTC"}, ["It is stopping: nothing at work since 10:00 UTC."]),
        ({"ending": "age: its time is up"}, ["It is stopping: its time is up."]),
        (
            {"warning": "Cluster fruits stops at 10:30 UTC."},
            [
                "Idle since BEFORE. It stops at SOON if nothing is at work by then.",
                "Cluster fruits stops at 10:30 UTC.",
            ],
        ),
        (
            {"looked_at": "BEFORE", "aws_stops_at": "LATER"},
            [
                "Idle since BEFORE. It stops at SOON if nothing is at work by then.",
                "Its keeper has not looked for a while: `make up` mends it; AWS stops its hosts at LATER.",
            ],
        ),
    ],
)
def test_status_tells_what_holds_the_cluster_and_when_it_ends(found: dict[str, Any], said: list[str]) -> None:
    now = time.time()
    times = {"BEFORE": now - 20 * 60, "SOON": now + 600, "LATER": now + 11 * HOUR}
    changed = {name: times.get(value, value) if isinstance(value, str) else value for name, value in found.items()}
    usual = {"looked_at": now, "idle_since": times["BEFORE"], "ends_at": times["SOON"], "age_ends_at": times["LATER"]}
    expected = said
    for name, at in times.items():
        expected = [line.replace(name, ends.moment(at)) for line in expected]
    assert ends.lines(replace(ENDS, **(usual | changed)), now) == expected


def test_another_day_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert re.fullmatch(r"\d\d:\d\d", ends.moment(time.time()))
    assert re.fullmatch(r"\w+ \d\d \w+ \d\d:\d\d", ends.moment(time.time() + 48 * HOUR))


def test_what_holds_it_is_somebody_elses_word(cluster: Cluster) -> None:
    [line] = ends.lines(replace(ENDS, looked_at=time.time(), held_by=("a\x1b]0;b\n",)), time.time())
    assert line.startswith("Held by a\\x1b]0;b\\n.")


def test_a_command_under_way_says_so_until_it_ends(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    answering = Answering(cluster)
    for word in ("hold upload", "release upload"):
        answering.answer(cluster.master, f"{ORCHARD_RUN}keeper {word}", "{}")
    monkeypatch.setattr(keeper, "Hosts", lambda *_, **__: answering)
    with keeper.held(cluster, "upload"):
        pass
    assert [command.rpartition("keeper ")[2] for _, command in answering.commands] == ["hold upload", "release upload"]


def test_a_keeper_that_cannot_be_told_is_no_reason_not_to_go_on(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    answering = Answering(cluster)
    for word in ("hold upload", "release upload"):
        answering.answer(cluster.master, f"{ORCHARD_RUN}keeper {word}", ConfigurationError("no such command"))
    monkeypatch.setattr(keeper, "Hosts", lambda *_, **__: answering)
    with keeper.held(cluster, "upload"):
        pass
