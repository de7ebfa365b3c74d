"""What orchard-run asks of the keeper, for the laptop and a shell on the master."""

import json
from pathlib import Path
from typing import Any

import pytest

import orchard_run
from orchard_keeper import command_line, own_host, published
from orchard_keeper.commands import RefusalError, in_words
from tests.unit.ansible.keeper.conftest import HOUR, MINUTE, RATES, START, World


def test_the_ends_are_told_though_the_daemon_is_dead(world: World) -> None:
    world.passes(MINUTE)
    told = world.commands.ends(world.now)
    assert told["ends_at"] == START + 30 * MINUTE
    assert told["ends_kind"] == "idle"


def test_workers_that_aws_takes_back_are_told_of_few_enough_to_be_read_again(world: World) -> None:
    world.notices = [f"AWS takes worker-{number} back." for number in range(1000)]
    world.passes(MINUTE)
    assert world.status["notices"] == world.notices[:20]
    published.write(world.commands._status, world.status)
    assert world.commands.ends(world.now)["notices"] == world.notices[:20]


@pytest.mark.parametrize("hours", [0, -1, 169, float("nan"), float("inf")])
def test_hours_that_are_none_are_refused(world: World, hours: float) -> None:
    with pytest.raises(RefusalError, match="hours are a number above 0 and up to 168"):
        world.commands.keep(hours, world.now)


def test_keep_comes_too_late_where_the_hosts_have_been_stopped(world: World) -> None:
    world.passes(31 * MINUTE)
    for command in (lambda: world.commands.keep(1, world.now), lambda: world.commands.hold("upload", world.now)):
        with pytest.raises(RefusalError, match=r"is stopping \(idle: nothing at work since 10:00 UTC\): wait"):
            command()


def test_keep_on_the_master_goes_no_further_than_aws_own_hour_and_says_so(world: World) -> None:
    world.passes(MINUTE)
    world.commands.tell({"aws_stops_at": START + 2 * HOUR}, world.now)
    told = world.commands.keep(5, world.now)
    assert told["kept_until"] == START + 2 * HOUR - 15 * MINUTE
    assert in_words(told) == (
        "Nothing ends this cluster before 11:45 UTC. AWS stops its hosts at 12:00 UTC; `make keep` on the laptop puts "
        "that off, too."
    )
    world.commands.tell({"aws_stops_at": START + 20 * HOUR}, world.now)
    assert in_words(world.commands.keep(5, world.now)) == "Nothing ends this cluster before 15:01 UTC."


def test_what_is_told_before_the_first_look_is_not_forgotten(fresh: World) -> None:
    fresh.commands.tell({"rates": RATES.__dict__, "aws_stops_at": START + 2 * HOUR, "begins_anew": True}, START + 60)
    fresh.passes(2 * MINUTE)
    state = fresh.store.read()
    assert (state.account.rates, state.aws_stops_at, state.age_from) == (RATES, START + 2 * HOUR, START + 60)


def test_a_command_that_has_ended_was_work_until_then(world: World) -> None:
    world.commands.hold("upload", world.now)
    world.passes(4 * MINUTE)
    world.commands.release("upload", world.now)
    world.passes(29 * MINUTE)
    assert not world.is_over
    world.passes(2 * MINUTE)
    assert world.is_over


def test_the_end_that_the_laptop_makes_gives_the_ledgers_last_entry(world: World) -> None:
    world.passes(6 * MINUTE)
    last = world.commands.end("make down", world.now)
    assert last["key"] == "ledger/fruits/20251126T100000Z.json"
    assert (last["entry"]["why"], last["entry"]["ended_at"]) == ("make down", "2025-11-26T10:06:00+00:00")
    # The keeper has no further word in it.
    written = dict(world.bucket)
    world.passes(12 * MINUTE)
    assert world.bucket == written


@pytest.fixture
def facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A master's facts, for the commands as they are typed."""
    file = tmp_path / "cluster.json"
    found = {
        "cluster": "fruits",
        "region": "eu-west-1",
        "role": "master",
        "ends": {"idle_minutes": 30, "max_age_hours": 12, "deaf_minutes": 20},
        "paths": {"keeper_status": str(tmp_path / "run" / "status.json"), "keeper_state": str(tmp_path / "disk")},
    }
    file.write_text(json.dumps(found))
    monkeypatch.setattr(orchard_run, "FACTS", file)
    return file


def typed(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert command_line.main(list(words)) == 0
    return json.loads(capsys.readouterr().out)


def test_each_command_answers_in_json(
    facts: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_host, "boot", lambda *_: ("this one", 0.0))
    assert typed(capsys, "tell", json.dumps({"begins_anew": True}))["ends_kind"] in ("idle", "age")
    assert typed(capsys, "hold", "upload")["ended"] is None
    assert typed(capsys, "release", "upload")["ended"] is None
    assert typed(capsys, "keep", "2")["kept_until"]
    assert typed(capsys, "ends")["kept_until"]
    assert typed(capsys, "end", "make stop")["entry"]["why"] == "make stop"


def test_the_word_keep_answers_a_person_and_refuses_in_a_sentence(
    facts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.main(["keep", "--words", "2"]) == 0
    assert capsys.readouterr().out.startswith("Nothing ends this cluster before ")
    assert command_line.main(["keep", "0"]) == 2
    assert capsys.readouterr().err == "orchard-run: hours are a number above 0 and up to 168.\n"


def test_what_orchard_run_asks_needs_no_package_but_pythons_own(facts: Path) -> None:
    """The system's Python, which orchard-run has, knows no boto3."""
    import subprocess
    import sys

    script = (
        "import sys; sys.modules['boto3'] = sys.modules['botocore'] = None; from orchard_keeper import command_line;"
        f"import orchard_run; from pathlib import Path; orchard_run.FACTS = Path({str(facts)!r});"
        "sys.exit(command_line.main(['ends']))"
    )
    path = [str(Path(command_line.__file__).parents[1]), str(Path(orchard_run.__file__).parent)]
    done = subprocess.run([sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}; {script}"], check=False)
    assert done.returncode == 0


def test_a_keep_of_before_the_boot_is_dropped_by_the_start_that_begins_anew(world: World) -> None:
    world.commands.keep(100, world.now)
    kept = world.store.read().kept_until
    assert world.commands.tell({"begins_anew": True}, world.now, world.boot_id)["kept_until"] == kept
    assert world.commands.tell({"begins_anew": True}, world.now, "another")["kept_until"] is None
