"""Terraform through python-terraform: called as it is, in the cluster's own workspace, its output kept in the log."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import python_terraform
from python_terraform import IsFlagged

from scripts import processes, tfvars
from scripts.access import certificates, login
from scripts.terraform import diagnostics, errors
from scripts.terraform.diagnostics import Event
from scripts.terraform.validation import DRIVEN, NOBODY

QUICK_SECONDS = 120
LONG_SECONDS = 1800  # an apply takes two minutes; a slow region or a spot request may take many more
LOCK_WAIT = "30s"
# What the provider stops an instance for, and starts it again; other changes are made while it runs.
CHANGED_WHILE_OFF = ("instance_type", "user_data", "user_data_base64")

OnEvent = Callable[[Event], None]


# What Terraform keeps of the settings that hosts' software and prices go by.
APPLIED = "terraform_data.applied"
# What it keeps of the workers' kind is what was chosen; a plan of single workers has that one, too.
SUBNET = ("managed", "aws_subnet", "public")
WORKER_KIND = "terraform_data.worker_kind"
KIND = ("worker_instance_type", "worker_spot")


@dataclass(frozen=True)
class Placement:
    """Where workers are made, and of which kind, as Terraform's variable of this name has it."""

    zone: str
    worker_instance_type: str
    worker_spot: bool


@dataclass(frozen=True)
class Plan:
    """What an apply would do: addresses by action, the settings in force, and the file to apply.

    `values` are resources as they would be, `before` those that are there, as they are; `placements` what is allowed,
    `stops` the hosts that AWS changes only while they are off, and so stops and starts again.
    """

    changes: dict[str, str]
    variables: dict[str, Any]
    values: dict[str, dict[str, Any]]
    applicable: bool
    file: Path
    before: dict[str, dict[str, Any]] = field(default_factory=dict)
    placements: tuple[Placement, ...] = ()
    stops: frozenset[str] = frozenset()

    def count(self, action: str) -> int:
        """How many resources are to be created, updated, replaced or deleted."""
        return sum(1 for planned in self.changes.values() if planned == action)


class Terraform(Protocol):
    """What is asked of Terraform for one cluster. Every method raises an OperatorError with Terraform's reason."""

    def outputs(self) -> dict[str, Any]:
        """The outputs' values by name; empty where nothing was ever applied."""

    def plan(self, variables: dict[str, Any], replacing: Sequence[str] = (), targets: Sequence[str] = ()) -> Plan:
        """See what an apply with these variables, which come before terraform.tfvars, would do.

        Resources `replacing` are made anew; with `targets`, they and what they stand on are all that is looked at.
        """

    def apply(self, planned: Plan, on_event: OnEvent) -> None:
        """Carry a plan out. `on_event` hears of each resource as it is begun and done."""

    def refresh(self) -> None:
        """Have the state, and so the outputs, say what is there now."""

    def destroy(self, on_event: OnEvent) -> None:
        """Destroy everything in the state."""

    def state_list(self) -> list[str]:
        """Addresses of the resources in the state, data sources left out."""

    def state_text(self) -> str:
        """The state as it lies there; empty where nothing was ever applied."""

    def zone(self) -> str | None:
        """The zone of the cluster's own network, in which hosts are made; None before there is one."""

    def forget(self, addresses: Sequence[str]) -> None:
        """Take resources out of the state; they go on existing."""


