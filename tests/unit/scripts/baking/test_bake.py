"""`make bake`: its hosts are made, used and taken away however it ends, and nothing else is touched."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from scripts import console, lock, tfvars
from scripts.aws import clients
from scripts.baking import bake
from scripts.errors import AwsError, BusyError, ConfigurationError, InputError
from scripts.hosts import ansible, host_keys, readiness
from scripts.images import contents, shelf
from scripts.images.shelf import Image
from scripts.lifecycle import ends, plan, up
from scripts.terraform import outputs, workspace
from scripts.terraform.workspace import Plan
from tests.doubles.fake_hosts import cluster_of

CLUSTER = cluster_of(workers=2)
TERRAFORM = Path(bake.__file__).resolve().parents[2] / "terraform" / "bake.tf"
MADE_OF, NOW = "0123456789abcdef", datetime(2026, 11, 26, tzinfo=UTC)
MASTER, WORKER = "master-x86_64-debian12", "worker-x86_64-debian12"


class World:
    """Terraform, AWS and the hosts of a bake; `steps` is what was done to them, in order."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.state: list[str] = []
        self.images: list[Image] = []
        self.fails: dict[str, BaseException] = {}
        self.others: dict[str, str] = {}
        self.yes = False
        self.settings: dict[str, Any] = {"region": "eu-west-1", "ami_id": None}
        self.release: str | None = "12"

    def does(self, step: str) -> None:
        self.steps.append(step)
        if step in self.fails:
            raise self.fails[step]

    def plan_for(self, name: str, _: str, replacing: Any = (), targets: Any = (), baking: bool = False) -> Plan:
        assert (name, targets) == ("fruits", ("aws_instance.bake",))
        wished = set(bake.HOSTS) if baking else set()
        changes = {address: "replace" for address in self.state if address in replacing}
        changes |= dict.fromkeys(wished - set(self.state), "create")
        changes |= dict.fromkeys(set(self.state) - wished, "delete")
        return Plan(changes | self.others, {}, {}, bool(changes), Path("next.tfplan"))

    def apply(self, _: str, planned: Plan, __: Any) -> str:
        actions = sorted(set(planned.changes.values()))
        self.does(f"{' and '.join(actions)} hosts" if actions else "no hosts")
        for address, action in planned.changes.items():
            if action == "delete":
                self.state.remove(address)
            elif action == "create":
                self.state.append(address)
        return "done"

    def create(self, _: str, instance_id: str, __: str, ___: Any, image: tuple[str, str]) -> str:
        self.does(f"image of {instance_id}")
        kind, made_of = image
        made = Image(f"ami-{len(self.images)}", "n", kind, made_of, NOW, "available", (), True)
        self.images.append(made)
        return made.id

    def outputs(self) -> dict[str, Any]:
        bakers = {
            role: {"name": f"bake-{role}", "id": f"i-{role}", "private_ip": "10.0.0.9", "public_ip": None}
            for role in shelf.ROLES
        }
        return {"bake": bakers} | ({"debian_release": self.release} if self.release else {})

    def state_list(self) -> list[str]:
        return ["aws_instance.master", *self.state]

    # boto3's

    def stop_instances(self, InstanceIds: list[str]) -> None:  # noqa: N803  as boto3 has it
        self.does(f"stop {' '.join(InstanceIds)}")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    """No image is there, and a cluster that runs."""
    made = World()

    @contextmanager
    def noted(*words: Any, **_: Any) -> Iterator[None]:
        made.steps.append(f"hold for {words[-1]}")
        yield
        made.steps.append("let go")

    monkeypatch.setattr(console, "LOGS", tmp_path)
    monkeypatch.setattr(console, "ask", lambda _: made.yes)
    monkeypatch.setattr(tfvars, "read", lambda: {"cluster_name": "fruits"})
    monkeypatch.setattr(tfvars, "setting", lambda name: made.settings[name])
    monkeypatch.setattr(lock, "changing", noted)
    monkeypatch.setattr(ends, "put_off", noted)
    monkeypatch.setattr(plan, "check", lambda _: "")
    monkeypatch.setattr(plan, "plan_for", made.plan_for)
    monkeypatch.setattr(up, "apply", made.apply)
    monkeypatch.setattr(workspace, "Workspace", lambda _: made)
    monkeypatch.setattr(outputs, "current", lambda: CLUSTER)
    monkeypatch.setattr(contents, "of_checkout", lambda: MADE_OF)
    monkeypatch.setattr(readiness, "runs", lambda _: True)
    monkeypatch.setattr(readiness, "described", lambda _: {"master": {"Architecture": "x86_64"}})
    monkeypatch.setattr(readiness, "connect", lambda baking: made.does(f"connect {[h.name for h in baking.hosts]}"))
    monkeypatch.setattr(readiness, "wait_for_state", lambda _, state, __: made.does(f"wait until {state}"))
    monkeypatch.setattr(ansible, "prepare_images", lambda *_: made.does("play"))
    monkeypatch.setattr(host_keys, "forget", lambda *_: None)
    monkeypatch.setattr(clients, "client", lambda *_: made)
    monkeypatch.setattr(shelf, "images", lambda *_: list(made.images))
    monkeypatch.setattr(shelf, "create", made.create)
    monkeypatch.setattr(shelf, "cost", lambda *_: "It costs.")
    monkeypatch.setattr(shelf, "wait_for", lambda _, __, ids, ___: [i for i in made.images if i.id in ids])
    monkeypatch.setattr(shelf, "remove", lambda _, going: [made.images.remove(image) for image in going])
    monkeypatch.setattr(shelf, "remove_all", lambda *_: [made.images.pop() for _ in list(made.images)])
    return made


