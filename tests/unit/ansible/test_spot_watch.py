"""The watch on a spot worker: what it hears of AWS, and what it does at a notice."""

import http.client
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

import orchard_run
import spot_watch
from orchard_keeper.host import NOTICED
from spot_watch import LEAVING, REBALANCE, SAID, STAYING, Notices, RealSpotHost, Watch
from tests.sandbox.metadata import Identity, MetadataService

NOW = 1_764_180_000.0
ROLE = Path(spot_watch.__file__).parents[1]


class World:
    """A spot worker with a clock that goes when it is told to; what the watch has done to it is noted, with when."""

    def __init__(self) -> None:
        self.now = 0.0
        self.said: Notices | Exception = {}
        self.executors = 1
        self.marked = False
        self.fails: set[str] = set()
        self.master_hears = True
        self.done: list[tuple[float, str]] = []
        self.watch = Watch(self, lambda: self.now)

    def passes(self, seconds: float) -> None:
        """Time goes by with a look every five seconds."""
        until = self.now + seconds
        while self.now < until:
            self.now += spot_watch.LOOK_SECONDS
            self.watch.look()

    def times(self, what: str) -> int:
        return sum(step == what for _, step in self.done)

    def notices(self) -> Notices:
        if isinstance(self.said, Exception):
            raise self.said
        return self.said

    def is_marked(self) -> bool:
        return self.marked

    def mark(self, is_leaving: bool) -> None:
        self.marked = is_leaving

    def restart_watch(self) -> None:
        self.watch = Watch(self, lambda: self.now)

    def decommission(self) -> None:
        self._do("decommission")

    def has_executors(self) -> bool:
        return self.executors > 0

    def tell_master(self, kind: str, at: float) -> bool:
        self._do(f"{kind} {at:.0f}")
        return self.master_hears

    def save_logs(self) -> None:
        self._do("save logs")

    def rejoin(self) -> None:
        self._do("rejoin")

    def _do(self, what: str) -> None:
        self.done.append((self.now, what))
        if what in self.fails:
            raise OSError(f"{what} fails")


@pytest.fixture
def world() -> World:
    return World()


def test_while_aws_says_nothing_nothing_is_done_but_that_the_host_stays_is_told_once(world: World) -> None:
    # Another host of its name may have been taken: what the master was told of that one is over.
    world.passes(600)
    assert world.done == [(5.0, "staying 0")]


def test_that_it_stays_is_told_until_the_master_hears_it(world: World) -> None:
    world.master_hears = False
    world.passes(15)
    world.master_hears = True
    world.passes(60)
    assert world.times("staying 0") == 4


def test_a_host_that_begins_with_a_notice_does_not_say_that_it_stays(world: World) -> None:
    world.said = {REBALANCE: 7.0}
    world.passes(10)
    world.said = {LEAVING: 120.0}
    world.passes(10)
    assert not world.times("staying 0")


def test_at_a_notice_the_worker_hands_over_within_five_seconds_and_the_master_is_told(world: World) -> None:
    world.passes(60)
    world.said = {LEAVING: 180.0}
    noticed_at = world.now
    world.passes(5)
    assert world.done[1:] == [(65.0, "decommission"), (65.0, "leaving 180")]
    assert world.now - noticed_at <= 5


def test_logs_are_saved_once_when_executors_have_gone(world: World) -> None:
    world.said = {LEAVING: 120.0}
    world.passes(15)
    assert not world.times("save logs")
    world.executors = 0
    world.passes(60)
    assert world.times("save logs") == 1


def test_an_executor_that_does_not_go_keeps_no_log_from_being_saved(world: World) -> None:
    world.said = {LEAVING: 120.0}
    world.passes(30)
    assert not world.times("save logs")
    world.passes(10)
    assert world.times("save logs") == 1


