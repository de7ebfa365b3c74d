"""What the person has set in terraform/terraform.tfvars, over the defaults of variables.tf."""

import os
import re
from pathlib import Path
from typing import Any

import hcl2
from lark.exceptions import LarkError

from scripts.console import CHECKOUT
from scripts.errors import InputError

Value = str | int | bool | list[str] | None

AS_VALUES = hcl2.SerializationOptions(strip_string_quotes=True, with_comments=False)


def terraform_folder() -> Path:
    """The Terraform folder: the checkout's, or ORCHARD_TERRAFORM, as for Ansible's inventory."""
    return Path(os.environ.get("ORCHARD_TERRAFORM") or CHECKOUT / "terraform").resolve()


def tfvars() -> Path:
    """The settings' file."""
    return terraform_folder() / "terraform.tfvars"


def state_folder(cluster_name: str) -> Path:
    """Where this machine keeps the cluster's key and lock: `.orchard/NAME` beside the Terraform folder."""
    return terraform_folder().parent / ".orchard" / cluster_name


def read() -> dict[str, Any]:
    """What terraform.tfvars says. Raises InputError when it is not there, cannot be read or names no cluster."""
    if not tfvars().exists():
        raise InputError(
            "There is no terraform/terraform.tfvars: run `make init`, which asks a few questions and writes it."
        )
    settings = _parse(tfvars().read_text(), "terraform/terraform.tfvars")
    if not settings.get("cluster_name"):
        raise InputError('terraform/terraform.tfvars names no cluster: add a line such as cluster_name = "fruits".')
    return settings


def setting(name: str) -> Any:
    """A setting as it is in force: the person's, or else the variable's default."""
    settings = read()
    return settings[name] if name in settings else default(name)


def default(name: str) -> Any:
    """The default of a variable in variables.tf; only its block is parsed, for the whole file takes seconds."""
    text = (terraform_folder() / "variables.tf").read_text()
    block = re.search(rf'^variable "{name}" {{$.*?^}}$', text, re.MULTILINE | re.DOTALL)
    if block is None:
        raise KeyError(name)
    [variable] = _parse(block.group(), "terraform/variables.tf")["variable"]
    return next(iter(variable.values())).get("default")


def change(name: str, value: Value) -> None:
    """Give a setting another value in terraform.tfvars, in its own line; every other line stays as it is."""
    text = tfvars().read_text()
    line = f"{name} = {literal(value)}"
    found = re.compile(rf"^{name}(\s*)=.*?(\s+#.*)?$", re.MULTILINE)
    changed, times = found.subn(lambda old: f"{name}{old[1]}= {literal(value)}{old[2] or ''}", text, count=1)
    write(changed if times else f"{text.rstrip()}\n{line}\n")


def write(text: str) -> None:
    """Replace terraform.tfvars at once, so that a break leaves the old or the new one."""
    new = tfvars().with_suffix(".tfvars.new")
    new.write_text(text)
    new.replace(tfvars())


def literal(value: Value) -> str:
    """A value as Terraform's language writes it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(literal(item) for item in value)}]"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("${", "$${").replace("%{", "%%{")
        return f'"{escaped}"'
    return str(value)


def _parse(text: str, name: str) -> dict[str, Any]:
    try:
        parsed: dict[str, Any] = hcl2.loads(
            text if text.endswith("\n") else f"{text}\n", serialization_options=AS_VALUES
        )
    except LarkError as error:
        line = getattr(error, "line", None)
        where = f"line {line} of {name}" if line and line > 0 else f"the end of {name}"
        raise InputError(
            f"Terraform's language does not allow what stands at {where}: mend it, then try again."
        ) from None
    return parsed
