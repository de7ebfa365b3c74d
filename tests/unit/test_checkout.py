"""A checkout that was used has nothing secret for git to add; one is the same on every system."""

import re
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


@pytest.fixture(autouse=True)
def git() -> None:
    """What these tests ask."""
    if not shutil.which("git"):
        pytest.skip("git is not installed")


def test_git_adds_nothing_that_the_commands_leave(tmp_path: Path) -> None:
    shutil.copy(ROOT / ".gitignore", tmp_path)
    for name in (*LEFT, "seen.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    words = ["git", "-C", tmp_path, "status", "--porcelain", "--untracked-files=all"]
    shown = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()[1::2]
    assert sorted(shown) == [".gitignore", "seen.txt"]


@pytest.mark.parametrize("name", ["lock.sh", "nodes.txt", "spark-master.service.j2", "Makefile", "notebook.ipynb"])
def test_lines_end_as_unix_has_them_where_git_was_told_otherwise(name: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / ".gitattributes", tmp_path)
    words = ["git", "-c", "core.autocrlf=true", "-c", "user.name=T", "-c", "user.email=t@example.com", "-C", tmp_path]
    (tmp_path / name).write_bytes(b"one\ntwo\n")
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    subprocess.run([*words, "add", "."], check=True, capture_output=True)
    subprocess.run([*words, "commit", "--quiet", "--message", "All"], check=True)
    (tmp_path / name).unlink()
    subprocess.run([*words, "checkout", "--", name], check=True)
    assert (tmp_path / name).read_bytes() == b"one\ntwo\n"


def test_terraforms_lock_has_the_unpacked_provider_of_every_platform_that_it_has_a_package_of() -> None:
    """What `terraform init -lockfile=readonly` accepts, and `plan` looks at. One more package is the manifest."""
    lock = (ROOT / "terraform/.terraform.lock.hcl").read_text()
    unpacked, packages = (re.findall(rf'"{kind}:(\S+)"', lock) for kind in ("h1", "zh"))
    assert len(set(unpacked)) == len(set(packages)) - 1 == 14
