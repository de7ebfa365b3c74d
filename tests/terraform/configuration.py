"""A working copy of terraform/ with variables and a state of its own."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).resolve().parents[2] / "terraform"
DEADLINE = 240  # seconds for one command; the slowest, an apply with lifecycle rules, takes about 60

Result = subprocess.CompletedProcess[str]


class Configuration:
    """Runs Terraform in a folder as a person would; nothing of it touches the checkout."""

    def __init__(self, folder: Path, environment: dict[str, str], **variables: Any) -> None:
        self.folder = folder
        self._environment = os.environ | environment | {"TF_IN_AUTOMATION": "1", "NO_COLOR": "1"}
        shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns(".terraform", "*.tfstate*", "terraform.tfvars"))
        self._variables: dict[str, Any] = {}
        self.set(**variables)

    def set(self, **variables: Any) -> None:
        """Change these variables, as a person edits terraform.tfvars."""
        self._variables |= variables
        (self.folder / "terraform.tfvars.json").write_text(json.dumps(self._variables))

    def run(self, *words: str) -> Result:
        """Run one Terraform command and return how it ended."""
        command = ["terraform", *words]
        return subprocess.run(
            command, cwd=self.folder, env=self._environment, text=True, capture_output=True, timeout=DEADLINE, check=False
        )

    def must(self, *words: str) -> str:
        """Run one command that has to succeed; what it printed."""
        result = self.run(*words)
        assert result.returncode == 0, f"terraform {' '.join(words)}\n{result.stdout}\n{result.stderr}"
        return result.stdout

    def init(self, *words: str) -> str:
        """Install the provider exactly as locked."""
        return self.must("init", "-input=false", "-lockfile=readonly", *words)

    def apply(self, *words: str) -> str:
        """Create or change what the variables say."""
        return self.must("apply", "-auto-approve", "-input=false", *words)

    def destroy(self, *words: str) -> Result:
        """Destroy all; may fail, as it does over a bucket that is kept."""
        return self.run("destroy", "-auto-approve", "-input=false", *words)

    def changes(self) -> dict[str, list[str]]:
        """Address of each resource a plan would touch, with its actions; empty when nothing would change."""
        self.must("plan", "-input=false", "-out=change.tfplan")
        plan = json.loads(self.must("show", "-json", "change.tfplan"))
        return {
            change["address"]: change["change"]["actions"]
            for change in plan["resource_changes"]
            if change["change"]["actions"] not in (["no-op"], ["read"])
        }

    def outputs(self) -> dict[str, Any]:
        """The outputs' values by name."""
        return {name: output["value"] for name, output in json.loads(self.must("output", "-json")).items()}

    def resources(self) -> list[str]:
        """Addresses of the resources in the state, data sources left out."""
        return [address for address in self.must("state", "list").split() if not address.startswith("data.")]
