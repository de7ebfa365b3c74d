"""What Ansible is at, as JSON lines for programs beside the text for people. Off unless a file is named for it."""

import json
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: orchard_events
type: notification
short_description: JSON lines on plays, tasks, failures and the end
description:
  - Appends one object a line to a file. C(event) is C(play), C(task), C(failed), C(unreachable) or C(end).
options:
  file:
    description: The file; without one the plugin does nothing.
    type: path
    env: [{name: ORCHARD_ANSIBLE_EVENTS}]
"""

# What a module says of a command that failed; the command's own words say more.
EMPTY_MESSAGES = ("", "non-zero return code")
HIDDEN = "its output is hidden, for it holds a secret"


class CallbackModule(CallbackBase):
    """Ansible calls a method for each event."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "orchard_events"
    CALLBACK_NEEDS_ENABLED = True

    def set_options(self, *words: Any, **options: Any) -> None:
        """Open for business where a file is named."""
        super().set_options(*words, **options)
        self._file = self.get_option("file")
        self.disabled = not self._file

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """A play begins."""
        self._put(event="play", name=play.get_name())

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:  # noqa: ARG002  Ansible's signature
        """A task begins, on all hosts."""
        self._put(event="task", name=_name(task))

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        """A handler begins."""
        self._put(event="task", name=_name(task))

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """A task has failed on a host."""
        if not ignore_errors:
            self._put_failure("failed", result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """A host could not be reached."""
        self._put_failure("unreachable", result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """The end: how many things changed, on all hosts."""
        self._put(event="end", changed=sum(stats.summarize(host)["changed"] for host in stats.processed))

    def _put_failure(self, event: str, result: Any) -> None:
        message = message_of(result.result)
        self._put(event=event, host=result.host.get_name(), task=_name(result.task), message=message)

    def _put(self, **event: Any) -> None:
        with Path(self._file).open("a") as file:
            file.write(f"{json.dumps(event)}\n")


def message_of(result: dict[str, Any]) -> str:
    """Why a task failed, in one line: of a loop the first item's reason, of a command its own last words."""
    for item in result.get("results") or []:
        if isinstance(item, dict) and item.get("failed"):
            return message_of(item)
    if "censored" in result:
        return HIDDEN
    message = " ".join(str(result.get("msg") or "").split())
    if message in EMPTY_MESSAGES:
        words = str(result.get("stderr") or result.get("stdout") or "").strip()
        message = words.rpartition("\n")[2].strip() or message
    return message or "it gave no reason"


def _name(task: Any) -> str:
    return str(task.name or task.action)
