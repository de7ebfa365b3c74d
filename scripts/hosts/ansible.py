"""Ansible, called as it is: ansible/site.yml with the inventory that reads Terraform's outputs."""

import re
from collections.abc import Callable

from scripts import console, processes
from scripts.console import CHECKOUT
from scripts.errors import ConfigurationError, HostError, OperatorError
from scripts.tfvars import terraform_folder

FOLDER = CHECKOUT / "ansible"
SECONDS = 3600
TITLE = re.compile(r"^(?P<kind>PLAY|TASK|RUNNING HANDLER) \[(?P<name>.*)\] \**$")
FATAL = re.compile(r"^fatal: \[(?P<host>[^\]]+)\]: (?P<how>FAILED|UNREACHABLE)! =>(?P<rest>.*)$")
MESSAGE = re.compile(r"^(?P<indent> +)(?:msg|stderr): (?P<first>.*)$")
RECAP = re.compile(r"^\S+\s+: ok=\d+\s+changed=(\d+)", re.MULTILINE)


def configure(cluster_name: str, note: Callable[[str], None]) -> int:
    """Make each host what its group says; gives how many things changed. `note` hears what is being done."""
    telling = _Teller(note)
    done = processes.follow(
        ["ansible-playbook", FOLDER / "site.yml"],
        cwd=FOLDER,
        env={
            "ANSIBLE_CONFIG": str(FOLDER / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "ORCHARD_TERRAFORM": str(terraform_folder()),
            "TF_WORKSPACE": cluster_name,
        },
        timeout=SECONDS,
        on_line=telling.hear,
    )
    if done.code:
        raise explain(done.out)
    return sum(int(changed) for changed in RECAP.findall(done.out))


def explain(text: str) -> OperatorError:
    """One sentence for the first thing that Ansible could not do."""
    task = ""
    lines = text.splitlines()
    for index, line in enumerate(lines):
        if title := TITLE.match(line):
            task = title["name"].rpartition(" : ")[2]
        elif fatal := FATAL.match(line):
            host = _short(fatal["host"])
            message = _message(lines[index + 1 :]) or fatal["rest"].strip()
            if fatal["how"] == "UNREACHABLE":
                return HostError(f"{host} could not be reached by Ansible ({message[:200]}): `make up` again goes on.")
            return ConfigurationError(
                f"{host} could not be configured at `{task}`: {message[:400].rstrip('.')}. "
                f"`make up` again goes on from there; the whole story: {console.log_file()}"
            )
    last = next((line for line in reversed(lines) if line.strip()), "it gave no reason")
    return ConfigurationError(f"Ansible did not end well ({last.strip()[:300]}): see {console.log_file()}.")


class _Teller:
    """Says what Ansible is at: each play's name, or each task's where a line can be overwritten."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note

    def hear(self, line: str) -> None:
        if (title := TITLE.match(line)) and (title["kind"] == "PLAY" or console.is_terminal()):
            self._note(title["name"].rpartition(" : ")[2])


def _message(lines: list[str]) -> str:
    """The `msg` of the YAML that follows, folded lines and all."""
    for index, line in enumerate(lines):
        if not line.startswith(" "):
            return ""
        if found := MESSAGE.match(line):
            told = [found["first"].strip(" >|-'\"")]
            for more in lines[index + 1 :]:
                if more.strip() and not more.startswith(found["indent"] + " "):
                    break
                told.append(more.strip())
            return " ".join(" ".join(told).split())
    return ""


def _short(host: str) -> str:
    """A host's name without the cluster's in front."""
    found = re.search(r"(master|worker-\d+)$", host)
    return found[1] if found else host
