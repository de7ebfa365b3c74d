"""What AWS does late, for who asks for it: things not described yet, instances that take their time to end.

EC2 and IAM are eventually consistent: a describe call may not know what was made a second ago, and a list may name
what is gone (https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html).
"""

import copy
import re
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any
from urllib.parse import parse_qsl

from moto.ec2.models.instances import Instance, InstanceState
from moto.iam.models import IAMBackend

IDENTIFIER = re.compile(r"\b(?:i|vpc|subnet|sg|rtb|igw|vpce|eni|vol)-[0-9a-f]{8,17}\b")
MAKES = re.compile(r"ec2:(Create|Run|Allocate)")
ASKS = re.compile(r"ec2:Describe")
NOT_FOUND = {
    "i": "InvalidInstanceID.NotFound",
    "vpc": "InvalidVpcID.NotFound",
    "subnet": "InvalidSubnetID.NotFound",
    "sg": "InvalidGroup.NotFound",
    "rtb": "InvalidRouteTableID.NotFound",
    "igw": "InvalidInternetGatewayID.NotFound",
    "vpce": "InvalidVpcEndpointId.NotFound",
    "eni": "InvalidNetworkInterfaceID.NotFound",
    "vol": "InvalidVolume.NotFound",
}


@dataclass
class Lateness:
    """How late: seconds until what is made is described, and for how long ended instances shut down, in turn."""

    described_after: float = 0.0
    shutting_down: tuple[float, ...] = (0.0,)
    _made: dict[str, float] = field(default_factory=dict)
    _next: Iterator[float] = field(default_factory=lambda: cycle([0.0]))

    def set(self, described_after: float = 0.0, shutting_down: Iterable[float] = (0.0,)) -> None:
        """From now on, be so late."""
        self.described_after, self.shutting_down = described_after, tuple(shutting_down)
        self._next = cycle(self.shutting_down)

    def next_shutting_down(self) -> float:
        """The seconds of the next instance that is ended."""
        return next(self._next)

    def note(self, call: str, answer: bytes) -> None:
        """Remember what this call has made."""
        if self.described_after and MAKES.match(call):
            for identifier in IDENTIFIER.findall(answer.decode(errors="replace")):
                self._made.setdefault(identifier, time.monotonic())

    def unknown(self, call: str, body: bytes) -> str | None:
        """The error code for a call that asks by identifier for what is not described yet; None where it may go on."""
        if not self.described_after or not ASKS.match(call):
            return None
        asked = parse_qsl(body.decode(errors="replace"))
        named = (value for name, value in asked if not name.startswith("Filter.") and self._is_young(value))
        return next((NOT_FOUND[value.partition("-")[0]] for value in named), None)

    def without_young(self, call: str, answer: bytes) -> bytes:
        """The answer of a describe call without what is not described yet."""
        if not self.described_after or not ASKS.match(call) or not any(map(self._is_young, self._made)):
            return answer
        root = ET.fromstring(answer)  # noqa: S314  moto's own
        namespace = root.tag.partition("}")[0].lstrip("{")
        ET.register_namespace("", namespace)
        for listed in [part for part in root.iter() if part.tag.rpartition("}")[2] in ("instancesSet", _set_of(root))]:
            for item in list(listed):
                if any(self._is_young(part.text or "") for part in item):
                    listed.remove(item)
        described: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
        return described

    def _is_young(self, identifier: str) -> bool:
        return time.monotonic() - self._made.get(identifier, float("-inf")) < self.described_after


lateness = Lateness()


def apply() -> None:
    """Let moto be late where `lateness` says so."""
    _shut_down_slowly()
    _list_roles_that_are_gone()


def _set_of(root: ET.Element) -> str:
    """The element that lists what was asked for: the first whose name ends so."""
    return next((part.tag.rpartition("}")[2] for part in root if part.tag.endswith(("Set", "Info"))), "")


def _shut_down_slowly() -> None:
    """An instance lists as shutting-down, its interface still in its groups, for up to some minutes."""
    at_once = Instance.terminate

    def terminate(self: Any, *args: Any, **kwargs: Any) -> Any:
        seconds = lateness.next_shutting_down()
        if not seconds or self._state.name in ("shutting-down", "terminated"):
            return at_once(self, *args, **kwargs) if self._state.name != "shutting-down" else copy.copy(self._state)
        previous = copy.copy(self._state)
        self._state = InstanceState("shutting-down", 32)
        timer = threading.Timer(seconds, lambda: at_once(self, *args, **kwargs))
        timer.daemon = True
        timer.start()
        return previous

    Instance.terminate = terminate


def _list_roles_that_are_gone() -> None:
    """A deleted role is listed for a while, and whoever asks for it by name is told that there is none."""
    gone: list[tuple[float, Any]] = []
    delete, list_roles = IAMBackend.delete_role, IAMBackend.list_roles

    def delete_and_remember(self: Any, role_name: str) -> None:
        role = self.get_role(role_name)
        delete(self, role_name)
        gone.append((time.monotonic(), role))

    def list_with_gone(self: Any, *args: Any, **kwargs: Any) -> Any:
        roles, marker = list_roles(self, *args, **kwargs)
        now = time.monotonic()
        return [*roles, *(role for moment, role in gone if now - moment < lateness.described_after)], marker

    IAMBackend.delete_role, IAMBackend.list_roles = delete_and_remember, list_with_gone
