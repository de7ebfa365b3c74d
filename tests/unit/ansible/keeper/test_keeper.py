"""When the keeper ends a cluster, when it does not, and what it says before: by a clock of the test's own."""

from pathlib import Path

import pytest

from orchard_keeper import state as state_of_keeper
from orchard_keeper.ends import Limits
from orchard_keeper.work import Activity
from tests.unit.ansible.keeper.conftest import HOUR, LIMITS, MINUTE, RATES, START, World, machine

ENDED = ["save the logs", "stop master", "stop worker-1", "terminate worker-2"]


def test_an_idle_cluster_saves_its_logs_and_stops_its_spot_workers_terminated(world: World) -> None:
    world.passes(29 * MINUTE)
    assert world.done == []
    world.passes(2 * MINUTE)
    assert world.done == ENDED
    assert world.status["ended"] == "idle: nothing at work since 10:00 UTC"


@pytest.mark.parametrize(
    "what", ["run r", "notebook (4 tasks)", "kernel of a.ipynb", "whether Spark has a task is not known (TimeoutError)"]
)
def test_what_is_at_work_holds_it_and_is_named(world: World, what: str) -> None:
    world.work.append(what)
    world.passes(3 * HOUR, step=300)
    assert world.done == []
    assert world.status["held_by"] == [what]
    assert world.status["idle_since"] is None


def test_the_idle_time_begins_when_the_work_ends(world: World) -> None:
    world.work.append("run r")
    world.passes(2 * HOUR, step=300)
    world.work.clear()
    world.passes(29 * MINUTE)
    assert not world.is_over
    assert world.status["idle_since"] == START + 2 * HOUR
    world.passes(2 * MINUTE)
    assert world.is_over


def test_input_at_a_terminal_counts_from_when_it_came(world: World) -> None:
    world.signs.append(Activity("input at terminal 0 of admin", START + 20 * MINUTE))
    world.passes(49 * MINUTE)
    assert not world.is_over
    assert world.status["held_by"] == []
    world.passes(2 * MINUTE)
    assert world.is_over


def test_an_open_notebook_that_is_silent_holds_nothing(world: World) -> None:
    world.signs.append(Activity("kernel of a.ipynb", START - HOUR))
    world.passes(31 * MINUTE)
    assert world.is_over


def test_a_command_under_way_on_a_laptop_holds_it_as_long_as_it_says_so(world: World) -> None:
    for _ in range(30):
        world.commands.hold("upload", world.now)
        world.passes(2 * MINUTE, step=60)
    assert not world.is_over
    assert world.status["held_by"] == ["`make upload` on a laptop"]
    # The laptop has gone: it is believed for five minutes more.
    world.passes(32 * MINUTE)
    assert not world.is_over
    world.passes(3 * MINUTE)
    assert world.is_over


def test_an_end_is_announced_once_ten_minutes_before(world: World) -> None:
    world.passes(19 * MINUTE)
    assert world.told == []
    world.passes(10 * MINUTE)
    assert world.told == [
        "Cluster fruits stops at 10:30 UTC: nothing at work since 10:00 UTC. `make keep`, or `keep` on the master, "
        "puts it off."
    ]
    assert world.status["warning"] == world.told[0]


def test_work_that_begins_after_the_announcement_takes_it_back(world: World) -> None:
    world.passes(25 * MINUTE)
    world.work.append("run r")
    world.passes(MINUTE)
    assert world.told[1:] == ["Cluster fruits goes on."]
    assert world.status["warning"] is None


def test_keep_puts_all_ends_off(world: World) -> None:
    world.passes(25 * MINUTE)
    world.commands.keep(2, world.now)
    world.passes(1.9 * HOUR, step=60)
    assert not world.is_over
    assert world.status["kept_until"] == START + 25 * MINUTE + 2 * HOUR
    world.passes(0.2 * HOUR)
    assert world.is_over


def test_keep_in_the_last_minute_while_logs_are_saved_goes_on(world: World) -> None:
    world.on_save = lambda: world.commands.keep(1, world.now) and None
    world.passes(40 * MINUTE)
    assert world.done == ["save the logs"]
    assert world.status["ending"] is None
    assert world.told[-1] == "Cluster fruits goes on."


def test_a_run_that_begins_while_logs_are_saved_goes_on(world: World) -> None:
    world.on_save = lambda: world.work.append("run r")
    world.passes(40 * MINUTE)
    assert world.done == ["save the logs"]
    world.work.clear()
    world.on_save = lambda: None
    world.passes(32 * MINUTE)
    assert world.is_over


