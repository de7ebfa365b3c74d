"""What the operator's side makes of Ansible: notes meanwhile, how many things changed, one sentence on failure."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts import console, processes
from scripts.errors import ConfigurationError, HostError
from scripts.hosts import ansible
from scripts.processes import Done

FAILED = {
    "event": "failed",
    "host": "fruits-worker-2",
    "task": "Require room for it",
    "message": "fruits-worker-2 has 3000 MB of disk free and the environment needs 6000: raise root_volume_gb.",
}


@pytest.fixture(autouse=True)
def log_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(console, "log_file", lambda: tmp_path / "the.log")
    return tmp_path / "the.log"


@pytest.fixture
def playbook(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, str]]:
    """Has ansible-playbook write these events, text between them; gives its environment, filled when it runs."""

    def plays(*events: dict[str, Any], code: int = 0, text: str = "") -> dict[str, str]:
        environment: dict[str, str] = {}

        def follow(words: Any, *, env: dict[str, str], on_line: Callable[[str], None], **_: Any) -> Done:
            assert words[0] == "ansible-playbook"
            environment.update(env)
            for event in events:
                line = json.dumps(event) + "\n"
                # A look falls into a line that is half written.
                for part in (line[:9], line[9:]):
                    with Path(env["ORCHARD_ANSIBLE_EVENTS"]).open("a") as file:
                        file.write(part)
                    on_line("text for people")
            return Done(code, text)

        monkeypatch.setattr(processes, "follow", follow)
        return environment

    return plays


def test_plays_are_noted_and_changes_counted(playbook: Callable[..., dict[str, str]]) -> None:
    noted: list[str] = []
    environment = playbook(
        {"event": "play", "name": "Make each host a Spark node"},
        {"event": "task", "name": "Install Java"},
        {"event": "end", "changed": 7},
    )
    assert ansible.configure("fruits", noted.append) == 7
    # Off a terminal, where a line cannot be overwritten, the many tasks are left out.
    assert noted == ["Make each host a Spark node"]
    assert environment["TF_WORKSPACE"] == "fruits"


def test_tasks_are_noted_on_a_terminal(
    playbook: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[str] = []
    monkeypatch.setattr(console, "is_terminal", lambda: True)
    playbook({"event": "task", "name": "Install Java"}, {"event": "end", "changed": 0})
    assert ansible.configure("fruits", noted.append) == 0
    assert noted == ["Install Java"]


def test_a_second_playbook_of_one_task_is_counted_by_itself(playbook: Callable[..., dict[str, str]]) -> None:
    playbook({"event": "end", "changed": 7})
    assert ansible.configure("fruits", lambda _: None) == 7
    assert ansible.configure("fruits", lambda _: None) == 7


def test_a_host_that_ansible_cannot_configure_is_named_with_the_task(
    playbook: Callable[..., dict[str, str]], log_file: Path
) -> None:
    playbook({"event": "task", "name": "Require room for it"}, FAILED, {"event": "end", "changed": 0}, code=2)
    with pytest.raises(ConfigurationError) as refused:
        ansible.configure("fruits", lambda _: None)
    assert str(refused.value) == (
        "worker-2 could not be configured at `Require room for it`: fruits-worker-2 has 3000 MB of disk free and the "
        "environment needs 6000: raise root_volume_gb. `make up` again goes on from there; the whole story: "
        f"{log_file}"
    )


def test_a_host_that_ansible_does_not_reach_is_named(playbook: Callable[..., dict[str, str]]) -> None:
    unreachable = {"event": "unreachable", "host": "fruits-master", "task": "Gather", "message": "Connection timed out"}
    playbook(unreachable, FAILED, code=4)
    with pytest.raises(HostError) as refused:
        ansible.configure("fruits", lambda _: None)
    assert str(refused.value) == (
        "master could not be reached by Ansible (Connection timed out): `make up` again goes on."
    )


def test_an_ansible_that_fails_before_any_task_is_quoted(
    playbook: Callable[..., dict[str, str]], log_file: Path
) -> None:
    playbook(code=1, text="noise\nERROR! No inventory was parsed\n\n")
    with pytest.raises(ConfigurationError) as refused:
        ansible.configure("fruits", lambda _: None)
    assert str(refused.value) == (f"Ansible did not end well (ERROR! No inventory was parsed): see {log_file}.")


def test_what_the_persons_shell_says_of_ansible_reaches_no_playbook_of_ours(
    playbook: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ANSIBLE_HOST_KEY_CHECKING", "ANSIBLE_SSH_ARGS", "ANSIBLE_STRATEGY"):
        monkeypatch.setenv(name, "False")
    environment = playbook({"event": "end", "changed": 0})
    ansible.configure("fruits", lambda _: None)
    assert [environment[name] for name in ("ANSIBLE_HOST_KEY_CHECKING", "ANSIBLE_SSH_ARGS", "ANSIBLE_STRATEGY")] == [
        None
    ] * 3
