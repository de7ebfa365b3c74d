"""A working copy of terraform/ with variables and a state of its own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).resolve().parents[2] / "terraform"
DEADLINE = 240  # seconds for one command; the slowest, an apply with lifecycle rules, takes about 60

Result = subprocess.CompletedProcess[str]


class Configuration:
    """Runs Terraform in a folder as a person would; nothing of it touches the checkout."""

    def __init__(self, folder: Path, environment: dict[str, str], **variables: Any) -> None:
        self.folder = folder
        self._environment = os.environ | environment | {"TF_IN_AUTOMATION": "1"}
        shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns(".terraform", "*.tfstate*", "terraform.tfvars"))
        self._variables: dict[str, Any] = {}
        self.set(**variables)

    def set(self, **variables: Any) -> None:
        """Change these variables, as a person edits terraform.tfvars."""
        self._variables |= variables
        (self.folder / "terraform.tfvars.json").write_text(json.dumps(self._variables))

    def settings(self, *names: str) -> dict[str, Any]:
        """What these variables are set to now."""
        return {name: self._variables[name] for name in names}

    def run(self, *words: str) -> Result:
        """Run one Terraform command and return how it ended."""
        command = ["terraform", *words]
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self._environment,
            text=True,
            capture_output=True,
            timeout=DEADLINE,
            check=False,
        )

    def operate(self, code: str) -> Result:
        """Run a piece of the operator's own code over this folder, in the workspace that is the operator's."""
        (self.folder / "terraform.tfvars").write_text(f'cluster_name = "{self._variables["cluster_name"]}"\n')
        logs = f"from pathlib import Path\nfrom scripts import console\nconsole.LOGS = Path({str(self.folder)!r})\n"
        return subprocess.run(
            [sys.executable, "-c", logs + code],
            cwd=SOURCE.parent,
            env=self._environment | {"ORCHARD_TERRAFORM": str(self.folder), "COLUMNS": "200"},
            text=True,
            capture_output=True,
            timeout=2 * DEADLINE,
            check=False,
        )

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start one Terraform command and leave it running, its questions to be answered by the test."""
        command = ["terraform", *words]
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen(command, cwd=self.folder, env=self._environment, text=True, **streams)

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

    def changes(self, *words: str) -> dict[str, str]:
        """Address of each resource a plan would touch, with what it would do; empty when nothing would change."""
        events = map(json.loads, self.must("plan", "-json", "-input=false", "-out=change.tfplan", *words).splitlines())
        planned = (event["change"] for event in events if event["type"] == "planned_change")
        return {change["resource"]["addr"]: change["action"] for change in planned if change["action"] != "read"}

    def carry_out(self) -> str:
        """Apply just what `changes` has shown."""
        return self.must("apply", "-input=false", "change.tfplan")

    def outputs(self) -> dict[str, Any]:
        """The outputs' values by name."""
        return {name: output["value"] for name, output in json.loads(self.must("output", "-json")).items()}

    def attributes(self, address: str) -> dict[str, Any]:
        """What the state has of a resource."""
        known = json.loads(self.must("show", "-json"))["values"]["root_module"]["resources"]
        return next(dict(resource["values"]) for resource in known if resource["address"] == address)

    def resources(self) -> list[str]:
        """Addresses of the resources in the state, data sources left out."""
        return [address for address in self.must("state", "list").split() if not address.startswith("data.")]