def test_at_the_age_limit_a_run_is_ended_kindly_before_the_logs_are_saved(world: World) -> None:
    world.work.append("run r")
    world.passes(12 * HOUR - 15 * MINUTE, step=300)
    assert world.told == []
    world.passes(13 * MINUTE)
    assert "stops at 22:00 UTC: its 12 hours are over." in world.told[0]
    assert not world.is_over
    world.passes(3 * MINUTE)
    assert world.done == ["stop the runs", *ENDED]


def test_work_alone_puts_the_age_limit_off_for_nobody(world: World) -> None:
    world.work.append("run r")
    world.on_save = lambda: world.work.append("another run")
    world.passes(12 * HOUR + 10 * MINUTE, step=300)
    assert world.is_over


def test_start_and_keep_begin_the_age_anew(world: World) -> None:
    world.work.append("run r")
    world.passes(6 * HOUR, step=300)
    world.commands.keep(1, world.now)
    world.passes(11 * HOUR, step=300)
    assert not world.is_over
    world.commands.tell({"begins_anew": True}, world.now)
    world.passes(11 * HOUR, step=300)
    assert not world.is_over
    world.passes(1.1 * HOUR, step=300)
    assert world.is_over


def test_a_look_that_fails_holds_the_cluster_until_its_age_limit_and_no_longer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("broken")

    monkeypatch.setattr(world, "look", fail)
    world.passes(3 * HOUR, step=300)
    assert not world.is_over
    assert world.status["held_by"] == ["whether anything is at work is not known (OSError)"]
    for step in ("stop_runs", "save_logs", "publish_status"):
        monkeypatch.setattr(world, step, fail)
    world.passes(9.2 * HOUR, step=300)
    assert world.is_over


def test_a_cluster_without_limits_never_ends(world: World) -> None:
    world.started(Limits(0, 0))
    world.passes(30 * HOUR, step=300)
    assert world.done == []
    assert world.status["ends_at"] is None


def test_a_short_limit_is_announced_in_its_second_half(world: World) -> None:
    world.started(Limits(idle_minutes=2, max_age_hours=0))
    world.passes(50, step=10)
    assert world.told == []
    world.passes(20, step=10)
    assert len(world.told) == 1


def test_it_ends_before_aws_stops_the_hosts(world: World) -> None:
    world.commands.tell({"aws_stops_at": START + 3 * HOUR}, world.now)
    world.work.append("run r")
    world.passes(2.7 * HOUR, step=60)
    assert not world.is_over
    world.passes(0.1 * HOUR, step=300)
    assert world.is_over
    assert world.now < START + 3 * HOUR


def test_a_reboot_in_the_countdown_goes_on_with_it_and_announces_it_again(world: World) -> None:
    world.passes(25 * MINUTE)
    world.reboots(seconds=10 * MINUTE)
    world.passes(8 * MINUTE)
    # The end was due while it was down: nobody could have put it off.
    assert not world.is_over
    assert len(world.told) == 2
    world.passes(3 * MINUTE)
    assert world.is_over


def test_a_start_by_aws_begins_a_new_stretch(world: World) -> None:
    world.passes(31 * MINUTE)
    assert world.is_over
    world.done.clear()
    later = world.now + 8 * HOUR
    world.there = [machine("master", launched_at=later)]
    world.reboots(seconds=8 * HOUR + MINUTE)
    world.passes(29 * MINUTE)
    assert world.done == []
    assert world.status["ended"] is None
    assert sorted(world.bucket) == ["ledger/fruits/20251126T100000Z.json", "ledger/fruits/20251126T183100Z.json"]


def test_a_start_is_known_while_aws_is_silent(world: World) -> None:
    world.passes(31 * MINUTE)
    world.done.clear()
    world.is_deaf = True
    world.reboots(seconds=8 * HOUR)
    world.passes(29 * MINUTE)
    assert world.done == []


def test_a_keeper_that_is_new_on_a_host_that_has_worked_for_long_ends_nothing_at_once(fresh: World) -> None:
    fresh.now += 13 * HOUR
    fresh.steady += 13 * HOUR
    fresh.started(LIMITS)
    fresh.work.append("run r")
    fresh.passes(HOUR)
    assert fresh.done == []


def test_a_keeper_that_was_down_gives_the_notice_before_it_ends_anything(world: World) -> None:
    world.passes(5 * MINUTE)
    # Meanwhile something worked that left no sign.
    world.now += 40 * MINUTE
    world.steady += 40 * MINUTE
    world.started(LIMITS)
    world.passes(9 * MINUTE)
    assert world.done == []
    assert len(world.told) == 1
    world.passes(2 * MINUTE)
    assert world.is_over


