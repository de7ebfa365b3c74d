"""Chaos draws the same blows for a seed, strikes them at their parts, and sees what a run has lost."""

import json
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

if sys.platform != "linux":
    pytest.skip("the sandbox is Linux's", allow_module_level=True)

from tests.doubles.aws import server
from tests.sandbox.chaos import invariant, schedule, session, trial
from tests.sandbox.chaos.invariant import Outcome
from tests.sandbox.chaos.schedule import Blow, Field, draw
from tests.sandbox.chaos.trial import Trial
from tests.sandbox.faults.catalogue import FAULTS
from tests.sandbox.machine import SandboxError
from tests.waiting import wait_until

HOSTS = ["master", "worker-1", "worker-2"]
EVERY = Field({name: fault.words for name, fault in FAULTS.items()}, HOSTS, ["c6i.2xlarge"])
SEEDS = range(50)
CALM = Outcome({("a", "x"): b"1", ("b", "x"): b"2"}, [], [("c", "undecodable")])


# What is drawn


def test_a_seed_draws_the_same_again_and_another_seed_something_else() -> None:
    assert draw(7, EVERY, 4, 19) == draw(7, EVERY, 4, 19)
    assert len({str(draw(seed, EVERY, 4, 19)) for seed in SEEDS}) == len(SEEDS)


def test_a_seed_draws_every_fault_once_and_each_at_a_part_of_its_own() -> None:
    for seed in SEEDS:
        runs = draw(seed, EVERY, 4, 19)
        names = Counter(blow.words[0] for blows in runs for blow in blows)
        assert names == Counter(set(FAULTS) - schedule.MENDERS)
        for blows in runs:
            parts = [blow.part for blow in blows]
            assert parts == sorted(set(parts))
            assert set(parts) <= set(range(1, 19))


def test_it_takes_no_master_back_and_names_no_host_that_is_gone() -> None:
    for seed in SEEDS:
        for blows in draw(seed, EVERY, 1, 19):
            gone: set[str] = set()
            for blow in blows:
                assert not gone & set(blow.words), blows
                if blow.words[0] in schedule.SPOT:
                    assert blow.words[1] != "master"
                if blow.words[0] == schedule.LOST_FOR_GOOD:
                    gone.add(blow.words[1])


def test_a_short_one_has_as_many_as_were_asked_for_and_no_long_outage() -> None:
    [blows] = draw(3, EVERY, runs=1, parts=10, most=3, longest=5)
    assert len(blows) == 3
    assert {blow.seconds for blow in blows} == {5}


def test_a_faults_own_kinds_are_drawn_and_words_that_nobody_knows_are_named() -> None:
    [[blow]] = draw(1, replace(EVERY, faults={"lie": "cut|stale [RATE]"}), 1, 10)
    assert blow.words in {("lie", "cut"), ("lie", "stale")}
    with pytest.raises(ValueError, match="chaos draws no COLOUR"):
        draw(1, replace(EVERY, faults={"paint": "COLOUR"}), 1, 10)


# What is held against the calm run


def test_a_run_with_the_same_rows_has_lost_nothing() -> None:
    assert invariant.differences(CALM, CALM) == []


@pytest.mark.parametrize(
    ("run", "sentence"),
    [
        (replace(CALM, features={("a", "x"): b"1"}), "1 pictures have lost their features: b."),
        (replace(CALM, features=CALM.features | {("c", "x"): b"3"}), "1 pictures have features that had none: c."),
        (replace(CALM, features=CALM.features | {("b", "x"): b"3"}), "1 pictures have other features: b."),
        (replace(CALM, twice=["a"]), "1 pictures have two rows: a."),
        (replace(CALM, errors=[]), "errors.parquet has other rows (0) than in the calm run (1)."),
        (replace(CALM, errors=[("c", "unreadable")]), "errors.parquet has other rows (1) than in the calm run (1)."),
    ],
)
def test_what_a_run_has_lost_is_said(run: Outcome, sentence: str) -> None:
    assert invariant.differences(run, CALM) == [sentence]


# How it strikes

TASKS = 10
REFUSES = 22


@dataclass
class Run:
    """A run that writes a part at each look, held at its gate; S3 that refuses ends it with exit code 22."""

    waits: int = 10**9
    parts: int = 0
    broken: bool = False
    told: list[str] = field(default_factory=list)
    typed: list[str] = field(default_factory=list)

    def step(self) -> int | None:
        if self.broken and self.waits > self.parts:
            return REFUSES
        if self.parts == TASKS:
            return 0
        self.parts += self.parts < self.waits
        return None


