"""Whether a cluster's software is of this checkout: asked before hosts that are made anew get what the others have."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import console
from scripts.errors import BusyError
from scripts.hosts import ansible

CHECKOUT = Path(__file__).resolve().parents[3]
# What a host of this checkout has, by the names that the role itself gives them.
MADE = """
- hosts: master
  tasks:
    - ansible.builtin.import_role: {name: environment, tasks_from: presence}
    - ansible.builtin.import_role: {name: environment, tasks_from: built}
    - ansible.builtin.file: {path: "{{ item }}", state: touch, mode: "0644"}
      loop: ["{{ environment_stamp }}", "{{ environment_package_stamp }}"]
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose software this machine has, as a master has it."""
    checkout, root = tmp_path / "checkout", tmp_path / "root"
    (root / "venv").mkdir(parents=True)
    for folder in ("pipeline", "requirements"):
        shutil.copytree(CHECKOUT / folder, checkout / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / file, checkout)
    host = {
        "ansible_connection": "local",
        "ansible_become": False,
        "ansible_python_interpreter": sys.executable,
        "cluster_name": "fruits",
        "environment_checkout": str(checkout),
        "orchard_root": str(root),
    }
    (tmp_path / "hosts.yml").write_text(
        json.dumps({"all": {"children": {"master": {"hosts": {"fruits-master": host}}}}})
    )
    (tmp_path / "made.yml").write_text(MADE)
    monkeypatch.setenv("ANSIBLE_INVENTORY", str(tmp_path / "hosts.yml"))
    monkeypatch.setattr(console, "log_file", lambda: tmp_path / "the.log")
    subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), tmp_path / "made.yml"],
        env=os.environ | {"ANSIBLE_CONFIG": str(ansible.FOLDER / "ansible.cfg")},
        stdin=subprocess.DEVNULL,
        check=True,
    )
    return checkout


def test_a_cluster_of_another_checkout_gets_nothing_of_this_one(checkout: Path) -> None:
    ansible.require_same_software("fruits")
    for file, comment in (("pipeline/__init__.py", "# Another.\n"), ("requirements/nodes.txt", "# Another.\n")):
        kept = (checkout / file).read_text()
        (checkout / file).write_text(kept + comment)
        with pytest.raises(BusyError, match=r"^This checkout is another than .*`make up` gives all hosts"):
            ansible.require_same_software("fruits")
        (checkout / file).write_text(kept)
