"""Event logs and notebooks, put into the bucket now."""

import pytest

from scripts.errors import ConfigurationError
from scripts.hosts import kept_files
from tests.doubles.fake_hosts import FakeHosts, cluster_of

CLUSTER = cluster_of()


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> FakeHosts:
    fake = FakeHosts(CLUSTER)
    monkeypatch.setattr(kept_files, "Hosts", fake)
    return fake


def test_the_master_is_asked_to_put_what_is_new(hosts: FakeHosts) -> None:
    hosts.answer_run(CLUSTER.master, "keep-files", {"left": []})
    kept_files.put_now(CLUSTER)
    assert hosts.asked(CLUSTER.master) == ["keep-files"]


def test_a_unit_that_failed_is_named(hosts: FakeHosts) -> None:
    hosts.answer_run(CLUSTER.master, "keep-files", {"left": ["orchard-events.service"]})
    with pytest.raises(ConfigurationError) as refused:
        kept_files.put_now(CLUSTER)
    assert str(refused.value) == (
        "The master could not put all into the bucket (orchard-events.service failed): `make logs` tells more."
    )


def test_a_host_of_an_earlier_orchard_has_left_nothing() -> None:
    assert kept_files.left_of({"bytes": 5}) == ""