def test_an_ending_that_was_cut_short_while_it_saved_logs_goes_on_without_them(world: World) -> None:
    world.passes(29 * MINUTE)
    state = world.store.read()
    state.ending = "idle: nothing at work since 10:00 UTC"
    world.store.write(state)
    world.started(LIMITS)
    world.now += 5 * MINUTE
    world.steady += 5 * MINUTE
    world.keeper.look()
    assert world.done == ENDED[1:]


def test_runs_that_cannot_be_seen_in_the_last_moment_may_be_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> bool:
        raise OSError("broken")

    monkeypatch.setattr(world, "is_run_under_way", fail)
    world.passes(3 * HOUR, step=60)
    assert not world.is_over
    world.passes(10 * HOUR, step=300)
    assert world.is_over


def test_signs_from_a_clock_that_was_ahead_hold_nothing(world: World) -> None:
    world.signs = [Activity("input at terminal 0 of admin", START + 24 * HOUR)]
    world.passes(31 * MINUTE)
    assert world.is_over


def test_what_fails_of_the_report_keeps_nothing_else_from_being_done(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OverflowError("a job's own number")

    monkeypatch.setattr(world, "publish_metrics", fail)
    world.passes(5 * MINUTE)
    assert len(world.bucket) == 1
    monkeypatch.setattr(world, "put", fail)
    world.passes(26 * MINUTE)
    assert world.is_over


def test_requests_are_counted(world: World) -> None:
    world.passes(21 * MINUTE)
    assert world.store.read().account.requests["put"] == 3


def test_what_ran_before_the_master_did_is_in_another_entry(fresh: World) -> None:
    fresh.there = [machine("master"), machine("worker-1", launched_at=START - 8 * HOUR)]
    fresh.passes(30 * MINUTE - 60)
    [entry] = [fresh.commands.end("make stop", fresh.now)["entry"]]
    assert entry["hours"]["work"] + entry["hours"]["idle"] == pytest.approx(0.5, abs=0.02)


def test_the_lock_is_roots_alone_and_not_waited_for_without_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.passes(MINUTE)
    lock = world.store._memory / "lock"
    assert lock.stat().st_mode & 0o777 == 0o600
    lock.chmod(0o644)
    with world.store.locked():
        assert lock.stat().st_mode & 0o777 == 0o600
        monkeypatch.setattr(state_of_keeper, "LOCK_SECONDS", 0.2)
        with pytest.raises(TimeoutError), world.store.locked():
            pass


def test_a_keep_of_before_a_stop_is_no_keep_of_what_was_started_again(world: World) -> None:
    world.commands.keep(100, world.now)
    world.passes(MINUTE)
    later = world.now + HOUR
    world.there = [machine("master", launched_at=later)]
    world.reboots(seconds=HOUR + MINUTE)
    world.passes(31 * MINUTE)
    assert world.is_over


def test_where_aws_is_silent_at_first_the_ledger_has_one_entry_all_the_same(fresh: World) -> None:
    fresh.is_deaf = True
    fresh.passes(5 * MINUTE)
    assert fresh.bucket == {}
    fresh.is_deaf = False
    fresh.there = [machine("master", launched_at=START - 40)]
    fresh.passes(26 * MINUTE)
    assert list(fresh.bucket) == ["ledger/fruits/20251126T095920Z.json"]


def test_a_stop_leaves_the_disks_of_what_stays(world: World) -> None:
    world.commands.tell({"rates": RATES.__dict__}, world.now)
    world.passes(MINUTE)
    world.there = world.there[:2]
    world.passes(30 * MINUTE)
    [entry] = world.bucket.values()
    assert entry["disks_per_hour"] == pytest.approx(2 * RATES.disk_per_hour)


def test_a_clock_that_is_set_moves_the_ends_along(world: World) -> None:
    world.passes(10 * MINUTE)
    world.now += 5 * HOUR
    world.passes(19 * MINUTE)
    assert not world.is_over
    world.passes(2 * MINUTE)
    assert world.is_over


def test_a_clock_that_is_set_back_keeps_no_cluster(world: World) -> None:
    world.passes(10 * MINUTE)
    world.now -= 5 * HOUR
    world.passes(21 * MINUTE)
    assert world.is_over


def test_where_aws_is_deaf_the_master_switches_itself_off(world: World) -> None:
    world.refuses = True
    world.is_deaf = True
    world.passes(31 * MINUTE)
    assert world.done == ["save the logs"]
    world.passes(2 * MINUTE)
    assert world.done[1] == "power off"


def test_after_make_stop_the_keeper_waits_and_then_insists(world: World) -> None:
    world.passes(MINUTE)
    world.commands.end("make stop", world.now)
    world.passes(14 * MINUTE)
    assert world.done == []
    world.passes(2 * MINUTE)
    assert "power off" in world.done


def test_a_full_disk_forgets_nothing_before_the_next_boot(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.passes(5 * MINUTE)
    monkeypatch.setattr(world.store, "_disk", Path("/dev/full"))
    world.commands.keep(1, world.now)
    world.started(LIMITS)
    world.passes(50 * MINUTE)
    assert not world.is_over
    world.passes(15 * MINUTE)
    assert world.is_over


def test_a_state_that_cannot_be_read_begins_anew(world: World) -> None:
    world.passes(20 * MINUTE)
    for folder in (world.store._memory, world.store._disk):
        (folder / "state.json").write_text('{"boot_id":')
    world.passes(29 * MINUTE)
    assert not world.is_over
    world.passes(2 * MINUTE)
    assert world.is_over


def test_metrics_come_each_minute_and_the_ledger_every_ten(world: World) -> None:
    world.commands.tell({"rates": RATES.__dict__}, world.now)
    world.passes(25 * MINUTE)
    assert 24 <= len(world.metrics) <= 26
    assert world.metrics[-1]["WorkersAlive"] == (2, "Count")
    assert world.metrics[-1]["IdleMinutes"][0] == pytest.approx(25, abs=1.1)
    assert world.metrics[-1]["USDSinceStart"][0] == pytest.approx(25 / 60 * (0.1 + 0.4 * 2 + 3 * 0.009), rel=0.1)
    [entry] = world.bucket.values()
    assert (entry["started_at"], entry["ended_at"], entry["why"]) == ("2025-11-26T10:00:00+00:00", None, None)
    assert entry["seen_at"] == "2025-11-26T10:20:00+00:00"


def test_the_last_entry_says_why_and_what_it_came_to(world: World) -> None:
    world.commands.tell({"rates": RATES.__dict__}, world.now)
    world.work.append("run r")
    world.runs = {"r": {"began_at": "b", "ended_at": None, "code": None, "pictures": 3000}}
    world.passes(HOUR)
    world.work.clear()
    world.passes(31 * MINUTE)
    [entry] = world.bucket.values()
    assert entry["why"] == "idle: nothing at work since 11:00 UTC"
    assert entry["ended_at"] == "2025-11-26T11:30:00+00:00"
    assert entry["hours"] == {"work": pytest.approx(1.0), "idle": pytest.approx(0.5)}
    assert {host["name"]: host["hours"] for host in entry["hosts"]} == dict.fromkeys(
        ["master", "worker-1", "worker-2"], pytest.approx(1.5)
    )
    assert entry["usd"] == {
        "work": pytest.approx(0.9),
        "idle": pytest.approx(0.45),
        "disks": pytest.approx(3 * 1.5 * 0.004),
        "addresses": pytest.approx(3 * 1.5 * 0.005),
        "requests": pytest.approx(3 * 0.0004 + 10 * 0.005 / 1000, rel=0.1),
    }
    assert entry["spot_saved_usd"] == pytest.approx(0.15)
    assert entry["runs"] == [{"run_id": "r", "began_at": "b", "ended_at": None, "code": None, "pictures": 3000}]


def test_what_went_on_before_prices_were_told_goes_by_the_first_ones(world: World) -> None:
    world.passes(10 * MINUTE)
    world.commands.tell({"rates": RATES.__dict__}, world.now)
    world.passes(10 * MINUTE)
    assert world.store.read().account.usd["idle"] == pytest.approx(20 / 60 * 0.9)


def test_without_prices_hours_are_told_and_no_money(world: World) -> None:
    world.passes(31 * MINUTE)
    [entry] = world.bucket.values()
    assert (entry["usd"], entry["currency"], entry["spot_saved_usd"]) == (None, None, None)
    assert entry["hours"]["idle"] == pytest.approx(0.5)


def test_a_host_that_comes_later_is_paid_for_from_then_on(world: World) -> None:
    world.passes(30 * MINUTE - 60)
    world.commands.keep(5, world.now)
    world.there = [*world.there, machine("worker-3", launched_at=world.now)]
    world.passes(HOUR)
    world.commands.end("make stop", world.now)
    [entry] = [world.commands.end("make stop", world.now)["entry"]]
    hours = {host["name"]: host["hours"] for host in entry["hosts"]}
    assert hours["worker-3"] == pytest.approx(1.0, abs=0.02)
    assert hours["master"] == pytest.approx(1.5, abs=0.02)
