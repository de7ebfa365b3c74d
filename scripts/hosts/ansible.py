"""Ansible, called as it is: the playbooks of ansible/ with the inventory that reads Terraform's outputs.

What it is at comes as JSON lines from ansible/callback_plugins/orchard_events.py; its text is for people alone.
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from scripts import console, processes
from scripts.cluster import Host
from scripts.console import CHECKOUT
from scripts.errors import BusyError, ConfigurationError, HostError, OperatorError
from scripts.tfvars import terraform_folder

FOLDER = CHECKOUT / "ansible"
SECONDS = 3600
# The task of roles/environment/tasks/same.yml that refuses.
SAME = "Require the software of this checkout"

Event = dict[str, Any]


def configure(cluster_name: str, note: Callable[[str], None], only: Sequence[Host] = ()) -> int:
    """Make each host (of these only) what its group says; gives how many things changed. `note` hears what is done.

    Raises HostError when a host cannot be reached, ConfigurationError when a task fails.
    """
    done, seen = _play("site.yml", cluster_name, note, _limit(cluster_name, only))
    if done.code:
        raise explain(seen, done.out)
    return sum(event["changed"] for event in seen if event["event"] == "end")


def prepare_images(cluster_name: str, note: Callable[[str], None]) -> None:
    """Have on the hosts that images are made of what the roles install, and nothing of their own.

    Raises what `configure` raises.
    """
    done, seen = _play("bake.yml", cluster_name, note, ORCHARD_BAKING="1")
    if done.code:
        raise explain(seen, done.out, "bake")


def require_same_software(cluster_name: str) -> None:
    """See that the cluster has the software of this checkout; changes nothing on it.

    Raises BusyError where it has another's, and what `configure` raises where that cannot be seen.
    """
    done, seen = _play("same.yml", cluster_name, console.log)
    for event in seen:
        if event["event"] == "failed" and event["task"] == SAME:
            raise BusyError(event["message"])
    if done.code:
        raise explain(seen, done.out)


def _play(
    playbook: str, cluster_name: str, note: Callable[[str], None], more: Sequence[str] = (), **environment: str
) -> tuple[processes.Done, list[Event]]:
    """Run a playbook; gives how it ended, and its events."""
    file = console.log_file().with_suffix(".ansible.jsonl")
    file.touch(mode=0o600)
    events = _Events(file, note)
    done = processes.follow(
        ["ansible-playbook", FOLDER / playbook, *more],
        cwd=FOLDER,
        env={
            # What the person's shell says of Ansible is about other hosts, and could loosen what is pinned.
            **{name: None for name in os.environ if name.startswith("ANSIBLE_") and name != "ANSIBLE_INVENTORY"},
            "ANSIBLE_CONFIG": str(FOLDER / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "ORCHARD_ANSIBLE_EVENTS": str(file),
            "ORCHARD_TERRAFORM": str(terraform_folder()),
            "TF_WORKSPACE": cluster_name,
            **environment,
        },
        timeout=SECONDS,
        # Whenever it has said something to people, there may be an event.
        on_line=lambda _: events.read(),
    )
    events.read()
    return done, events.seen


def _limit(cluster_name: str, only: Sequence[Host]) -> list[str]:
    # Hosts are called so by the inventory.
    return [f"--limit={','.join(f'{cluster_name}-{host.name}' for host in only)}"] if only else []


def explain(events: Iterable[Event], text: str, task: str = "up") -> OperatorError:
    """One sentence for the first thing that Ansible could not do for a task; `text` is what it printed."""
    for event in events:
        if event["event"] == "unreachable":
            message = event["message"][:200]
            return HostError(
                f"{_short(event['host'])} could not be reached by Ansible ({message}): `make {task}` again goes on."
            )
        if event["event"] == "failed":
            message = event["message"][:400].rstrip(".")
            return ConfigurationError(
                f"{_short(event['host'])} could not be configured at `{event['task']}`: {message}. "
                f"`make {task}` again goes on from there; the whole story: {console.log_file()}"
            )
    last = next((line for line in reversed(text.splitlines()) if line.strip()), "it gave no reason")
    return ConfigurationError(f"Ansible did not end well ({last.strip()[:300]}): see {console.log_file()}.")


class _Events:
    """The events of one playbook as they come; plays are noted, and tasks where a line can be overwritten."""

    def __init__(self, file: Path, note: Callable[[str], None]) -> None:
        self.seen: list[Event] = []
        self._file, self._note = file, note
        # One task may configure twice, and its log file is the same.
        self._read = file.stat().st_size if file.exists() else 0

    def read(self) -> None:
        """Take in what is new, as far as it is whole."""
        if not self._file.exists():
            return
        with self._file.open("rb") as file:
            file.seek(self._read)
            whole = file.read().rpartition(b"\n")[0]
        self._read += len(whole) + 1 if whole else 0
        for line in whole.splitlines():
            event = json.loads(line)
            self.seen.append(event)
            if event["event"] == "play" or (event["event"] == "task" and console.is_terminal()):
                self._note(event["name"])


def _short(host: str) -> str:
    """A host's name without the cluster's in front."""
    found = re.search(r"((?:bake-)?master|worker-\d+|bake-worker)$", host)
    return found[1] if found else host
