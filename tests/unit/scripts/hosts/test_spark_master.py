"""What the Spark master says of itself, by way of orchard-run."""

from scripts.hosts.spark_master import MasterState, executors_on, master_state
from tests.doubles.fake_hosts import FakeHosts, cluster_of


def test_the_masters_state_is_read_and_none_while_it_does_not_answer() -> None:
    hosts = FakeHosts(cluster_of())
    state = {"alive": ["10.0.0.6"], "applications": ["notebook"], "cores": 4}
    hosts.answer_run(hosts.cluster.master, "master-state", None, state)
    assert master_state(hosts, hosts.cluster) is None
    assert master_state(hosts, hosts.cluster) == MasterState(frozenset({"10.0.0.6"}), ("notebook",), 4)


def test_a_workers_executors_are_counted_on_the_master() -> None:
    hosts = FakeHosts(cluster_of())
    hosts.answer_run(hosts.cluster.master, "executors 10.0.0.6", 2, None)
    assert executors_on(hosts, hosts.cluster, "10.0.0.6") == 2
    assert executors_on(hosts, hosts.cluster, "10.0.0.6") is None