def test_what_fails_is_tried_again_and_keeps_nothing_else_from_being_done(world: World) -> None:
    world.said, world.executors = {LEAVING: 120.0}, 0
    world.fails = {"decommission", "save logs"}
    world.passes(10)
    assert [world.times(step) for step in ("decommission", "leaving 120", "save logs")] == [2, 2, 2]
    world.fails = set()
    world.passes(20)
    assert world.times("save logs") == 3


def test_it_is_told_once_for_a_second_signal_ends_executors_with_their_tasks(world: World) -> None:
    world.said = {LEAVING: 120.0}
    world.passes(20)
    world.restart_watch()
    world.passes(20)
    assert world.times("decommission") == 1
    world.said = {}
    world.passes(10)
    world.said = {LEAVING: 600.0}
    world.passes(10)
    assert world.times("decommission") == 2


def test_a_recommendation_to_rebalance_is_told_and_nothing_else(world: World) -> None:
    world.said = {REBALANCE: 7.0}
    world.passes(60)
    assert {step for _, step in world.done} == {"rebalance 7"}


def test_metadata_that_do_not_answer_are_no_notice_and_none_that_was_taken_back(world: World) -> None:
    world.said = OSError("answer 503")
    world.passes(60)
    assert world.done == []
    world.said = {LEAVING: 120.0}
    world.passes(5)
    world.said = http.client.BadStatusLine("")
    world.passes(60)
    assert not world.times("rejoin")


def test_a_notice_that_is_taken_back_has_the_worker_begin_anew_once(world: World) -> None:
    world.said, world.executors = {LEAVING: 120.0}, 0
    world.passes(10)
    world.said = {}
    world.passes(60)
    assert [step for _, step in world.done[-2:]] == ["rejoin", f"{STAYING} 0"]
    assert world.times("rejoin") == 1
    world.said = {LEAVING: 300.0}
    world.passes(10)
    assert world.times("save logs") == 2


def test_a_notice_that_is_taken_back_while_the_watch_is_started_again_is_not_forgotten(world: World) -> None:
    world.said = {LEAVING: 120.0}
    world.passes(10)
    world.restart_watch()
    world.passes(10)
    world.said = {}
    world.restart_watch()
    world.passes(60)
    assert [step for _, step in world.done[-2:]] == ["rejoin", f"{STAYING} 0"]
    assert world.times("rejoin") == 1
    world.restart_watch()
    world.passes(60)
    assert world.times("rejoin") == 1


# The metadata service, as the sandbox has it


class Metadata:
    """An instance's metadata service on a port of this machine."""

    def __init__(self) -> None:
        identity = Identity("i-1", "10.0.0.6", "worker-1", spot=True)
        self.service = MetadataService(identity, lambda: None)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.service._handler())

    def notices(self) -> Notices:
        paths = {kind: path for kind, (path, _) in SAID.items()}
        return spot_watch.notices_of(spot_watch.metadata(paths, "127.0.0.1", self.server.server_port), NOW, {})


@pytest.fixture
def metadata() -> Iterator[Metadata]:
    made = Metadata()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def test_what_the_metadata_service_says_is_heard_with_a_token(metadata: Metadata) -> None:
    assert metadata.notices() == {}
    leaves_at = metadata.service.announce_spot_interruption()
    recommended_at = metadata.service.recommend_rebalance()
    assert metadata.notices() == {LEAVING: int(leaves_at.timestamp()), REBALANCE: int(recommended_at.timestamp())}
    metadata.service.withdraw_spot_interruption()
    assert set(metadata.notices()) == {REBALANCE}


def test_an_answer_that_is_no_answer_is_no_word_on_the_host_s_end(
    metadata: Metadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata.service.announce_spot_interruption()
    monkeypatch.setattr(metadata.service, "is_valid", lambda _: False)
    with pytest.raises(OSError, match="answer 401 to /latest/meta-data/spot/instance-action"):
        metadata.notices()


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"time": 7}', b'{"time": "soon"}', b'{"time": null}'])
def test_a_notice_that_cannot_be_read_is_one_all_the_same(body: bytes) -> None:
    heard = spot_watch.notices_of({LEAVING: body, REBALANCE: None}, NOW, {})
    assert heard == {LEAVING: NOW + 120}
    # A minute later it is the same notice, not one of another time.
    assert spot_watch.notices_of({LEAVING: body, REBALANCE: None}, NOW + 60, heard) == heard