def image(kind: str, made_of: str = MADE_OF, state: str = "available") -> Image:
    return Image(f"ami-{kind}-{made_of}-{state}", "n", kind, made_of, NOW, state, (), True)


def test_hosts_are_made_played_stopped_and_taken_away_beside_a_cluster_that_is_kept_from_its_end(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    bake.bake()
    assert world.steps == [
        "hold for bake",
        "hold for bake",
        "create hosts",
        "connect ['bake-master', 'bake-worker']",
        "play",
        "stop i-master i-worker",
        "wait until stopped",
        "image of i-master",
        "image of i-worker",
        "delete hosts",
        "let go",
        "let go",
    ]
    assert {image.kind for image in world.images} == {MASTER, WORKER}
    said = capsys.readouterr().out
    assert "ami-0  baked 2026-11-26" in said
    assert "It costs." in said


def test_where_images_of_this_checkout_are_there_no_host_is_made(world: World) -> None:
    world.images = [image(MASTER), image(WORKER, state="pending")]
    bake.bake()
    assert world.steps == ["hold for bake", "let go"]


def test_one_that_is_missing_is_made_and_the_other_stays(world: World) -> None:
    world.images = [image(MASTER)]
    bake.bake()
    assert [step for step in world.steps if step.startswith("image")] == ["image of i-worker"]


def test_one_that_came_to_nothing_gives_its_name_free(world: World) -> None:
    world.images = [image(MASTER), image(WORKER, state="failed")]
    bake.bake()
    assert [found.state for found in world.images] == ["available", "available"]


def test_images_of_another_architecture_are_none_of_these(world: World) -> None:
    world.images = [image("master-arm64-debian12"), image("worker-arm64-debian12")]
    bake.bake()
    assert {MASTER, WORKER} <= {found.kind for found in world.images}


def test_images_of_other_versions_go_once_the_new_ones_are_ready(world: World) -> None:
    world.images = [image(MASTER, "another"), image(WORKER, "another")]
    bake.bake()
    assert {found.contents for found in world.images} == {MADE_OF}


def test_where_the_bake_fails_the_older_images_stay(world: World) -> None:
    world.images = [image(MASTER, "another")]
    world.fails["play"] = ConfigurationError("no")
    with pytest.raises(ConfigurationError):
        bake.bake()
    assert [found.contents for found in world.images] == ["another"]


@pytest.mark.parametrize("step", ["create hosts", "play", "stop i-master i-worker", "image of i-worker"])
@pytest.mark.parametrize("stop", [KeyboardInterrupt, ConfigurationError])
def test_however_a_bake_ends_its_hosts_are_taken_away(world: World, step: str, stop: type[BaseException]) -> None:
    world.fails[step] = stop("no")
    if step == "create hosts":
        # One of them is there by then.
        world.state = [bake.HOSTS[0]]
        world.yes = True
        world.fails = {"create and replace hosts": stop("no")}
    with pytest.raises(stop):
        bake.bake()
    assert world.state == []
    assert "delete hosts" in world.steps


def test_what_ended_a_bake_is_told_and_that_its_hosts_are_there_yet_beside_it(world: World) -> None:
    world.fails = {"play": ConfigurationError("the mirror is away"), "delete hosts": AwsError("AWS is away.")}
    with pytest.raises(ConfigurationError, match="the mirror is away") as told:
        bake.bake()
    [note] = told.value.__notes__
    assert "are not taken away yet (AWS is away.): the next `make bake`, `make up` or `make down` does it" in note


def test_hosts_of_another_bake_are_not_trodden_on_without_a_yes(world: World) -> None:
    world.state = list(bake.HOSTS)
    with pytest.raises(BusyError, match="within 90 minutes"):
        bake.bake()
    assert world.state == list(bake.HOSTS)
    world.yes = True
    bake.bake()
    assert "replace hosts" in world.steps
    assert world.state == []


def test_a_plan_that_would_touch_the_cluster_is_refused(world: World) -> None:
    world.others = {"aws_security_group.nodes": "update"}
    with pytest.raises(BusyError, match=r"change the cluster, too \(update aws_security_group.nodes\)"):
        bake.bake()
    assert not [step for step in world.steps if "hosts" in step]


def test_with_an_image_of_ones_own_there_is_nothing_to_bake(world: World) -> None:
    world.settings["ami_id"] = "ami-0mine"
    with pytest.raises(InputError, match="ami_id names an image of your own"):
        bake.bake()


def test_a_cluster_of_an_earlier_orchard_is_made_anew_first(world: World) -> None:
    world.release = None
    with pytest.raises(BusyError, match="`make up`, then `make bake`"):
        bake.bake()


def test_clean_takes_images_away_and_hosts_that_are_left(world: World) -> None:
    world.images = [image(MASTER), image(WORKER, "another")]
    world.state = list(bake.HOSTS)
    bake.bake(clean=True)
    assert (world.images, world.state) == ([], [])


def test_the_hour_of_their_own_end_is_terraforms() -> None:
    assert f"bake_minutes = {bake.ALONE_MINUTES}\n" in TERRAFORM.read_text()


def test_a_host_of_a_bake_is_named_as_such_in_a_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = dict.fromkeys(bake.HOSTS, "delete") | {"aws_instance.master": "update"}
    planned = replace(Plan(changes, {}, {}, True, Path("x")), stops=frozenset())
    assert plan.groups(planned)[-1] == "delete: bake-master, bake-worker"
    # Nothing that is at work ends with it.
    assert plan._going(planned) == {}