class Workspace(Terraform):
    """Terraform in a cluster's workspace. The provider is installed by the first command that finds it missing."""

    def __init__(self, cluster_name: str) -> None:
        self.cluster_name = cluster_name
        # For its own commands alone: two clusters may be worked on at once from one folder.
        self._environment = {"TF_WORKSPACE": cluster_name, **DRIVEN}

    def outputs(self) -> dict[str, Any]:
        answer = self._command().output_cmd(json=IsFlagged)
        outputs = json.loads(self._checked("read its outputs", answer))
        return {name: output["value"] for name, output in outputs.items()}

    def plan(self, variables: dict[str, Any], replacing: Sequence[str] = (), targets: Sequence[str] = ()) -> Plan:
        file = tfvars.state_folder(self.cluster_name) / "next.tfplan"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        answer = self._command().plan(
            detailed_exitcode=None,
            json=IsFlagged,
            out=str(file),
            lock_timeout=LOCK_WAIT,
            var=variables,
            replace=list(replacing),
            target=list(targets),
        )
        self._checked("plan", answer)
        shown = json.loads(self._checked("show its plan", self._command().cmd("show", str(file), json=IsFlagged)))
        return _plan(shown, file)

    def apply(self, planned: Plan, on_event: OnEvent) -> None:
        answer = self._command(on_event).cmd(
            "apply", str(planned.file), json=IsFlagged, input=False, lock_timeout=LOCK_WAIT
        )
        self._checked("create what was planned", answer)

    def refresh(self) -> None:
        answer = self._command().apply(
            skip_plan=True,
            refresh_only=IsFlagged,
            json=IsFlagged,
            lock_timeout=LOCK_WAIT,
            var={"admin_cidrs": NOBODY},
        )
        self._checked("look at the cluster", answer)

    def destroy(self, on_event: OnEvent) -> None:
        answer = self._command(on_event).destroy(
            force=None,
            auto_approve=IsFlagged,
            json=IsFlagged,
            lock_timeout=LOCK_WAIT,
            var={"admin_cidrs": NOBODY},
        )
        self._checked("destroy the cluster", answer)

    def state_list(self) -> list[str]:
        answer = self._command().cmd("state list")
        code, _, err = answer
        if code and "No state file was found" in err:
            return []
        listed = self._checked("read its state", answer)
        return [address for address in listed.split() if not address.startswith("data.")]

    def state_text(self) -> str:
        return self._checked("read its state", self._command().cmd("state pull"))

    def zone(self) -> str | None:
        state = json.loads(self.state_text() or "{}")
        subnets = [
            subnet["attributes"]["availability_zone"]
            for found in state.get("resources", [])
            if (found["mode"], found["type"], found["name"]) == SUBNET
            for subnet in found["instances"]
        ]
        return str(subnets[0]) if subnets else None

    def forget(self, addresses: Sequence[str]) -> None:
        if addresses:
            answer = self._command().cmd("state rm", *addresses, lock_timeout=LOCK_WAIT)
            self._checked("take the bucket out of its state", answer)

    def _command(self, on_event: OnEvent = lambda _: None) -> "_Command":
        if not _is_initialised():
            answer = _Command(self._environment).cmd("init", input=False, no_color=IsFlagged, lockfile="readonly")
            self._checked("install its AWS provider", answer)
        return _Command(self._environment, on_event)

    def _checked(self, doing: str, answer: tuple[int, str, str]) -> str:
        """What the command printed. Raises the OperatorError that its failure comes to."""
        code, out, err = answer
        if code:
            raise errors.failure(doing, out + err, self.cluster_name)
        return out


class _Command(python_terraform.Terraform):  # type: ignore[misc]  # no types there
    """python-terraform runs its commands without a time-out, a log or a sign on the way: `processes` runs these."""

    def __init__(self, environment: Mapping[str, str], on_event: OnEvent = lambda _: None) -> None:
        super().__init__(working_dir=str(tfvars.terraform_folder()))
        self._environment, self._on_event = environment, on_event

    def cmd(self, cmd: str, *args: str, **kwargs: Any) -> tuple[int, str, str]:
        """As python-terraform's: exit code, output, errors. Commands with `-json` events are followed."""
        words = self.generate_cmd_string(cmd, *args, **kwargs)
        folder = Path(self.working_dir)
        try:
            with login.lent() as lent:
                environment = certificates.environment() | lent | dict(self._environment)
                if cmd in ("apply", "destroy", "plan"):
                    done = processes.follow(
                        words, cwd=folder, env=environment, timeout=LONG_SECONDS, on_line=self._pass_on
                    )
                else:
                    done = processes.capture(words, cwd=folder, env=environment, timeout=QUICK_SECONDS)
        finally:
            self.temp_var_files.clean_up()
            self.temp_var_files.files.clear()
        return done.code, done.out, done.err

    def _pass_on(self, line: str) -> None:
        for event in diagnostics.events(line):
            self._on_event(event)


def _plan(shown: Mapping[str, Any], file: Path) -> Plan:
    """A plan in Terraform's own words (`terraform show -json`)."""
    changed = {c["address"]: c["change"] for c in shown.get("resource_changes", [])}
    actions = {address: _action(change["actions"]) for address, change in changed.items()}
    values = {address: change.get("after") or {} for address, change in changed.items()}
    variables = {name: variable.get("value") for name, variable in shown.get("variables", {}).items()}
    allowed = shown.get("planned_values", {}).get("outputs", {}).get("placements", {}).get("value") or []
    return Plan(
        changes={address: action for address, action in actions.items() if action not in ("no-op", "read")},
        variables=variables | kind_of(values),
        values=values,
        applicable=bool(shown.get("applyable", True)),
        file=file,
        before={address: change["before"] for address, change in changed.items() if change.get("before")},
        placements=tuple(Placement(**place) for place in allowed),
        stops=frozenset(c["address"] for c in shown.get("resource_changes", []) if is_stop(c)),
    )


def kind_of(resources: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The workers' kind by `KIND`'s names, as these resources have it; empty where they do not."""
    chosen = resources.get(WORKER_KIND, {}).get("input") or {}
    return {name: chosen[name.removeprefix("worker_")] for name in KIND} if chosen else {}


def _is_initialised() -> bool:
    folder = tfvars.terraform_folder()
    installed = folder / ".terraform" / "providers"
    lock = folder / ".terraform.lock.hcl"
    return installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime


def is_stop(change: Mapping[str, Any]) -> bool:
    """Whether a change of Terraform's plan stops an instance that stays."""
    before, after = (change["change"].get(when) or {} for when in ("before", "after"))
    is_changed = change.get("type") == "aws_instance" and change["change"]["actions"] == ["update"]
    return is_changed and any(before.get(name) != after.get(name) for name in CHANGED_WHILE_OFF)


def _action(actions: list[str]) -> str:
    if len(actions) > 1:
        return "replace"
    return actions[0]
