"""Which boot hosts are in, as far as they say."""

import pytest

from scripts.errors import HostError
from scripts.repair import boots
from tests.doubles.fake_hosts import FakeHosts, cluster_of

CLUSTER = cluster_of(workers=2)


def test_only_those_that_answer_say_which_boot_they_are_in(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = FakeHosts(CLUSTER)
    first, second = CLUSTER.workers
    hosts.answer(first, boots.BOOT_ID, "5c9b2e5e-aaaa\n")
    hosts.answer(second, boots.BOOT_ID, HostError("no answer"))
    monkeypatch.setattr(boots, "Hosts", hosts)
    assert boots.ids(CLUSTER, CLUSTER.workers) == {first: "5c9b2e5e-aaaa"}


def test_nobody_is_waited_for_who_said_nothing_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boots, "Hosts", FakeHosts(CLUSTER))
    boots.wait_for_others(CLUSTER, {}, 480)


def test_one_that_never_goes_down_is_waited_for_no_longer_than_that(monkeypatch: pytest.MonkeyPatch) -> None:
    host = CLUSTER.workers[0]
    monkeypatch.setattr(boots, "ids", lambda *_: {host: "old"})
    boots.wait_for_others(CLUSTER, {host: "old"}, 0)
