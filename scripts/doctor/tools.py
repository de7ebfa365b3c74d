"""The programs that the operator's commands call: whether they are there, and what they say that they are."""

import re

from scripts import processes, tfvars
from scripts.errors import MissingError

PROGRAMS = ("terraform", "ansible-playbook", "ssh", "ssh-keygen")


def check() -> str:
    """Their names, with Terraform's version. Raises MissingError for the first that is not there or will not do."""
    for program in PROGRAMS:
        processes.need(program)
    return f"Terraform {terraform()}, {', '.join(PROGRAMS[1:])}"


def terraform() -> str:
    """The version of the Terraform on the path. Raises MissingError where it is none, or too old."""
    path, get = processes.need("terraform"), processes.where_to_get("terraform")
    done = processes.capture(["terraform", "version"])
    said = re.match(r"(Terraform|OpenTofu) v(\S+)", done.out)
    if said is None:
        words = (done.err + done.out).strip().partition("\n")[0] or "nothing"
        raise MissingError(
            f"{path} tells no version (it says: {words}): where it is a version manager's, choose one with it (tfenv "
            f"use, asdf set, mise use); else {get}, then try again."
        )
    if said[1] == "OpenTofu":
        raise MissingError(f"{path} is OpenTofu {said[2]}, whose registry is another: {get}, then try again.")
    least = tfvars.least_terraform()
    if _numbers(said[2]) < _numbers(least):
        raise MissingError(f"Terraform {said[2]} ({path}) is too old, {least} is needed: {get}, then try again.")
    return said[2]


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]
