"""Terraform through python-terraform: called as it is, in the cluster's own workspace, its words kept in the log."""

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import python_terraform
from python_terraform import IsFlagged

from scripts import console, processes, tfvars
from scripts.errors import AwsError, BusyError, InputError, OperatorError
from scripts.terraform import diagnostics, refusals
from scripts.terraform.diagnostics import Diagnostic, Event

QUICK_SECONDS = 120
LONG_SECONDS = 1800  # an apply takes two minutes; a slow region or a spot request may take many more
LOCK_WAIT = "30s"

# For commands that ask for admin_cidrs and open nothing: a network that is nobody's.
NOBODY = {"admin_cidrs": ["192.0.2.1/32"]}


class TerraformError(AwsError):
    """Terraform did not end well; `diagnostics` are its reasons, the first the leading one."""

    def __init__(self, sentence: str, diagnostics: Sequence[Diagnostic] = ()) -> None:
        super().__init__(sentence)
        self.diagnostics = tuple(diagnostics)


class _Terraform(python_terraform.Terraform):  # type: ignore[misc]  # no types there
    """python-terraform runs its commands without a time-out, a log or a word on the way: these run by `commands`."""

    def __init__(self, on_event: Callable[[Event], None] = lambda _: None) -> None:
        super().__init__(working_dir=str(tfvars.terraform_folder()))
        self._on_event = on_event

    def cmd(self, cmd: str, *args: str, **kwargs: Any) -> tuple[int, str, str]:
        """As python-terraform's: exit code, output, errors. Commands with `-json` events are followed."""
        words = self.generate_cmd_string(cmd, *args, **kwargs)
        try:
            if cmd in ("apply", "destroy", "plan"):
                done = processes.follow(words, cwd=self._folder, timeout=LONG_SECONDS, on_line=self._tell)
            else:
                done = processes.capture(words, cwd=self._folder, timeout=QUICK_SECONDS)
        finally:
            self.temp_var_files.clean_up()
            self.temp_var_files.files.clear()
        return done.code, done.out, done.err

    @property
    def _folder(self) -> Path:
        return Path(self.working_dir)

    def _tell(self, line: str) -> None:
        for event in diagnostics.events(line):
            self._on_event(event)


@dataclass(frozen=True)
class Plan:
    """What an apply would do: addresses by action, the settings in force, and the file to apply."""

    changes: dict[str, str]
    variables: dict[str, Any]
    values: dict[str, dict[str, Any]]
    applicable: bool
    file: Path

    def count(self, action: str) -> int:
        """How many resources are to be created, updated, replaced or deleted."""
        return sum(1 for planned in self.changes.values() if planned == action)


def use(cluster_name: str) -> None:
    """Work in the cluster's workspace from now on, Ansible's inventory included; install the provider if missing."""
    # The variable binds this process and its children only: two clusters may be worked on at once from one folder.
    os.environ["TF_WORKSPACE"] = cluster_name
    os.environ["TF_IN_AUTOMATION"] = "1"
    if _is_initialised():
        return
    code, out, err = _Terraform().cmd("init", input=False, no_color=IsFlagged, lockfile="readonly")
    if code:
        raise _failure("install its AWS provider", out + err)


def outputs(cluster_name: str) -> dict[str, Any]:
    """The outputs' values by name; empty where nothing was ever applied."""
    use(cluster_name)
    code, out, err = _Terraform().output_cmd(json=IsFlagged)
    if code:
        raise _failure("read its outputs", out + err)
    return {name: output["value"] for name, output in json.loads(out).items()}


def plan(variables: dict[str, Any], destroy: bool = False) -> Plan:
    """See what an apply with these variables, which come before terraform.tfvars, would do."""
    file = tfvars.state_folder(os.environ["TF_WORKSPACE"]) / "next.tfplan"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    options = {"destroy": IsFlagged} if destroy else {}
    code, out, _ = _Terraform().plan(
        detailed_exitcode=None, json=IsFlagged, out=str(file), lock_timeout=LOCK_WAIT, var=variables, **options
    )
    if code:
        raise _failure("plan", out)
    code, shown, err = _Terraform().cmd("show", str(file), json=IsFlagged)
    if code:
        raise _failure("show its plan", err)
    told = json.loads(shown)
    changes = {c["address"]: _action(c["change"]["actions"]) for c in told.get("resource_changes", [])}
    return Plan(
        changes={address: action for address, action in changes.items() if action not in ("no-op", "read")},
        variables={name: variable.get("value") for name, variable in told.get("variables", {}).items()},
        values={c["address"]: c["change"].get("after") or {} for c in told.get("resource_changes", [])},
        applicable=bool(told.get("applyable", True)),
        file=file,
    )


