"""`make up`: converges from wherever the last time stopped."""

from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from scripts.aws import resources
from scripts.aws.clients import client
from scripts.cluster import Cluster
from scripts.errors import AwsError, BusyError, ConfigurationError, InputError, MissingError
from scripts.hosts import ansible, host_keys, readiness
from scripts.lifecycle import up
from scripts.money import bounds
from scripts.repair import answering
from scripts.terraform import validation
from scripts.terraform.placement import SUBNET
from scripts.terraform.workspace import Placement
from tests.doubles.fake_terraform import FakeTerraform
from tests.unit.scripts.conftest import REGION
from tests.unit.scripts.lifecycle.conftest import WISHED, FakeHosts


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts that run as soon as Terraform has made them."""
    monkeypatch.setattr(readiness, "states", lambda cluster: {host.name: "running" for host in cluster.hosts})


def test_a_first_up_makes_the_machines_before_it_works_on_them(
    terraform: FakeTerraform, hosts: FakeHosts, running: None, capsys: pytest.CaptureFixture[str]
) -> None:
    up.up()
    assert list(terraform.state) == list(WISHED)
    assert hosts.steps == ["make the key", "connect", "configure", "verify"]
    said = capsys.readouterr().out
    assert "4 to create; new key" in said
    assert "Next: make upload DATA=folder, then make run." in said


def test_up_goes_on_after_terraform_failed_in_the_middle(
    terraform: FakeTerraform, hosts: FakeHosts, running: None, capsys: pytest.CaptureFixture[str]
) -> None:
    terraform.fails_at = "aws_instance.worker[0]"
    with pytest.raises(AwsError) as failure:
        up.up()
    assert failure.value.code == 4
    assert list(terraform.state) == list(WISHED[:3])
    assert hosts.steps == ["make the key"]
    terraform.fails_at = None
    up.up()
    assert "1 to create" in capsys.readouterr().out
    assert set(terraform.state) == set(WISHED)
    assert hosts.steps[-3:] == ["connect", "configure", "verify"]


def test_up_goes_on_after_ansible_failed(terraform: FakeTerraform, hosts: FakeHosts, running: None) -> None:
    hosts.failing = {"configure": ConfigurationError("worker-1 could not be configured.")}
    with pytest.raises(ConfigurationError):
        up.up()
    assert "verify" not in hosts.steps
    hosts.failing = {}
    up.up()
    assert terraform.calls == ["plan", "apply", "plan"]
    assert hosts.steps[-2:] == ["configure", "verify"]


def test_a_stopped_host_is_started_and_terraform_learns_its_new_address(
    cluster: Cluster, terraform: FakeTerraform, hosts: FakeHosts
) -> None:
    ec2 = client("ec2", REGION)
    ec2.stop_instances(InstanceIds=[cluster.workers[0].id])
    up.up()
    assert terraform.calls == ["plan", "refresh"]
    assert set(readiness.states(cluster).values()) == {"running"}
    assert hosts.steps[-3:] == ["connect", "configure", "verify"]


def test_a_host_that_does_not_come_back_is_replaced_and_nothing_else_is(
    cluster: Cluster,
    terraform: FakeTerraform,
    hosts: FakeHosts,
    running: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def connect(found: Cluster, replace: answering.Replace) -> Cluster:
        return replace([found.workers[0]])

    monkeypatch.setattr(answering, "connect", connect)
    terraform.calls.clear()
    up.up()
    assert terraform.calls == ["plan", "plan", "apply"]
    assert terraform.replaced == ["aws_instance.worker[0]"]
    assert hosts.steps == ["make the key", "configure", "verify"]
    assert " s  1 of 1 done: worker-1 made anew\n" in capsys.readouterr().out


def test_a_worker_that_is_no_more_is_made_anew(
    cluster: Cluster, terraform: FakeTerraform, hosts: FakeHosts, running: None, capsys: pytest.CaptureFixture[str]
) -> None:
    client("ec2", REGION).terminate_instances(InstanceIds=[cluster.workers[0].id])
    # As Terraform's look at AWS has it.
    del terraform.state["aws_instance.worker[0]"]
    up.up()
    assert "1 to create" in capsys.readouterr().out
    assert "aws_instance.worker[0]" in terraform.state
    assert hosts.steps[-3:] == ["connect", "configure", "verify"]


def test_settings_that_terraform_refuses_end_it_before_anything_is_made(
    terraform: FakeTerraform, hosts: FakeHosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: str) -> None:
        raise InputError("terraform.tfvars: root_volume_gb is a whole number.")

    monkeypatch.setattr(validation, "check", refuse)
    with pytest.raises(InputError):
        up.up()
    assert (terraform.calls, hosts.steps) == ([], [])


FULL = "InsufficientInstanceCapacity"
PLACES = tuple(Placement(f"{REGION}{zone}", kind, False) for kind in ("c6i.2xlarge", "m6i.large") for zone in "ba")


@pytest.fixture
def places(terraform: FakeTerraform, running: None) -> FakeTerraform:
    """Settings that allow two zones and two types, with a network of the cluster's own."""
    terraform.wished.insert(1, SUBNET)
    terraform.placements = PLACES
    return terraform


