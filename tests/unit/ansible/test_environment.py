"""Which environment a host is to have, and whether it has one that will do."""

import json
import os
import subprocess
import sys
from pathlib import Path

ANSIBLE = Path(__file__).resolve().parents[3] / "ansible"
# Each host gets the stamp that it names, and says what it then makes of it.
PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.import_role: {name: orchard}
    - ansible.builtin.import_role: {name: environment, tasks_from: presence}
    - ansible.builtin.file: {path: "{{ lookup('vars', stamp) }}", state: touch, mode: "0644"}
      when: stamp != 'none'
    - ansible.builtin.import_role: {name: environment, tasks_from: presence}
    - ansible.builtin.copy:
        content: "{{ environment_lock | basename }} {{ environment_present }}"
        dest: "{{ orchard_root }}/said"
        mode: "0644"
"""
OWN, OF_ALL = "environment_stamp", "environment_stamp_of_all"


def said(folder: Path, hosts: dict[str, tuple[str, str, bool]]) -> dict[str, str]:
    """What hosts say, by name; each has a group, a stamp, and whether workers are to have TensorFlow."""
    groups: dict[str, dict[str, object]] = {"master": {}, "workers": {}}
    for name, (group, stamp, has_tensorflow) in hosts.items():
        (folder / name / "venv").mkdir(parents=True)
        groups[group][name] = {
            "cluster_worker_tensorflow": has_tensorflow,
            "orchard_root": str(folder / name),
            "stamp": stamp,
        }
    shared = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_user": "me",
        "cluster_bucket": "b",
        "cluster_name": "c",
        "cluster_private_ip": "10.0.0.5",
        "cluster_region": "r",
        "environment_checkout": str(ANSIBLE.parent),
    }
    children = {group: {"hosts": found} for group, found in groups.items()}
    (folder / "hosts.yml").write_text(json.dumps({"all": {"vars": shared, "children": children}}))
    (folder / "play.yml").write_text(PLAYBOOK)
    with (folder / "log").open("w") as log:
        subprocess.run(
            [Path(sys.executable).with_name("ansible-playbook"), folder / "play.yml", "-i", folder / "hosts.yml"],
            env=os.environ | {"ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg")},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=False,
        )
    return {
        name: (folder / name / "said").read_text()
        if (folder / name / "said").exists()
        else (folder / "log").read_text()
        for name in hosts
    }


def test_workers_have_a_lock_of_their_own_and_what_the_master_has_will_do_for_them(tmp_path: Path) -> None:
    assert said(
        tmp_path,
        {
            "master": ("master", OWN, False),
            "bare": ("workers", "none", False),
            "own": ("workers", OWN, False),
            "larger": ("workers", OF_ALL, False),
            "asked": ("workers", "none", True),
        },
    ) == {
        "master": "nodes.txt True",
        "bare": "workers.txt False",
        "own": "workers.txt True",
        # Made from an image of the master's, or before somebody took TensorFlow back.
        "larger": "workers.txt True",
        "asked": "nodes.txt False",
    }
