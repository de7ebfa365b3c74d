"""Hosts know each other by name, and the master knows those, too, that are made anew without it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ANSIBLE = Path(__file__).resolve().parents[3] / "ansible"
NAMES = ANSIBLE / "roles" / "common" / "tasks" / "names.yml"
FIRST = {"master": "10.0.0.5", "worker-1": "10.0.0.6", "worker-2": "10.0.0.7"}


def plays(folder: Path, addresses: dict[str, str], *words: str) -> None:
    """Have the tasks that write hosts files do so in this folder, where each host's is NAME.hosts."""
    tasks = [task for task in yaml.safe_load(NAMES.read_text()) if "ansible.builtin.blockinfile" in task]
    for task in tasks:
        host = "c-master" if "delegate_to" in task else "{{ inventory_hostname }}"
        given = task["ansible.builtin.blockinfile"]
        assert given["path"] == "/etc/hosts"
        task["ansible.builtin.blockinfile"] = given | {"path": f"{folder}/{host}.hosts", "create": True, "mode": "0644"}
    (folder / "play.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    hosts = {f"c-{name}": {"cluster_host": name, "cluster_private_ip": ip} for name, ip in addresses.items()}
    groups = {"master": {"hosts": {"c-master": hosts.pop("c-master")}}, "workers": {"hosts": hosts}}
    (folder / "cluster.yml").write_text(json.dumps({"all": {"children": groups}}))
    playbook = Path(sys.executable).with_name("ansible-playbook")
    done = subprocess.run(
        [playbook, folder / "play.yml", "-c", "local", "-i", folder / "cluster.yml", *words],
        env=os.environ | {"ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def names(folder: Path, host: str) -> dict[str, str]:
    """The addresses by the hosts' short names, as that host has them."""
    lines = [line.split() for line in (folder / f"c-{host}.hosts").read_text().splitlines() if line[0] != "#"]
    return {words[1]: words[0] for words in lines}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    plays(tmp_path, FIRST)
    return tmp_path


def test_every_host_knows_all_and_the_master_also_one_that_is_made_anew_without_it(folder: Path) -> None:
    assert [names(folder, host) for host in FIRST] == [FIRST] * 3
    anew = FIRST | {"worker-2": "10.0.0.99"}
    plays(folder, anew, "--limit=c-worker-2")
    assert names(folder, "master") == names(folder, "worker-2") == anew
    assert names(folder, "worker-1") == FIRST, "it was not asked for"