def test_a_first_up_goes_to_the_zone_that_has_room_with_all_its_hosts(
    places: FakeTerraform, hosts: FakeHosts, capsys: pytest.CaptureFixture[str]
) -> None:
    places.no_room = {("aws_instance.worker[0]", PLACES[0]): FULL}
    up.up()
    assert {there.zone for there in places.placed.values()} == {f"{REGION}a"}
    assert set(places.placed) == {SUBNET, *WISHED[2:]}
    assert hosts.steps == ["make the key", "connect", "configure", "verify"]
    said = capsys.readouterr().out
    assert (
        f"worker-1 could not be started in {REGION}b: AWS has none left in this zone just now ({FULL}). Trying "
        f"{REGION}a; hosts that were made are made again there.\n"
    ) in said
    # Another zone costs the same.
    assert "Price: " not in said


def test_the_price_is_said_anew_with_another_type_and_the_next_up_leaves_it(
    places: FakeTerraform, capsys: pytest.CaptureFixture[str]
) -> None:
    places.no_room = {("aws_instance.worker[0]", place): FULL for place in PLACES[:2]}
    up.up()
    assert places.placed["aws_instance.worker[0]"] == PLACES[3]
    said = capsys.readouterr().out
    assert f"Trying m6i.large, on demand, {REGION}a.\n" in said
    [price] = [line for line in said.splitlines() if line.startswith("Price: ")]
    places.no_room, places.calls = {}, []
    up.up()
    assert places.calls == ["plan", "plan"], "once by the first wish, and once by what is there"
    assert places.placed["aws_instance.worker[0]"] == PLACES[3]
    assert price.startswith("Price: 0.2"), "two m6i.large"


def test_a_cluster_that_is_there_is_not_moved(places: FakeTerraform) -> None:
    places.placed = dict.fromkeys([SUBNET, "aws_instance.master"], PLACES[0])
    places.state = dict.fromkeys([SUBNET, *WISHED[:3]], "there")
    places.no_room = {("aws_instance.worker[0]", place): FULL for place in (PLACES[0], PLACES[2])}
    with pytest.raises(AwsError, match="worker-1 could not be started") as failure:
        up.up()
    assert failure.value.code == 4
    assert places.placed["aws_instance.master"] == PLACES[0]
    # The first plan leaves the type to Terraform; the other names what is tried next.
    first, other = [variables["placement"] for variables in places.planned_with]
    assert (first, other["zone"], len(other)) == ({"zone": f"{REGION}b"}, f"{REGION}b", 3)
    assert "`make up` goes on where it tried last; `make down`, then `make up` choose anew." in notes_of(failure.value)


def notes_of(error: BaseException) -> list[str]:
    """What follows the error's own sentence."""
    return getattr(error, "__notes__", [])


@pytest.mark.parametrize("error", [ConfigurationError("worker-1 could not be configured."), KeyboardInterrupt()])
def test_what_runs_by_then_and_its_price_follow_whatever_ends_it(
    cluster: Cluster, hosts: FakeHosts, running: None, error: BaseException
) -> None:
    hosts.failing = {"configure": error}
    with pytest.raises(type(error)) as ended:
        up.up()
    [note] = notes_of(ended.value)
    ids = [host.id for host in cluster.hosts]
    assert note.startswith(f"Running now: {', '.join(f'{name} (m6i.large)' for name in sorted(ids))}; 0.2")
    assert note.endswith(". `make down` takes it all away.")


def test_hosts_are_called_by_their_names_and_only_those_that_run_are_paid_for(named: Cluster) -> None:
    client("ec2", REGION).stop_instances(InstanceIds=[named.master.id])
    disks, address = 2 * 8 * 0.088 / 730, 0.005
    price = f"{0.107 + address + disks:.2f}"
    [line] = bounds.of_what_runs("fruits")
    assert line.startswith(f"Running now: worker-1 (m6i.large); {price} USD an hour by a table copied on ")


def test_an_up_that_made_nothing_says_nothing_of_what_runs(
    terraform: FakeTerraform, monkeypatch: pytest.MonkeyPatch
) -> None:
    terraform.fails_at = WISHED[0]
    with pytest.raises(AwsError) as failure:
        up.up()
    assert notes_of(failure.value) == []


def test_where_aws_does_not_tell_what_runs_the_error_stays_as_it_is(
    cluster: Cluster, hosts: FakeHosts, running: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: str) -> None:
        raise ClientError({"Error": {"Code": "UnauthorizedOperation"}}, "DescribeInstances")

    monkeypatch.setattr(resources, "instances", refuse)
    hosts.failing = {"configure": ConfigurationError("worker-1 could not be configured.")}
    with pytest.raises(ConfigurationError) as failure:
        up.up()
    assert notes_of(failure.value) == []