class Double:
    """The cloud's AWS, as the faults of S3 use it."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def fail(self, action: str, **_: Any) -> None:
        self.run.told.append(f"{action} at {self.run.parts}")
        self.run.broken = True

    def end_faults(self) -> None:
        self.run.broken = False


class Process:
    """`fab run`, seen from outside."""

    def __init__(self, run: Run) -> None:
        self.run, self.code = run, None

    def poll(self) -> int | None:
        self.code = self.run.step() if self.code is None else self.code
        return self.code


class Hands:
    """A person at that run."""

    log = Path("chaos.log")

    def __init__(self, run: Run) -> None:
        self.run = run
        self.cloud = type("Cloud", (), {"aws": Double(run)})()

    def type(self, *words: str) -> Process:
        self.run.typed.append(" ".join(words))
        return Process(self.run)

    def written(self, _: str) -> list[str]:
        return ["part"] * self.run.parts

    @contextmanager
    def gate(self, _: str, after: int) -> Iterator[Callable[[], int]]:
        self.run.waits = self.run.parts + after
        yield lambda: int(self.run.parts == self.run.waits)
        self.run.waits = 10**9

    def mend(self) -> None:
        self.run.typed.append("mend")


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "PAUSE", 0)


def test_each_blow_falls_at_its_part_and_a_run_that_gives_up_is_gone_on_with_as_a_person_would() -> None:
    run, said = Run(), list[str]()
    blows = [Blow(("s3-errors", "0.5"), 2, 90), Blow(("s3-slow",), 6, 90)]
    struck = Trial(Hands(run), "torn", ["--size=full"], blows, said.append).endure()
    assert run.told == ["s3:** at 2", "s3:* at 6"]
    assert [one.written for one in struck] == [2, 6]
    assert run.typed == ["run --run=torn --size=full", *["mend", "run --run=torn"] * 2]
    assert said[:2] == ["  torn ended with exit code 22 and is gone on with"] * 2
    assert not run.broken


def test_a_blow_at_the_last_part_falls_though_those_before_are_still_on_their_way_when_others_do() -> None:
    class Slow(Hands):
        def written(self, run: str) -> list[str]:
            return super().written(run)[self.run.parts == self.run.waits :]

    run = Run()
    blows = [Blow(("s3-slow",), part, 90) for part in (2, TASKS - 1)]
    trial_of_two = Trial(Slow(run), "torn", [], blows, lambda _: None)
    trial_of_two.endure()
    assert run.told == [f"s3:* at {blow.part}" for blow in blows]
    assert not trial_of_two.missed


def test_a_run_that_comes_to_no_end_is_said_to() -> None:
    class Never(Run):
        def step(self) -> int | None:
            return REFUSES

    with pytest.raises(SandboxError, match=r"^torn was not complete after 5 tries: chaos\.log says why\.$"):
        Trial(Hands(Never()), "torn", [], [], lambda _: None).endure()


def test_a_run_that_was_not_struck_as_it_was_drawn_has_not_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    blows = [Blow(("s3-errors", "often"), 2, 90), Blow(("s3-slow",), 6, 90), Blow(("s3-slow",), TASKS + 1, 90)]
    monkeypatch.setattr(schedule, "draw", lambda *_: [blows[1:2], blows])
    monkeypatch.setattr(invariant, "outcome", lambda *_: CALM)
    monkeypatch.setattr(invariant, "not_whole", lambda *_: [])
    tried = iter([Run(), Run()])
    hands = Hands(Run(parts=TASKS))

    def next_run(made: Trial) -> list[trial.Struck]:
        made.hands = Hands(next(tried))
        return endure(made)

    endure = Trial.endure
    monkeypatch.setattr(Trial, "endure", next_run)
    assert session._seed(hands, 7, [], CALM) == [
        "seed-7-2 (seed 7): s3-errors often at part 2: not struck, often is no number.",
        "seed-7-2 (seed 7): s3-slow at part 11: never reached.",
    ]


def test_a_gate_holds_what_is_only_late_and_counts_nothing_that_fails() -> None:
    application = server.FaultyApplication(lambda *_: [b"done"])
    asked = {
        "REQUEST_METHOD": "PUT",
        "PATH_INFO": "/bucket/key",
        "HTTP_AUTHORIZATION": "Credential=A/20260101/eu-west-1/s3/aws4_request",
        "wsgi.input": BytesIO(),
    }
    for fault in ({"action": "s3:*"}, {"action": "s3:PUT *", "held": True}):
        application._change_faults("POST", json.dumps(fault | {"times": 9}).encode())
    answered: list[str] = []
    application._change_faults("POST", json.dumps({"action": "s3:*", "code": "SlowDown", "status": 500}).encode())
    application(asked, lambda status, _: answered.append(status))
    assert answered == ["500 Fault"]
    call = threading.Thread(target=lambda: application(asked, lambda status, _: answered.append(status)), daemon=True)
    call.start()
    wait_until(lambda: application._waiting == 1, "the call to stand at the gate")
    application._change_faults("PUT", b"")
    assert [fault.held for fault in application._faults] == [True], "faults end, gates stay"
    application._change_faults("PATCH", b"")
    call.join(10)
    assert answered == ["500 Fault", "503 Fault"]
