"""The cluster's status, put together from what EC2 and the master say."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from scripts.aws import resources
from scripts.cluster import Cluster
from scripts.errors import HostError, NoClusterError
from scripts.hosts import keeper
from scripts.hosts.spark_master import MasterState
from scripts.lifecycle import status
from scripts.lifecycle.status import RunStatus, lines, status_of
from scripts.money.prices import Price
from scripts.runs.progress import Progress
from tests.doubles.fake_hosts import cluster_of
from tests.doubles.fake_terraform import FakeTerraform

STARTED = datetime(2026, 1, 1, tzinfo=UTC)
NOW = STARTED.timestamp() + 7200
CLUSTER = cluster_of(workers=2)
PRICE = Price(0.9, "USD", "a table")
ONE_ALIVE = MasterState(frozenset({"10.0.0.6"}), (), 8)


def instances(state: str = "running") -> dict[str, dict[str, Any]]:
    """EC2's descriptions of the hosts."""
    return {
        host.id: {
            "InstanceId": host.id,
            "State": {"Name": state},
            "InstanceType": "m6i.large",
            "LaunchTime": STARTED,
            # The last one has lost its own.
            **({} if host.name == "worker-2" else {"PublicIpAddress": host.public_ip}),
        }
        for host in CLUSTER.hosts
    }


def test_workers_alive_are_counted_and_the_cost_is_the_time_since_the_start() -> None:
    found = status_of(CLUSTER, instances(), ONE_ALIVE, (), PRICE, NOW)
    assert (found.state, found.workers, found.workers_alive) == ("running", 2, 1)
    assert [host.is_alive for host in found.hosts] == [None, True, False]
    assert found.cost_so_far == pytest.approx(1.8)


def test_a_person_reads_it_in_a_few_lines() -> None:
    run = RunStatus("r", 90, Progress("Features", 120, 300, "pictures", 30, "images/s", 6))
    assert lines(status_of(CLUSTER, instances(), ONE_ALIVE, (run,), PRICE, NOW)) == [
        "Cluster fruits in eu-west-1: running for 2 h 0 min; workers alive: 1 of 2",
        "  master    running  m6i.large  198.51.100.5  10.0.0.5",
        "  worker-1  running  m6i.large  198.51.100.6  10.0.0.6  alive",
        "  worker-2  running  m6i.large  -             10.0.0.7  not alive",
        "Run r for 1 min 30 s: 120 of 300 pictures, 30 images/s, 6 s left",
        "Price: 0.90 USD an hour; about 1.80 USD since its start.",
    ]


def test_hosts_that_a_run_lost_and_workers_that_aws_takes_back_have_a_line_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(status.ends, "lines", lambda *_: ["Held by run r."])
    run = RunStatus("r", 90, None, ("worker-2 was lost at 10:00:00 UTC: 96 pictures are done again.\x1b[2J",))
    told = keeper.Ends(*[None] * 13, notices=("AWS takes worker-1 back at 10:30 UTC (spot).",))
    said = lines(replace(status_of(CLUSTER, instances(), ONE_ALIVE, (run,), PRICE, NOW), ends=told))
    assert said[4:8] == [
        "Run r for 1 min 30 s: starting",
        "  worker-2 was lost at 10:00:00 UTC: 96 pictures are done again.\\x1b[2J",
        "Held by run r.",
        "AWS takes worker-1 back at 10:30 UTC (spot).",
    ]


def test_a_rehearsal_is_said_first() -> None:
    found = replace(status_of(CLUSTER, instances(), ONE_ALIVE, (), PRICE, NOW), rehearsal="REHEARSAL: not AWS.")
    assert lines(found)[0] == "REHEARSAL: not AWS."


def test_a_stopped_cluster_has_no_workers_alive_and_no_uptime() -> None:
    found = status_of(CLUSTER, instances("stopped"), None, (), PRICE, NOW)
    assert (found.state, found.workers_alive, found.uptime_seconds) == ("stopped", None, None)


def test_what_is_paid_for_is_what_runs_and_the_disks_that_are_there() -> None:
    disk = 20 * 0.088 / 730
    assert price(instances("stopped")) == pytest.approx(3 * disk)
    # Spot workers are no more once the master has stopped.
    gone = instances("terminated") | {"i-00": instances("stopped")["i-00"]}
    assert price(gone) == pytest.approx(disk)
    # The master stopped, and a worker that still runs.
    rest = instances("stopped") | {"i-01": instances()["i-01"]}
    assert price(rest) == pytest.approx(3 * disk + 0.107 + 0.005)


def price(described: dict[str, dict[str, Any]]) -> float:
    found = status._price(CLUSTER, described)
    assert found
    return found.per_hour


def test_a_host_that_is_no_more_is_said_to_be_gone() -> None:
    missing = {host: description for host, description in instances().items() if host != "i-02"}
    found = status_of(CLUSTER, missing, ONE_ALIVE, (), PRICE, NOW)
    assert found.hosts[2].state == "gone"


def test_without_a_known_price_it_says_so() -> None:
    said = lines(status_of(CLUSTER, instances(), ONE_ALIVE, (), None, NOW))
    assert said[-1] == "Price: not known for these instance types."


