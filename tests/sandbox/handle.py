"""What a person or a tool needs to work with plain hosts: key, known hosts, SSH settings, outputs as Terraform's."""

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.sandbox.host import Host
from tests.sandbox.images.image import ADMIN

CLUSTER = "sandbox"


def make_key(folder: Path) -> str:
    """An SSH key pair `id_ed25519` in the folder; gives the public half."""
    folder.mkdir(parents=True, exist_ok=True)
    key = folder / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", CLUSTER, "-f", key], check=True)
    return key.with_suffix(".pub").read_text().strip()


def write(folder: Path, hosts: list[Host], bucket: str = "none", region: str = "eu-west-1") -> None:
    """known_hosts and ssh_config for these hosts, and a Terraform state that holds the outputs of such a cluster.

    As in a checkout, known_hosts lies in `.orchard` beside the folder, which is Terraform's. The first host is the
    master. `ORCHARD_TERRAFORM=FOLDER ansible/inventory.py --list` then gives Ansible's inventory.
    """
    known = [f"{host.metadata.identity.public_ip} {host.host_key()}\n" for host in hosts]
    known_hosts = folder.parent / ".orchard" / CLUSTER / "known_hosts"
    known_hosts.parent.mkdir(parents=True, exist_ok=True)
    known_hosts.write_text("".join(known))
    entries = [f"Host {host.name}\n  HostName {host.metadata.identity.public_ip}\n" for host in hosts]
    common = (
        f"  User {ADMIN}\n  IdentityFile {folder / 'id_ed25519'}\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {known_hosts}\n  StrictHostKeyChecking yes\n"
    )
    (folder / "ssh_config").write_text("".join(entries) + "Host *\n" + common)
    outputs = _outputs(folder, hosts, bucket, region)
    state = {
        "version": 4,
        "terraform_version": "1.5.0",
        "serial": 1,
        "lineage": CLUSTER,
        "outputs": {name: {"value": value, "type": _type(value)} for name, value in outputs.items()},
        "resources": [],
    }
    (folder / "terraform.tfstate").write_text(json.dumps(state, indent=1))


def _outputs(folder: Path, hosts: list[Host], bucket: str, region: str) -> dict[str, Any]:
    described = [
        {
            "name": host.name,
            "id": host.metadata.identity.instance_id,
            "private_ip": str(host.address),
            "public_ip": host.metadata.identity.public_ip,
        }
        for host in hosts
    ]
    return {
        "cluster_name": CLUSTER,
        "region": region,
        "bucket": bucket,
        "master": described[0],
        "workers": described[1:],
        "ssh_user": ADMIN,
        "ssh_key_path": str(folder / "id_ed25519"),
        # No AWS stands behind these hosts: nothing is to end them.
        "ends": {"idle_minutes": 0, "max_age_hours": 0, "deaf_minutes": 0},
        "cloudwatch": False,
        # The metadata service of each answers whoever asks whether AWS takes it back.
        "worker_spot": True,
        "worker_tensorflow": False,
    }


def _type(value: Any) -> Any:
    """The value's type as a Terraform state writes it."""
    if isinstance(value, dict):
        return ["object", {name: _type(part) for name, part in value.items()}]
    if isinstance(value, list):
        return ["tuple", [_type(part) for part in value]]
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int) else "string"
