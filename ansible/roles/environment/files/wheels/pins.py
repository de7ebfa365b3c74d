"""The packages that a lock of uv's names for this machine. Python's own library has no reader of markers."""

import ast
import operator
import os
import platform
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

PIN = re.compile(
    r"^(?P<name>[\w.-]+)==(?P<version>[^\s;\\]+)(?: *; *(?P<marker>[^\\\n]+?))?(?P<hashes>(?: *\\\n +--hash=\S+)+) *$",
    re.MULTILINE,
)
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


@dataclass(frozen=True)
class Pin:
    """A package, its version, and the SHA-256s that its file may have."""

    name: str
    version: str
    hashes: frozenset[str]

    def requirement(self) -> str:
        """The line by which pip takes it."""
        return " ".join([f"{self.name}=={self.version}", *(f"--hash=sha256:{found}" for found in sorted(self.hashes))])


def of_lock(text: str, machine: dict[str, str] | None = None) -> list[Pin]:
    """What the lock names where markers have these values; by default this machine's."""
    values = of_machine() if machine is None else machine
    return [
        Pin(found["name"], found["version"], frozenset(HASH.findall(found["hashes"])))
        for found in PIN.finditer(text)
        if found["marker"] is None or holds(found["marker"], values)
    ]


def of_machine() -> dict[str, str]:
    """The markers' values here."""
    return {
        "implementation_name": sys.implementation.name,
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_system": platform.system(),
        "python_full_version": platform.python_version(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
    }


def holds(marker: str, values: dict[str, str]) -> bool:
    """Whether a marker holds for these values: comparisons, `and`, `or`. Raises KeyError for what it does not know."""
    return bool(_value(ast.parse(marker.strip(), mode="eval").body, values))


def _value(node: ast.expr, values: dict[str, str]) -> Any:
    if isinstance(node, ast.BoolOp):
        parts = [_value(part, values) for part in node.values]
        return all(parts) if isinstance(node.op, ast.And) else any(parts)
    if isinstance(node, ast.Compare):
        sides = [node.left, node.comparators[0]]
        # 3.9 comes before 3.11.
        is_version = any(isinstance(side, ast.Name) and side.id.endswith("version") for side in sides)
        left, right = [_numbers(_value(side, values)) if is_version else _value(side, values) for side in sides]
        return COMPARE[type(node.ops[0])](left, right)
    return node.value if isinstance(node, ast.Constant) else values[node.id] if isinstance(node, ast.Name) else None


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]
