"""A checkout that was used has nothing secret for git to add."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What the commands of a cluster's life leave in a checkout.
LEFT = (
    ".orchard/fruits/id_ed25519",
    ".orchard/fruits/known_hosts",
    ".orchard/fruits/next.tfplan",
    ".orchard/fruits/jupyter.html",
    ".orchard/fruits/spark-remote.sh",
    ".orchard/logs/20260101-120000-up-1.log",
    ".orchard/environments/0.tar.gz",
    "logs/fruits-20260101-120000/master/spark-master.log",
    "results/20260101-120000/run.json",
    "runs/20260101-120000/run.json",
    "runs/fuzz/7-1",
    "ansible/roles/jupyter/files/orchard/pictures/Kiwi/00.jpg",
    "terraform/terraform.tfvars",
    "terraform/terraform.tfstate",
    "terraform/terraform.tfstate.backup",
    "terraform/terraform.tfstate.d/fruits/terraform.tfstate",
    "terraform/backend_override.tf",
    "terraform/.terraform/environment",
)


def test_git_adds_nothing_that_the_commands_leave(tmp_path: Path) -> None:
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    shutil.copy(ROOT / ".gitignore", tmp_path)
    for name in (*LEFT, "seen.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    words = ["git", "-C", tmp_path, "status", "--porcelain", "--untracked-files=all"]
    shown = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()[1::2]
    assert sorted(shown) == [".gitignore", "seen.txt"]