def test_the_time_is_aws_s_own() -> None:
    said = json.dumps({"action": "terminate", "time": "2026-11-26T18:22:00Z"}).encode()
    expected = datetime(2026, 11, 26, 18, 22, tzinfo=UTC).timestamp()
    assert spot_watch.notices_of({LEAVING: said}, NOW, {LEAVING: NOW}) == {LEAVING: expected}


# The host


def test_a_notice_without_a_time_keeps_the_one_that_it_was_given_first_until_it_is_withdrawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: dict[str, bytes | None] = {LEAVING: b"{}", REBALANCE: None}
    now = NOW
    monkeypatch.setattr(spot_watch, "metadata", lambda _: said)
    monkeypatch.setattr(spot_watch.time, "time", lambda: now)
    host = RealSpotHost({"host": "worker-1", "master_address": "m", "ports": {"keeper": 1}})
    assert host.notices() == {LEAVING: NOW + 120}
    now += 5
    assert host.notices() == {LEAVING: NOW + 120}
    said[LEAVING] = None
    assert host.notices() == {}
    said[LEAVING] = b"{}"
    assert host.notices() == {LEAVING: NOW + 125}


def test_the_master_s_keeper_understands_what_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(orchard_run, "asked", lambda url, _: asked.append(url) or ({} if STAYING in url else None))
    host = RealSpotHost({"host": "worker-12", "master_address": "10.0.0.5", "ports": {"keeper": 707}})
    heard = [host.tell_master(kind, NOW + 0.5) for kind in (LEAVING, REBALANCE, STAYING)]
    assert heard == [False, False, True]
    base = "http://10.0.0.5:707"
    assert [url.startswith(f"{base}/") for url in asked] == [True] * 3
    found = [NOTICED.fullmatch(url.removeprefix(base)) for url in asked]
    assert [match and match.groups() for match in found] == [
        ("worker-12", kind, f"{NOW:.0f}") for kind in (LEAVING, REBALANCE, STAYING)
    ]


def test_a_mark_outlives_the_watch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    facts = {"host": "worker-1", "master_address": "m", "ports": {"keeper": 1}}
    for is_leaving in (False, True, True, False):
        RealSpotHost(facts).mark(is_leaving)
        assert RealSpotHost(facts).is_marked() is is_leaving


@pytest.mark.parametrize(("told", "has"), [(0, False), (2, True), (None, True)])
def test_a_worker_whose_page_does_not_answer_may_have_executors_yet(
    monkeypatch: pytest.MonkeyPatch, told: int | None, has: bool
) -> None:
    monkeypatch.setattr(orchard_run, "executors", lambda *_: told)
    facts = {"host": "worker-1", "private_address": "10.0.0.6", "master_address": "m", "ports": {"keeper": 1}}
    assert RealSpotHost(facts).has_executors() is has


def test_logs_lie_where_those_of_every_end_do(monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[tuple[str, str]] = []
    monkeypatch.setattr(orchard_run, "save_logs", lambda _, bucket, prefix: saved.append((bucket, prefix)))
    RealSpotHost({"host": "worker-1", "master_address": "m", "ports": {"keeper": 1}, "bucket": "b"}).save_logs()
    [(bucket, prefix)] = saved
    assert bucket == "b"
    stamp, host = prefix.removeprefix("logs/").split("/")
    assert datetime.strptime(stamp, "%Y%m%dT%H%M%SZ")
    assert host == "worker-1"


def test_the_role_is_for_spot_workers_alone() -> None:
    plays = yaml.safe_load((ROLE.parents[1] / "site.yml").read_text())
    [asked_for] = [role for play in plays for role in play.get("roles", []) if isinstance(role, dict)]
    assert asked_for == {"role": "spot", "when": "orchard_facts.spot"}
