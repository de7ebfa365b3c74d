"""Which cluster and which bucket is asked for what outlives a cluster."""

import pytest

from scripts.cluster import Cluster
from scripts.errors import InputError, NoClusterError
from scripts.hosts import readiness
from scripts.kept import place
from scripts.terraform import outputs
from tests.doubles.fake_hosts import cluster_of

CLUSTER = cluster_of()


def nothing(*_: object) -> Cluster:
    raise NoClusterError("No cluster is up.")


def test_a_cluster_that_is_not_up_or_has_stopped_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "current", lambda: CLUSTER)
    monkeypatch.setattr(readiness, "of_running", lambda cluster: cluster)
    assert place.cluster_at_work() is CLUSTER
    monkeypatch.setattr(readiness, "of_running", nothing)
    assert place.cluster_at_work() is None
    monkeypatch.setattr(outputs, "current", nothing)
    assert place.cluster_at_work() is None


def test_without_settings_nobody_guesses(monkeypatch: pytest.MonkeyPatch) -> None:
    def unset() -> Cluster:
        raise InputError("There are no settings.")

    monkeypatch.setattr(outputs, "current", unset)
    with pytest.raises(InputError):
        place.cluster_at_work()


def test_a_cluster_s_own_bucket_is_asked() -> None:
    assert place.bucket(CLUSTER).name == CLUSTER.bucket