class Unreachable:
    """Connections to hosts of which none can be reached."""

    def __init__(self, _: Cluster) -> None:
        pass

    def __enter__(self) -> None:
        raise HostError("master at 203.0.113.10 cannot be reached.")

    def __exit__(self, *_: object) -> None:
        pass


def test_a_master_that_cannot_be_reached_leaves_its_part_unknown(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(status, "Hosts", Unreachable)
    status.show(cluster, as_json=True)
    printed = capsys.readouterr()
    now = json.loads(printed.out)
    assert (now["state"], now["workers"], now["workers_alive"], now["runs"]) == ("running", 1, None, None)
    assert [host["type"] for host in now["hosts"]] == ["m6i.large", "m6i.large"]
    assert printed.err == "master at 203.0.113.10 cannot be reached.\n"


def test_hosts_that_are_stopped_are_not_asked(
    cluster: Cluster, aws: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    aws("ec2").stop_instances(InstanceIds=[host.id for host in cluster.hosts])
    monkeypatch.setattr(status, "Hosts", Unreachable)
    status.show(cluster, as_json=False)
    printed = capsys.readouterr()
    assert printed.out.startswith("Cluster fruits in eu-west-1: stopped; workers alive: unknown\n")
    assert printed.err == ""


@pytest.fixture
def half_made(named: Cluster, terraform: FakeTerraform) -> Cluster:
    """Instances that run, and a Terraform that tells nothing of workers."""
    terraform.is_half_made = True
    return named


def test_of_a_cluster_that_is_not_whole_the_instances_are_listed_with_price_and_next_step(
    half_made: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    status.show_what_there_is(as_json=False)
    first, master, worker, price, step = capsys.readouterr().out.splitlines()
    assert first == "Cluster fruits in eu-west-1 is not whole; AWS has these hosts of it:"
    assert master.split()[:3] == ["master", "running", "m6i.large"]
    assert worker.split()[:3] == ["worker-1", "running", "m6i.large"]
    assert price == "Price: 0.23 USD an hour."
    assert step == "Next: `make up` goes on with it, `make down` takes it away."


def test_a_rehearsal_of_half_a_cluster_is_said_first(
    half_made: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(status.clients, "rehearsal", lambda *_: "REHEARSAL: not AWS.")
    status.show_what_there_is(as_json=False)
    assert capsys.readouterr().out.startswith("REHEARSAL: not AWS.\nCluster fruits in eu-west-1 is not whole")


def test_programs_are_told_of_it_too(half_made: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    status.show_what_there_is(as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["cluster"], found["state"], [host["id"] for host in found["hosts"]]) == (
        "fruits",
        "not whole",
        [host.id for host in half_made.hosts],
    )
    assert found["price_per_hour"] == pytest.approx(0.214 + 0.01 + 16 * 0.088 / 730)


def test_what_another_laptop_made_is_listed_too(
    terraform: FakeTerraform, instances: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    status.show_what_there_is(as_json=False)
    said = capsys.readouterr().out
    assert all(identity in said for identity in instances)


def test_where_nothing_is_there_at_all_no_cluster_is_up(terraform: FakeTerraform) -> None:
    with pytest.raises(NoClusterError, match=r"No cluster is up by the name fruits: run `make up`\."):
        status.show_what_there_is(as_json=False)


def test_a_whole_cluster_is_shown_as_ever(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(status, "Hosts", Unreachable)
    status.show_what_there_is(as_json=False)
    assert capsys.readouterr().out.startswith("Cluster fruits in eu-west-1: running for ")


def test_runs_that_nobody_could_ask_for_are_not_said_to_be_none() -> None:
    said = lines(status_of(CLUSTER, instances(), None, None, PRICE, NOW))
    assert "Whether a run is under way is not known." in said
    assert "No run is under way." in lines(status_of(CLUSTER, instances("stopped"), None, None, PRICE, NOW))


def test_a_keeper_that_cannot_be_asked_hides_nothing_else(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_keeper(_: Any) -> None:
        raise keeper.NoKeeperError(keeper.NO_KEEPER)

    monkeypatch.setattr(keeper, "ends", no_keeper)
    monkeypatch.setattr(status, "master_state", lambda *_: ONE_ALIVE)
    monkeypatch.setattr(status, "_runs", lambda _: (RunStatus("r", 90, None),))
    status.show(cluster, as_json=False)
    printed = capsys.readouterr()
    assert "Run r for 1 min 30 s: starting" in printed.out
    assert printed.err == "The master has no keeper yet: `make up` puts one there.\n"


def test_hosts_that_images_are_made_of_are_named_beside_the_cluster(named: Cluster, aws: Callable[[str], Any]) -> None:
    baker = named.workers[0].id
    aws("ec2").create_tags(Resources=[baker], Tags=[{"Key": "Role", "Value": "bake"}])
    assert resources.bakers(named.region, named.name) == [baker]
    found = replace(status_of(named, {}, None, (), None, 0.0), bakers=(baker,))
    assert any(line.startswith(f"Beside it, images are made of {baker}: where no") for line in lines(found))
