"""Commands on a host over SSH, its key checked against the one on its disk."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.sandbox.host import Host
from tests.cluster.sandbox.image import ADMIN


@dataclass(frozen=True)
class Shell:
    """A way to run commands on hosts as the administrator who has this private key."""

    key: Path

    def run(self, host: Host, command: str, seconds: float = 60, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command line on the host; `text` is its input. Raises subprocess.TimeoutExpired after `seconds`."""
        address = host.metadata.identity.public_ip or str(host.address)
        known = self.key.with_name(f"known_hosts_{host.name}")
        known.write_text(f"{address} {host.host_key()}\n")
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": "10",
            "IdentitiesOnly": "yes",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": str(known),
        }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return subprocess.run(
            ["ssh", "-i", self.key, *words, f"{ADMIN}@{address}", command],
            input=text,
            text=True,
            capture_output=True,
            timeout=seconds,
            check=False,
        )

    def must(self, host: Host, command: str, seconds: float = 60) -> str:
        """Run a command that has to succeed; what it printed."""
        done = self.run(host, command, seconds)
        assert done.returncode == 0, f"{host.name}: {command}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()