def apply(planned: Plan, on_event: Callable[[Event], None]) -> None:
    """Carry a plan out. `on_event` hears of each resource as it is begun and done."""
    code, out, _ = _Terraform(on_event).cmd(
        "apply", str(planned.file), json=IsFlagged, input=False, lock_timeout=LOCK_WAIT
    )
    if code:
        raise _failure("create what was planned", out)


def refresh() -> None:
    """Have the state, and so the outputs, say what is there now."""
    code, out, _ = _Terraform().apply(
        skip_plan=True, refresh_only=IsFlagged, json=IsFlagged, lock_timeout=LOCK_WAIT, var=NOBODY
    )
    if code:
        raise _failure("look at the cluster", out)


def state_text() -> str:
    """The state as it lies there; empty where nothing was ever applied."""
    code, out, err = _Terraform().cmd("state pull")
    if code:
        raise _failure("read its state", out + err)
    return out


def destroy(on_event: Callable[[Event], None]) -> None:
    """Destroy everything in the state."""
    code, out, _ = _Terraform(on_event).destroy(
        force=None, auto_approve=IsFlagged, json=IsFlagged, lock_timeout=LOCK_WAIT, var=NOBODY
    )
    if code:
        raise _failure("destroy the cluster", out)


def state_list() -> list[str]:
    """Addresses of the resources in the state, data sources left out."""
    code, out, err = _Terraform().cmd("state list")
    if code:
        if "No state file was found" in err:
            return []
        raise _failure("read its state", out + err)
    return [address for address in out.split() if not address.startswith("data.")]


def forget(addresses: Sequence[str]) -> None:
    """Take resources out of the state; they go on existing."""
    if not addresses:
        return
    code, out, err = _Terraform().cmd("state rm", *addresses, lock_timeout=LOCK_WAIT)
    if code:
        raise _failure("take the bucket out of its state", out + err)


def _failure(doing: str, text: str) -> OperatorError:
    found = diagnostics.errors(text)
    if not found:
        return TerraformError(f"Terraform could not {doing} and gave no reason: see {console.log_file()}.")
    return explain(doing, found)


def explain(doing: str, found: Sequence[Diagnostic]) -> OperatorError:
    """One sentence for Terraform's reasons: what stands behind the first that Orchard knows, or the first itself."""
    for diagnostic in found:
        if diagnostic.summary == "Error acquiring the state lock":
            return BusyError(_locked(diagnostic.detail))
        if diagnostic.summary in ("Invalid value for variable", "Resource precondition failed"):
            return InputError(f"terraform.tfvars: {diagnostic.detail.partition('This was checked by')[0].strip()}")
        if diagnostic.summary == "No value for required variable":
            return InputError(f"terraform.tfvars lacks a setting: {diagnostic.detail}")
    for diagnostic in found:
        sentence = refusals.of_terraform(diagnostic)
        if sentence:
            return TerraformError(sentence, found)
    first = found[0]
    words = " ".join(f"{first.summary}: {first.detail}".split()).rstrip(": ")
    where = f" ({first.address})" if first.address else ""
    return TerraformError(
        f"Terraform could not {doing}{where}: {words[:400]} The whole story: {console.log_file()}", found
    )


def _locked(detail: str) -> str:
    told = dict(re.findall(r"^\s*(ID|Who|Created):\s+(.*?)\s*$", detail, re.MULTILINE))
    who, since = told.get("Who", "somebody"), told.get("Created", "an unknown time").partition(".")[0]
    return (
        f"Terraform's state is locked by {who} since {since}: wait until that has ended; if it was killed, "
        f"`cd terraform && TF_WORKSPACE={os.environ.get('TF_WORKSPACE', '')} terraform force-unlock "
        f"{told.get('ID', 'ID')}`."
    )


def _is_initialised() -> bool:
    folder = tfvars.terraform_folder()
    installed = folder / ".terraform" / "providers"
    lock = folder / ".terraform.lock.hcl"
    return installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime


def _action(actions: list[str]) -> str:
    if len(actions) > 1:
        return "replace"
    return actions[0]
