"""Writes settings.md beside it, from terraform/variables.tf and the job's --help: `python -m docs.settings`."""

import contextlib
import io
import os
import re
from pathlib import Path
from typing import Any
from unittest import mock

import hcl2

from pipeline import cli

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "settings.md"
COMMANDS = ("run", "demo", "report", "check", "upload", "download", "history", "pack")

ABOUT = """\
# Settings

Made from `terraform/variables.tf` and the job's `--help` by `make docs`: change it there.

## The cluster

`terraform/terraform.tfvars` is the only place where you set anything about the cluster. `make init` writes it from a
few questions; `terraform/terraform.tfvars.example` can be copied. `make plan` says what a change would do and cost,
`make up` makes it so. What is outside of these rules is refused before anything is changed, with the sentence that
stands here.
"""
JOB = """
## The job

`make run ARGS='...'` and `make demo ARGS='...'` hand these options on; `python -m pipeline COMMAND` takes them itself.
`--images`, `--output`, `--master` and `--run-id` are `make run`'s own. A share is a number from 0 to 1.
"""
VARIABLES = """
## The environment

| variable | read by | what for |
| --- | --- | --- |
| `AWS_PROFILE`, `AWS_ACCESS_KEY_ID`, ... | all | credentials, as for every AWS tool |
| `AWS_CA_BUNDLE`, `REQUESTS_CA_BUNDLE`, `SSL_CERT_FILE`, `PIP_CERT` | all | certificates that all tools trust |
| `HTTPS_PROXY`, `NO_PROXY` | all but ssh | a company's proxy; for ssh there is `ssh_proxy_jump` |
| `PIP_INDEX_URL`, `PIP_EXTRA_INDEX_URL` | `make setup`, `make submit` | a mirror of packages |
| `AWS_REGION` | the job | the bucket's region |
| `AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_S3` | all | another server that speaks S3 |
| `AWS_SHARED_CREDENTIALS_FILE` | `make credentials` | the file that gets the profile, instead of `~/.aws/credentials` |
| `JAVA_HOME` | the job | the Java to take, 17 to 25 |
| `KERAS_HOME` | the job | where Keras keeps the weights that it has downloaded, instead of `~/.keras` |
| `XDG_CACHE_HOME` | all | for converted networks, prices, hosts' images, instead of `~/.cache` |
| `YES` | the operator's commands | `YES=1` answers every question |
| `ORCHARD_TERRAFORM` | the operator's commands, Ansible | another Terraform folder than the checkout's |
"""


def page() -> str:
    """The whole page."""
    return ABOUT + "".join(_variables()) + JOB + "".join(_options(command) for command in COMMANDS) + VARIABLES


def _variables() -> list[str]:
    """A section for each group of variables.tf: a comment line names it, blocks follow."""
    text = (ROOT / "terraform" / "variables.tf").read_text()
    values = hcl2.SerializationOptions(strip_string_quotes=True, with_comments=False)
    blocks = hcl2.loads(text, serialization_options=values)["variable"]
    variables = {name: body for block in blocks for name, body in block.items()}
    _, *groups = re.split(r"^# (.+)$", text, flags=re.MULTILINE)
    sections = []
    for title, body in zip(groups[::2], groups[1::2], strict=True):
        names = re.findall(r'^variable "(\w+)"', body, re.MULTILINE)
        rows = "".join(_row(name, variables[name]) for name in names)
        rules = [f"- {sentence}\n" for name in names for sentence in _rules(variables[name])]
        table = f"| setting | default | what it is |\n| --- | --- | --- |\n{rows}"
        sections.append(f"\n### {title}\n\n{table}" + "".join(["\n", *rules] if rules else []))
    return sections


def _row(name: str, variable: dict[str, Any]) -> str:
    default = f"`{_literal(variable['default'])}`" if "default" in variable else "to be set"
    return f"| `{name}` | {default} | {_cell(_plain(variable['description']))} |\n"


def _rules(variable: dict[str, Any]) -> list[str]:
    return [_plain(rule["error_message"]) for rule in variable.get("validation", [])]


def _literal(value: Any) -> str:
    """A default as one writes it in terraform.tfvars."""
    if isinstance(value, bool):
        return str(value).lower()
    if value in (None, "null"):
        return "null"
    if isinstance(value, list):
        return f"[{', '.join(_literal(item) for item in value)}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _options(command: str) -> str:
    """A section with the command's arguments."""
    usage, does, *lists = _help(command).split("\n\n")
    words = re.sub(r"\s+", " ", usage.removeprefix("usage: ").replace("[-h] ", ""))
    found = re.findall(r"^  (\S(?:\S| (?! ))*)  +(\S.*)$", "\n".join(lists), re.MULTILINE)
    rows = "".join(f"| `{_cell(name)}` | {_cell(text)} |\n" for name, text in found if not name.startswith("-h"))
    table = f"\n| argument | what it is |\n| --- | --- |\n{rows}" if rows else ""
    return f"\n### {command}\n\n`{words}`\n\n{does[0].upper()}{does[1:].rstrip()}.\n{table}"


def _help(command: str) -> str:
    """The command's help with each argument on one line, however long."""
    said = io.StringIO()
    with (
        mock.patch.dict(os.environ, COLUMNS="1000", NO_COLOR="1"),
        contextlib.redirect_stdout(said),
        contextlib.suppress(SystemExit),
    ):
        cli.main([command, "--help"])
    return re.sub(r"\n {10,}", "  ", said.getvalue())


def _plain(text: str) -> str:
    """A string of Terraform's as it reads."""
    return text.replace('\\"', '"')


def _cell(text: str) -> str:
    """Text that does not end a table's cell."""
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page())
