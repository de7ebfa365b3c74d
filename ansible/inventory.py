#!/usr/bin/env python3
"""Ansible's inventory, made from Terraform's outputs each time it is asked for.

ORCHARD_TERRAFORM  the Terraform folder, when it is not the one beside this folder
ORCHARD_BAKING     when set, the hosts that images are made of, in place of the cluster's
"""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

SSH_CONFIG = Path(__file__).resolve().parent / "ssh_config"


class InventoryError(Exception):
    """There is no inventory to give; the message is one sentence with the next step."""


def read_outputs(terraform: Path) -> dict[str, Any]:
    """What `terraform output` says of the cluster. Raises InventoryError where it says nothing."""
    try:
        answer = subprocess.run(
            ["terraform", f"-chdir={terraform}", "output", "-json"], capture_output=True, text=True, check=True
        ).stdout
    except FileNotFoundError:
        raise InventoryError("Terraform is not installed: put terraform on PATH.") from None
    except subprocess.CalledProcessError as failure:
        first_line = next((line.strip("│╷╵ ") for line in failure.stderr.splitlines() if "Error" in line), "no reason")
        raise InventoryError(
            f"Terraform could not read its outputs in {terraform} ({first_line}): run `terraform init` there."
        ) from None
    outputs = {name: output["value"] for name, output in json.loads(answer).items()}
    if not {"master", "workers"} <= set(outputs):
        raise InventoryError(f"No whole cluster is up by the state in {terraform}: run `make up` first.")
    return outputs


def baking(outputs: dict[str, Any]) -> dict[str, Any]:
    """The outputs as of a cluster that consists of the hosts that images are made of. Raises InventoryError."""
    hosts = outputs.get("bake") or {}
    if not {"master", "worker"} <= set(hosts):
        raise InventoryError("No hosts are there to make images of: `make bake` makes them.")
    return outputs | {"master": hosts["master"], "workers": [hosts["worker"]]}


def inventory(outputs: dict[str, Any], terraform: Path) -> dict[str, Any]:
    """The outputs as Ansible takes an inventory: groups `master` and `workers`, with every host's variables."""
    cluster = outputs["cluster_name"]
    # Ansible knows a host by the cluster's name too: a host `master` beside the group `master` confuses it.
    hosts = {f"{cluster}-{host['name']}": host for host in [outputs["master"], *outputs["workers"]]}
    master, *workers = hosts
    key = Path(outputs["ssh_key_path"]).expanduser()
    # Host keys are pinned in the cluster's folder, wherever its key lies; an unknown host is refused.
    known_hosts = terraform.resolve().parent / ".orchard" / cluster / "known_hosts"
    options = ["-F", str(SSH_CONFIG)]
    options += ["-o", f"IdentityFile={_as_ssh_reads(key)}", "-o", f"UserKnownHostsFile={_as_ssh_reads(known_hosts)}"]
    if jump := outputs.get("ssh_proxy_command"):
        options += ["-o", f"ProxyCommand={jump}"]
    return {
        "master": {"hosts": [master]},
        "workers": {"hosts": workers},
        "all": {
            "children": ["master", "workers"],
            "vars": {
                "ansible_user": outputs["ssh_user"],
                "ansible_ssh_common_args": shlex.join(options),
                # Said here, for the environment of whoever calls would win over ansible.cfg.
                "ansible_host_key_checking": True,
                "ansible_ssh_args": "-o ControlPath=none",
                "ansible_ssh_extra_args": "",
                "cluster_name": cluster,
                "cluster_region": outputs["region"],
                "cluster_bucket": outputs["bucket"],
                "cluster_ends": outputs["ends"],
                "cluster_cloudwatch": outputs["cloudwatch"],
                "cluster_worker_spot": outputs.get("worker_spot", False),
                "cluster_worker_tensorflow": outputs.get("worker_tensorflow", False),
            },
        },
        "_meta": {"hostvars": {name: _variables(host) for name, host in hosts.items()}},
    }


def _as_ssh_reads(path: Path) -> str:
    """A path as OpenSSH's settings have one: a percent sign begins a token there (ssh_config(5), TOKENS).

    Its option -i is none of them: it looks for the file by the name as it is given, and then reads that for tokens.
    """
    doubled = str(path).replace("%", "%%")
    return f'"{doubled}"'


def _variables(host: dict[str, Any]) -> dict[str, Any]:
    return {
        "ansible_host": host.get("public_ip") or host["private_ip"],
        "cluster_host": host["name"],
        "cluster_private_ip": host["private_ip"],
    }


def main(arguments: list[str]) -> int:
    """Answer Ansible's `--list` (and `--host NAME`, whose variables `--list` gave already)."""
    if "--host" in arguments:
        print("{}")
        return 0
    terraform = Path(os.environ.get("ORCHARD_TERRAFORM") or Path(__file__).resolve().parents[1] / "terraform")
    try:
        outputs = read_outputs(terraform)
        if os.environ.get("ORCHARD_BAKING"):
            outputs = baking(outputs)
        print(json.dumps(inventory(outputs, terraform), indent=2))
    except InventoryError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
