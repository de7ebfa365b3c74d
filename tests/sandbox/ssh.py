"""Commands on a host over SSH, its key checked against the one on its disk."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.sandbox.host import Host
from tests.sandbox.images.image import ADMIN


@dataclass(frozen=True)
class Shell:
    """A way to run commands on hosts as the administrator who has this private key."""

    key: Path

    def words(self, host: Host, command: str) -> list[str]:
        """The OpenSSH command that runs a command line on the host."""
        return ["ssh", *self._options(host), f"{ADMIN}@{_address(host)}", command]

    def run(self, host: Host, command: str, seconds: float = 60, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command line on the host; `text` is its input. Raises subprocess.TimeoutExpired after `seconds`."""
        return subprocess.run(
            self.words(host, command),
            input=text,
            text=True,
            capture_output=True,
            timeout=seconds,
            check=False,
        )

    def _options(self, host: Host) -> list[str]:
        known = self.key.with_name(f"known_hosts_{host.name}")
        known.write_text(f"{_address(host)} {host.host_key()}\n")
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": "10",
            "IdentityFile": _quoted(self.key),
            "IdentitiesOnly": "yes",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": _quoted(known),
        }
        return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]

    def must(self, host: Host, command: str, seconds: float = 60, text: str = "") -> str:
        """Run a command that has to succeed; what it printed."""
        done = self.run(host, command, seconds, text)
        assert done.returncode == 0, f"{host.name}: {command}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()


def _quoted(path: Path) -> str:
    """A path as OpenSSH's settings have one: with spaces, and a percent sign doubled."""
    doubled = str(path).replace("%", "%%")
    return f'"{doubled}"'


def _address(host: Host) -> str:
    return host.metadata.identity.public_ip or str(host.address)
