"""A Terraform in memory: it knows what is wished, what is there, and how it is to fail."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.terraform.errors import TerraformError
from scripts.terraform.workspace import OnEvent, Plan, Terraform


class FakeTerraform(Terraform):
    """One cluster's. `wished` are addresses that the settings ask for, `state` those that exist, with their ids.

    `fails_at` is an address that cannot be created until it is None again. `calls` are the methods in their order.
    """

    def __init__(self, outputs: dict[str, Any], wished: Sequence[str], variables: dict[str, Any]) -> None:
        self.cluster_outputs, self.wished, self.variables = outputs, list(wished), variables
        self.values: dict[str, dict[str, Any]] = {}
        self.state: dict[str, str] = {}
        self.fails_at: str | None = None
        self.is_half_made = False
        self.calls: list[str] = []
        self.planned_with: list[dict[str, Any]] = []
        self.replaced: list[str] = []

    def exists(self) -> "FakeTerraform":
        """Everything that is wished was applied before."""
        self.state = {address: f"id-of-{address}" for address in self.wished}
        return self

    def outputs(self) -> dict[str, Any]:
        """None without a master; after an apply that failed all but the workers', as Terraform has it."""
        if "aws_instance.master" not in self.state:
            return {}
        hidden = {"workers"} if self.is_half_made else set()
        return {name: value for name, value in self.cluster_outputs.items() if name not in hidden}

    def plan(self, variables: dict[str, Any], replacing: Sequence[str] = (), targets: Sequence[str] = ()) -> Plan:
        """Creates what is wished and not there, deletes what is there and not wished; of `targets` alone, if any."""
        self.calls.append("plan")
        self.planned_with.append(variables)
        self.replaced += replacing
        changes = {address: "create" for address in self.wished if address not in self.state}
        changes |= {address: "delete" for address in self.state if address not in self.wished}
        changes |= dict.fromkeys(replacing, "replace")
        changes = {address: action for address, action in changes.items() if not targets or address in targets}
        return Plan(changes, self.variables | variables, self.values, bool(changes), Path("next.tfplan"))

    def apply(self, planned: Plan, on_event: OnEvent) -> None:
        """One resource after the other, up to the one that fails."""
        self.calls.append("apply")
        for address, action in planned.changes.items():
            self.is_half_made = address == self.fails_at
            if self.is_half_made:
                raise TerraformError(f"{address} could not be made.")
            if action == "delete":
                del self.state[address]
            else:
                self.state[address] = f"id-of-{address}"
            on_event({"type": "apply_complete", "hook": {"resource": {"addr": address}}})

    def refresh(self) -> None:
        self.calls.append("refresh")

    def destroy(self, on_event: OnEvent) -> None:
        """The state is empty afterwards."""
        self.calls.append("destroy")
        for address in list(self.state):
            del self.state[address]
            on_event({"type": "apply_complete", "hook": {"resource": {"addr": address}}})

    def state_list(self) -> list[str]:
        return list(self.state)

    def state_text(self) -> str:
        return " ".join(f'"{identity}"' for identity in self.state.values())

    def forget(self, addresses: Sequence[str]) -> None:
        self.calls += [f"forget {address}" for address in addresses]
        for address in addresses:
            del self.state[address]
