"""A Spark cluster on sandbox hosts, made by the project's own playbook, and what tests ask of it."""

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.sandbox import handle
from tests.sandbox.host import Host
from tests.sandbox.sandbox import Sandbox
from tests.sandbox.ssh import Shell

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)
PYTHON = "/opt/orchard/venv/bin/python"


@dataclass(frozen=True)
class Played:
    """How a playbook ended: `changed` by host, the text, the time it took."""

    code: int
    changed: dict[str, int]
    text: str
    seconds: float


class Cluster:
    """Hosts of one sandbox as a cluster: the first is the master. `folder` holds key, known hosts and outputs."""

    def __init__(
        self, sandbox: Sandbox, folder: Path, hosts: list[Host], bucket: str, environment: dict[str, str]
    ) -> None:
        self.sandbox, self.folder, self.hosts, self.bucket = sandbox, folder, hosts, bucket
        self._environment = environment
        self.shell = Shell(folder / "id_ed25519")

    @property
    def master(self) -> Host:
        return self.hosts[0]

    @property
    def workers(self) -> list[Host]:
        return self.hosts[1:]

    def play(self, *words: str) -> Played:
        """Run `ansible/site.yml` on the hosts as the operator's side does."""
        handle.write(self.folder, self.hosts, self.bucket)
        started = time.monotonic()
        done = subprocess.run(
            [
                BIN / "ansible-playbook",
                ROOT / "ansible" / "site.yml",
                "--extra-vars",
                json.dumps({"spark_environment": self._environment}),
                *words,
            ],
            cwd=ROOT,
            env=os.environ
            | {
                "ANSIBLE_CONFIG": str(ROOT / "ansible" / "ansible.cfg"),
                "ANSIBLE_NOCOLOR": "1",
                "ORCHARD_TERRAFORM": str(self.folder),
                "PATH": f"{BIN}:{os.environ['PATH']}",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        (self.folder / "ansible.log").write_text(done.stdout)
        changed = {host: int(changed) for host, _, changed, _, _ in RECAP.findall(done.stdout)}
        return Played(done.returncode, changed, done.stdout, time.monotonic() - started)

    def state(self) -> dict[str, Any]:
        """What the master says of itself and its workers; empty while it does not answer."""
        page = f"http://{self.master.address}:8080/json/"
        ask = f"python3 -c 'import urllib.request as u; print(u.urlopen(\"{page}\", timeout=5).read().decode())'"
        done = self.shell.run(self.master, ask)
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def alive(self) -> set[str]:
        """Addresses of the workers that the master sees alive (it goes on listing dead ones)."""
        return {worker["host"] for worker in self.state().get("workers", []) if worker["state"] == "ALIVE"}

    def wants(self) -> set[str]:
        """Addresses of the workers that there are."""
        return {str(worker.address) for worker in self.workers}
