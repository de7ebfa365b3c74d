"""What Terraform says of itself: events of its JSON output, and errors in either of its two shapes."""

import json
import re
from dataclasses import dataclass
from typing import Any

Event = dict[str, Any]


@dataclass(frozen=True)
class Diagnostic:
    """What Terraform says went wrong, and with which resource."""

    summary: str
    detail: str
    address: str


def events(line: str) -> list[Event]:
    """The event in a line of Terraform's JSON output; none where the line is no event."""
    if not line.startswith("{"):
        return []
    try:
        return [json.loads(line)]
    except ValueError:
        return []


def errors(text: str) -> list[Diagnostic]:
    """The errors in Terraform's words, of its JSON events or of its boxes for people."""
    found = [
        Diagnostic(d["summary"], d.get("detail", ""), d.get("address", ""))
        for line in text.splitlines()
        for event in events(line)
        if event.get("type") == "diagnostic" and (d := event["diagnostic"])["severity"] == "error"
    ]
    return found or _boxed(text)


def _boxed(text: str) -> list[Diagnostic]:
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip("│╷╵ ") for line in text.splitlines()]
    found = []
    for index, line in enumerate(lines):
        if line.startswith("Error: "):
            rest = [later for later in lines[index + 1 :] if later]
            found.append(Diagnostic(line.removeprefix("Error: "), " ".join(rest[:6]), ""))
    return found