def test_settings_that_broke_meanwhile_do_not_hide_the_error(
    cluster: Cluster, running: None, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_and_fail(*_: object) -> int:
        (checkout / "terraform" / "terraform.tfvars").write_text("{")
        raise ConfigurationError("worker-1 could not be configured.")

    monkeypatch.setattr(ansible, "configure", break_and_fail)
    with pytest.raises(ConfigurationError):
        up.up()


GOES = [
    ({"aws_instance.worker[0]": "replace"}, set(), "replace worker-1"),
    ({"aws_instance.master": "update"}, {"aws_instance.master"}, "stop and start again master"),
    (
        {"aws_instance.master": "replace", "aws_instance.worker[0]": "delete"},
        set(),
        "replace master and delete worker-1",
    ),
]


@pytest.mark.parametrize(("changed", "stops", "would"), GOES)
def test_no_host_goes_from_under_what_is_at_work_unless_somebody_says_so(
    cluster: Cluster,
    terraform: FakeTerraform,
    hosts: FakeHosts,
    running: None,
    changed: dict[str, str],
    stops: set[str],
    would: str,
) -> None:
    terraform.changed, terraform.stops = changed, frozenset(stops)
    hosts.at_work = ["run r"]
    with pytest.raises(BusyError) as refused:
        up.up()
    assert refused.value.code == 8
    assert str(refused.value) == (
        f"At work on the cluster: run r. This would {would}. Do it all the same? Nobody is here to answer: say YES=1 "
        "to go on."
    )
    assert terraform.calls == ["plan"]
    assert "connect" not in hosts.steps


def test_with_a_yes_the_run_ends_kindly_before_its_master_goes(
    cluster: Cluster, terraform: FakeTerraform, hosts: FakeHosts, running: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YES", "1")
    hosts.at_work = ["run r"]
    terraform.changed = {"aws_instance.worker[0]": "replace"}
    up.up()
    assert "end the runs" not in hosts.steps
    terraform.changed = {"aws_instance.master": "replace"}
    up.up()
    assert terraform.calls == ["plan", "apply"] * 2
    assert hosts.steps[-5:] == ["make the key", "end the runs", "connect", "configure", "verify"]


@pytest.mark.parametrize("changed", [{}, {"aws_instance.master": "update"}, {"aws_instance.worker[1]": "create"}])
def test_what_leaves_the_hosts_alone_is_done_beside_what_is_at_work(
    cluster: Cluster, terraform: FakeTerraform, hosts: FakeHosts, running: None, changed: dict[str, str]
) -> None:
    terraform.changed, hosts.at_work = changed, ["run r"]
    up.up()
    assert hosts.steps[-1] == "verify"


def test_hosts_go_without_a_question_where_nothing_is_at_work(
    cluster: Cluster, terraform: FakeTerraform, hosts: FakeHosts, running: None
) -> None:
    terraform.changed = {"aws_instance.worker[0]": "replace"}
    up.up()
    assert terraform.calls == ["plan", "apply"]


def test_a_second_laptop_makes_no_key_that_no_host_takes(
    cluster: Cluster, terraform: FakeTerraform, hosts: FakeHosts, running: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_keys, "has_pair", lambda _: False)
    terraform.state["aws_key_pair.admin"] = "orchard-fruits"
    with pytest.raises(MissingError) as refused:
        up.up()
    assert refused.value.code == 3
    key = host_keys.private_key_path("fruits")
    assert str(refused.value) == (
        f"Cluster fruits was made from another laptop, whose key its hosts take: copy .orchard/fruits/id_ed25519 from "
        f"there to {key}, then again."
    )
    assert (terraform.calls, hosts.steps) == ([], [])


def test_where_no_host_knows_a_key_yet_another_is_made(
    terraform: FakeTerraform, hosts: FakeHosts, running: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_keys, "has_pair", lambda _: False)
    terraform.state["aws_key_pair.admin"] = "orchard-fruits"
    terraform.wished.append("aws_key_pair.admin")
    up.up()
    assert hosts.steps[0] == "make the key"


def test_a_key_pair_that_the_hosts_do_not_take_does_not_replace_theirs(
    cluster: Cluster, terraform: FakeTerraform, hosts: FakeHosts, running: None
) -> None:
    terraform.changed = {"aws_key_pair.admin": "replace"}
    with pytest.raises(MissingError, match=r"^The hosts of cluster fruits take another key than ") as refused:
        up.up()
    assert refused.value.code == 3
    assert terraform.calls == ["plan"]
    # Hosts that are all made anew take the new one.
    terraform.changed |= {"aws_instance.master": "replace", "aws_instance.worker[0]": "replace"}
    up.up()
    assert terraform.calls == ["plan", "plan", "apply"]
