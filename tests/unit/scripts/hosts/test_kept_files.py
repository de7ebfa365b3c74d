"""Event logs and notebooks, put into the bucket now."""

import json

import pytest

from scripts.errors import ConfigurationError
from scripts.hosts import kept_files
from scripts.hosts.orchard_run import NotConfiguredError
from tests.doubles.fake_hosts import FACTS, FakeHosts, cluster_of

CLUSTER = cluster_of()


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> FakeHosts:
    fake = FakeHosts(CLUSTER)
    fake.answer(CLUSTER.master, FACTS, json.dumps({"keeping_units": ["orchard-events.service"]}))
    monkeypatch.setattr(kept_files, "Hosts", fake)
    return fake


def test_the_master_is_asked_to_put_what_is_new(hosts: FakeHosts) -> None:
    hosts.answer_run(CLUSTER.master, "keep-files", {"left": []})
    kept_files.put_now(CLUSTER)
    assert hosts.asked(CLUSTER.master) == [FACTS, "keep-files"]


def test_a_unit_that_failed_is_named(hosts: FakeHosts) -> None:
    hosts.answer_run(CLUSTER.master, "keep-files", {"left": ["orchard-events.service"]})
    with pytest.raises(ConfigurationError) as refused:
        kept_files.put_now(CLUSTER)
    assert str(refused.value) == (
        "The master could not put all into the bucket (orchard-events.service failed): `make logs` tells more."
    )


def test_a_master_of_an_earlier_orchard_is_said_to_keep_none(hosts: FakeHosts) -> None:
    hosts.answer(CLUSTER.master, FACTS, json.dumps({"ports": {}}))
    with pytest.raises(NotConfiguredError) as refused:
        kept_files.put_now(CLUSTER)
    assert str(refused.value) == "The master does not keep notebooks and event logs yet: `make up` mends it."
    assert refused.value.reason == kept_files.left_of({"bytes": 5}) == kept_files.KEEPS_NONE


def test_where_all_was_put_nothing_is_left() -> None:
    assert kept_files.left_of({"bytes": 5, "left": []}) == ""
