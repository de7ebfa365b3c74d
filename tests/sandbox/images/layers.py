"""A prepared layer: what the roles that only install leave on a host, kept to start other hosts from.

It holds no secret and no identity of the host it was made on: the roles that make a cluster of hosts run later.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.sandbox import handle, runs
from tests.sandbox.host import unmount
from tests.sandbox.images import image
from tests.sandbox.images.cache import being_built
from tests.sandbox.machine import SandboxError
from tests.sandbox.sandbox import Sandbox

ROOT = Path(__file__).resolve().parents[3]
ROLES = ("common", "java", "environment")
# What the layer is made from; when one of these changes, it is made again.
SOURCES = (
    "requirements/nodes.txt",
    "requirements/bootstrap.txt",
    "ansible/roles/orchard",
    "ansible/roles/java",
    "ansible/roles/environment",
)
# What belongs to one host: cloud-init, SSH, systemd and the playbook make it anew.
IDENTITY = (
    "etc/cloud/cloud.cfg.d/99-orchard.cfg",
    "etc/hostname",
    "etc/hosts",
    "etc/machine-id",
    "etc/orchard/cluster.json",
    "etc/ssh",
    "home/admin/.ansible",
    "home/admin/.ssh",
    "tmp",
    "var/lib/cloud",
    "var/lib/dbus/machine-id",
    "var/lib/systemd/random-seed",
    "var/tmp",
)


def prepared() -> Path:
    """The layer's folder, made when it is missing or what it comes from changed: some minutes."""
    folder = runs.home() / "layers" / f"nodes-{_fingerprint()}"
    with being_built(folder) as scratch:
        if scratch is not None:
            print("Preparing the hosts' layer with Java and the environment, once: some minutes.", file=sys.stderr)
            _make(scratch)
    return folder


def _make(layer: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="orchard-layer-") as name, Sandbox() as sandbox:
        folder = Path(name) / "terraform"
        [host] = sandbox.add_plain(["master"], handle.make_key(folder), memory=None)
        host.wait_until_ready()
        handle.write(folder, [host])
        _install(folder)
        host.stop()
        for path in IDENTITY:
            _remove(host.upper / path)
        # The folders in it stay: packages made them for their services.
        for log in (host.upper / "var/log").rglob("*"):
            if not log.is_dir():
                log.unlink()
        unmount(host.root)
        (host.upper).rename(layer)


def _install(folder: Path) -> None:
    playbook = folder / "layer.yml"
    roles = ", ".join(ROLES)
    playbook.write_text(
        "- {hosts: all, become: true, gather_facts: true, tasks: [{include_role: {name: '{{ item }}', "
        f"tasks_from: preflight}}, loop: [{roles}]}}]}}\n"
        f"- {{hosts: all, become: true, roles: [{roles}]}}\n"
    )
    command = [str(Path(sys.executable).with_name("ansible-playbook")), str(playbook)]
    command += ["-i", str(ROOT / "ansible" / "inventory.py")]
    environment = {
        "ANSIBLE_CONFIG": str(ROOT / "ansible" / "ansible.cfg"),
        "ORCHARD_TERRAFORM": str(folder),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        command,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SandboxError(f"The prepared layer could not be made:\n{done.stdout[-2000:]}{done.stderr[-500:]}")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _fingerprint() -> str:
    digest = hashlib.sha256(f"{image.base()} {Path(__file__).read_text()}".encode())
    for source in SOURCES:
        path = ROOT / source
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        for file in files:
            digest.update(f"{file.relative_to(ROOT)}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:12]
