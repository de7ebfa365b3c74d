"""A Terraform in memory: it knows what is wished, what is there, and how it is to fail."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.terraform import errors
from scripts.terraform.diagnostics import Diagnostic
from scripts.terraform.errors import TerraformError
from scripts.terraform.placement import SUBNET, of
from scripts.terraform.workspace import KIND, WORKER_KIND, OnEvent, Placement, Plan, Terraform


class FakeTerraform(Terraform):
    """One cluster's. `wished` are addresses that the settings ask for, `state` those that exist, with their ids.

    `fails_at` is an address that cannot be created until it is None again. `calls` are the methods in their order.
    `placements` are what the settings allow, `no_room` in which of them AWS starts no host of this address, by which
    code; `placed` is where and of which kind each host is that there is. `changed` are changes of what stays, by
    address, `stops` the hosts among them that are stopped for it.
    """

    def __init__(self, outputs: dict[str, Any], wished: Sequence[str], variables: dict[str, Any]) -> None:
        self.cluster_outputs, self.wished, self.variables = outputs, list(wished), variables
        self.values: dict[str, dict[str, Any]] = {}
        self.state: dict[str, str] = {}
        self.fails_at: str | None = None
        self.changed: dict[str, str] = {}
        self.stops: frozenset[str] = frozenset()
        self.is_half_made = False
        self.calls: list[str] = []
        self.planned_with: list[dict[str, Any]] = []
        self.placements: tuple[Placement, ...] = ()
        self.no_room: dict[tuple[str, Placement], str] = {}
        self.placed: dict[str, Placement] = {}
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
        """Creates what is wished and not there, deletes what is there and not wished, replaces what is elsewhere.

        Of `targets` alone, if there are any.
        """
        self.calls.append("plan")
        self.planned_with.append(variables)
        self.replaced += replacing
        changes = {address: "create" for address in self.wished if address not in self.state}
        changes |= {address: "delete" for address in self.state if address not in self.wished}
        changes |= self.changed
        changes |= {address: "replace" for address in replacing if address in self.state and address != SUBNET}
        chosen = self._placement(variables, replacing)
        changes |= {address: "replace" for address in self.placed if chosen and self._is_elsewhere(address, chosen)}
        changes = {address: action for address, action in changes.items() if not targets or _is_of(address, targets)}
        kind = {name: getattr(chosen, name) for name in KIND} if chosen else {}
        values: dict[str, dict[str, Any]] = {address: {} for address in self.state} | self.values
        return Plan(
            changes,
            self.variables | variables | kind,
            values | ({SUBNET: {"availability_zone": chosen.zone}} if chosen else {}),
            bool(changes),
            Path("next.tfplan"),
            {address: self._described(address) for address in self.state} | self._kind(),
            self.placements,
            self.stops,
        )

    def _placement(self, variables: dict[str, Any], replacing: Sequence[str]) -> Placement | None:
        """The wanted one, or the first; in the zone of the subnet that is there, unless that is made anew."""
        if not self.placements:
            return None
        given = variables.get("placement", {})
        in_zone = [place for place in self.placements if given.get("zone") in (None, place.zone)]
        wanted = Placement(**given) if len(given) > 1 else (in_zone or self.placements)[0]
        there = self.placed.get(SUBNET)
        return dataclasses.replace(wanted, zone=there.zone) if there and SUBNET not in replacing else wanted

    def _is_elsewhere(self, address: str, chosen: Placement) -> bool:
        there = self.placed[address]
        return there != chosen if "worker" in address else there.zone != chosen.zone

    def _kind(self) -> dict[str, dict[str, Any]]:
        """What Terraform keeps of the workers' kind."""
        of_workers = [placed for address, placed in self.placed.items() if "worker" in address]
        kinds = [{"instance_type": placed.worker_instance_type, "spot": placed.worker_spot} for placed in of_workers]
        return {WORKER_KIND: {"input": kinds[0]}} if kinds else {}

    def _described(self, address: str) -> dict[str, Any]:
        placed = self.placed.get(address)
        if placed is None:
            return {}
        return {"instance_type": placed.worker_instance_type, "instance_lifecycle": ""}

    def apply(self, planned: Plan, on_event: OnEvent) -> None:
        """One resource after the other, up to the one that fails."""
        self.calls.append("apply")
        placement = of(planned)
        for address, action in planned.changes.items():
            if action in ("delete", "replace"):
                self.state.pop(address, None)
                self.placed.pop(address, None)
        for address, action in planned.changes.items():
            code = self.no_room.get((address, placement)) if placement else None
            self.is_half_made = address == self.fails_at or bool(code)
            if code:
                text = f"RunInstances, api error {code}: no"
                raise errors.explain("create it", [Diagnostic(text, "", address)], "fruits")
            if self.is_half_made:
                raise TerraformError(f"{address} could not be made.")
            if action != "delete":
                self.state[address] = f"id-of-{address}"
                if placement and (address == SUBNET or address.startswith("aws_instance.")):
                    self.placed[address] = placement
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

    def zone(self) -> str | None:
        there = self.placed.get(SUBNET)
        return there.zone if there else None

    def forget(self, addresses: Sequence[str]) -> None:
        self.calls += [f"forget {address}" for address in addresses]
        for address in addresses:
            del self.state[address]


def _is_of(address: str, targets: Sequence[str]) -> bool:
    """As Terraform's -target: an address without a key is all of a resource's instances."""
    return address in targets or address.partition("[")[0] in targets
