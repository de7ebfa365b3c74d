"""Lost workers made anew: what Terraform and Ansible are asked for, and what is refused."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from scripts.cluster import Host
from scripts.errors import BusyError, HostError, UnpinnedError
from scripts.healing import workers
from scripts.hosts import ansible, host_keys, readiness
from scripts.lifecycle import plan, up
from scripts.terraform import outputs
from scripts.terraform.workspace import Plan
from tests.doubles.fake_hosts import cluster_of

CLUSTER = cluster_of(workers=2)
SECOND = CLUSTER.workers[1]
INSTANCE, SCHEDULE = "aws_instance.worker[1]", "aws_scheduler_schedule.worker[1]"
ANEW = {INSTANCE: "create", SCHEDULE: "update"}


class Steps(list[str]):
    """What was done, in order; `changes` is what Terraform plans."""

    changes: dict[str, str] = ANEW
    unchanged: tuple[str, ...] = ()


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    done = Steps()

    def plan_for(name: str, admin_cidr: str, replacing: Any = (), alone: Any = ()) -> Plan:
        done.append(f"plan {names(alone)}{', replacing' if replacing else ''}")
        values: dict[str, Any] = {address: {} for address in (*done.changes, *done.unchanged)}
        return Plan(done.changes, {}, values, True, Path("next.tfplan"))

    @contextmanager
    def hosts(_: Any) -> Iterator[None]:
        yield

    monkeypatch.setattr(plan, "plan_for", plan_for)
    monkeypatch.setattr(up, "apply", lambda *_: done.append("apply"))
    monkeypatch.setattr(outputs, "current", lambda: CLUSTER)
    monkeypatch.setattr(host_keys, "forget", lambda _, gone: done.append(f"forget {names(gone)}"))
    monkeypatch.setattr(host_keys, "pin", lambda *_: done.append("pin"))
    monkeypatch.setattr(readiness, "wait_for_ssh", lambda _, __, of: done.append(f"ssh {names(of)}"))
    monkeypatch.setattr(ansible, "require_same_software", lambda _: done.append("same"))
    monkeypatch.setattr(ansible, "configure", lambda _, __, only: done.append(f"ansible {names(only)}"))
    monkeypatch.setattr(workers, "Hosts", hosts)
    monkeypatch.setattr(
        readiness, "wait_for_workers", lambda _, cluster, __: done.append(f"registered {names(cluster.workers)}")
    )
    return done


def names(hosts: tuple[Host, ...]) -> str:
    return " ".join(host.name for host in hosts)


@pytest.mark.parametrize(
    ("states", "lost"),
    [
        (("running", "running", "terminated"), ["worker-2"]),
        # Terraform would take it for one that is there.
        (("running", "running", "shutting-down"), []),
        (("running", "stopped", "running"), []),
        # Its workers went with it.
        (("stopping", "terminated", "terminated"), []),
        (("terminated", "terminated", "terminated"), []),
    ],
)
def test_lost_is_what_aws_has_no_more_of_a_cluster_that_runs(
    monkeypatch: pytest.MonkeyPatch, states: tuple[str, ...], lost: list[str]
) -> None:
    named = dict(zip([host.name for host in CLUSTER.hosts], states, strict=True))
    monkeypatch.setattr(readiness, "states", lambda _: named)
    assert [host.name for host in workers.lost(CLUSTER)] == lost


def test_terraform_and_ansible_are_asked_for_the_lost_one_alone(steps: Steps) -> None:
    assert workers.make_anew(CLUSTER, [SECOND]) is CLUSTER
    assert steps == [
        "same",
        "plan worker-2",
        "apply",
        "forget worker-2",
        "pin",
        "ssh worker-2",
        "ansible worker-2",
        "registered worker-2",
    ]


def test_one_that_is_there_and_dead_is_given_back(steps: Steps) -> None:
    steps.changes = {INSTANCE: "replace", SCHEDULE: "update"}
    workers.make_anew(CLUSTER, [SECOND], is_there=True)
    assert steps[:3] == ["same", "plan worker-2, replacing", "apply"]


def test_one_that_an_earlier_try_has_made_is_equipped_with_the_other(steps: Steps) -> None:
    steps.unchanged = ("aws_instance.worker[0]",)
    workers.make_anew(CLUSTER, CLUSTER.workers)
    assert steps[2] == "apply"
    assert steps[-1] == "registered worker-1 worker-2"


@pytest.mark.parametrize(
    "changes",
    [
        ANEW | {"aws_instance.master": "update"},
        ANEW | {"terraform_data.worker_kind": "update"},
        ANEW | {"aws_instance.worker[2]": "create"},
        # Fewer are asked for now.
        {SCHEDULE: "delete"},
        {},
    ],
)
def test_what_would_do_more_or_less_is_not_applied(steps: Steps, changes: dict[str, str]) -> None:
    steps.changes = changes
    with pytest.raises(BusyError, match=r"^Terraform would do something else than make them anew .*`make up` makes it"):
        workers.make_anew(CLUSTER, [SECOND])
    assert steps == ["same", "plan worker-2"]


@pytest.mark.parametrize("begin", [workers.make_anew, workers.equip])
def test_from_another_checkout_nothing_is_made_and_nothing_equipped(
    steps: Steps, monkeypatch: pytest.MonkeyPatch, begin: Callable[..., Any]
) -> None:
    def refuse(_: str) -> None:
        raise BusyError("This checkout is another.")

    monkeypatch.setattr(ansible, "require_same_software", refuse)
    with pytest.raises(BusyError, match="another"):
        begin(CLUSTER, [SECOND])
    assert steps == []


def test_one_whose_host_key_nobody_has_pinned_here_yet_is_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = CLUSTER.workers
    failed = {first.name: UnpinnedError("it is not pinned yet"), second.name: HostError("no answer")}
    monkeypatch.setattr(readiness, "silent", lambda *_, **__: failed)
    assert workers.silent(CLUSTER, CLUSTER.workers) == [second]


def test_a_host_s_own_resources_are_called_as_terraform_calls_them() -> None:
    assert [plan.address_of("aws_instance", host) for host in CLUSTER.hosts] == [
        "aws_instance.master",
        "aws_instance.worker[0]",
        "aws_instance.worker[1]",
    ]


def test_ansible_is_limited_to_hosts_as_the_inventory_calls_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words: list[Any] = []

    def follow(given: list[Any], **_: Any) -> Any:
        words.extend(given)
        return ansible.processes.Done(0, "")

    monkeypatch.setattr(ansible.processes, "follow", follow)
    monkeypatch.setattr(ansible.console, "LOGS", tmp_path)
    ansible.console.begin("test", verbose=False)
    unheard: Callable[[str], None] = lambda _: None  # noqa: E731
    ansible.configure("fruits", unheard, only=CLUSTER.workers)
    assert words[-1] == "--limit=fruits-worker-1,fruits-worker-2"
    words.clear()
    ansible.configure("fruits", unheard)
    assert words[-1] == ansible.FOLDER / "site.yml"
