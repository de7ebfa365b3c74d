"""What the person has set in terraform/terraform.tfvars, over the defaults of variables.tf."""

import os
import re
from pathlib import Path
from typing import Any

import hcl2
from lark.exceptions import LarkError

from scripts.console import CHECKOUT
from scripts.errors import InputError

Value = str | int | float | bool | list[str] | None

NUMBER = re.compile(r"-?\d+(\.\d+)?")
BOOLEANS = {**dict.fromkeys(("y", "yes", "true", "1"), True), **dict.fromkeys(("n", "no", "false", "0"), False)}

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


def text() -> str:
    """terraform.tfvars as it lies there. Raises InputError when it does not."""
    if not tfvars().exists():
        raise InputError(
            "There is no terraform/terraform.tfvars: run `make init`, which asks a few questions and writes it."
        )
    return tfvars().read_text()


def read() -> dict[str, Any]:
    """What terraform.tfvars says. Raises InputError when it is not there, cannot be read or names no cluster."""
    settings = _parse(text(), "terraform/terraform.tfvars")
    if not settings.get("cluster_name"):
        raise InputError('terraform/terraform.tfvars names no cluster: add a line such as cluster_name = "fruits".')
    return settings


def setting(name: str) -> Any:
    """A setting as it is in force: the person's, or else the variable's default."""
    settings = read()
    return settings[name] if name in settings else default(name)


def default(name: str) -> Any:
    """The default of a variable in variables.tf."""
    return _variable(name).get("default")


def least_terraform() -> str:
    """The oldest version of Terraform that versions.tf takes."""
    versions = (terraform_folder() / "versions.tf").read_text()
    required = re.search(r'required_version\s*=\s*">= ([\d.]+)', versions)
    if required is None:
        raise KeyError("required_version")
    return required[1]


def typed(name: str, given: str) -> Value:
    """What a person gave for a variable, in the type that variables.tf has for it.

    What is not of that type stays as it was given, for Terraform to refuse.
    """
    kind = _variable(name)["type"]
    if kind == "number" and NUMBER.fullmatch(given):
        number = float(given)
        return int(number) if number.is_integer() else number
    if kind == "${list(string)}":
        return [word for word in re.split(r"[,\s]+", given) if word]
    if kind == "bool":
        return BOOLEANS.get(given.lower(), given)
    return given


def with_setting(settings: str, name: str, value: Value) -> str:
    """The text of a terraform.tfvars with another value for a setting, in its own line; other lines stay."""
    # A list may go over several lines.
    found = re.compile(rf"^{name}(\s*)=[ \t]*(?:\[[^\]]*\]|.*?)(\s+#.*)?$", re.MULTILINE)
    changed, times = found.subn(lambda old: f"{name}{old[1]}= {literal(value)}{old[2] or ''}", settings, count=1)
    return changed if times else f"{settings.rstrip()}\n{name} = {literal(value)}\n"


def write(settings: str) -> None:
    """Replace terraform.tfvars at once, so that a break leaves the old or the new one."""
    new = tfvars().with_suffix(".tfvars.new")
    new.write_text(settings)
    new.replace(tfvars())


def literal(value: Value) -> str:
    """A value as Terraform's language writes it."""
    # Not hcl2.dumps: it escapes neither quotation marks, backslashes and line ends, nor ${ and %{.
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(literal(item) for item in value)}]"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        escaped = escaped.replace("${", "$${").replace("%{", "%%{")
        return f'"{escaped}"'
    return str(value)


def _variable(name: str) -> dict[str, Any]:
    """A variable's block in variables.tf; only this is parsed, for the whole file takes seconds."""
    variables = (terraform_folder() / "variables.tf").read_text()
    block = re.search(rf'^variable "{name}" {{$.*?^}}$', variables, re.MULTILINE | re.DOTALL)
    if block is None:
        raise KeyError(name)
    [variable] = _parse(block.group(), "terraform/variables.tf")["variable"]
    described: dict[str, Any] = next(iter(variable.values()))
    return described


def _parse(content: str, name: str) -> dict[str, Any]:
    try:
        parsed: dict[str, Any] = hcl2.loads(
            content if content.endswith("\n") else f"{content}\n", serialization_options=AS_VALUES
        )
    except LarkError as error:
        line = getattr(error, "line", None)
        where = f"line {line} of {name}" if line and line > 0 else f"the end of {name}"
        raise InputError(
            f"Terraform's language does not allow what stands at {where}: mend it, then try again."
        ) from None
    return parsed
