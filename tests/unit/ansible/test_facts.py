"""What Ansible says of a host in /etc/orchard/cluster.json, as the roles' variables and an inventory's make it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ANSIBLE = Path(__file__).resolve().parents[3] / "ansible"
PLAYBOOK = """
- hosts: all
  gather_facts: false
  roles: [orchard]
  tasks:
    - ansible.builtin.copy:
        content: "{{ orchard_facts | to_json }}"
        dest: "{{ playbook_dir }}/{{ cluster_host }}.json"
"""
OVERRIDES = {
    "spark_master_ui_port": 8090,
    "spark_job_ui_port": 4140,
    "orchard_state_directory": "/srv/spark",
    "jupyter_token_file": "/etc/orchard/key",
}


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What master and worker are, with these overrides in an inventory beside the cluster's."""
    folder = tmp_path_factory.mktemp("facts")
    (folder / "play.yml").write_text(PLAYBOOK)
    shared = {
        "cluster_name": "c",
        "cluster_region": "r",
        "cluster_bucket": "b",
        "cluster_ends": {"idle_minutes": 30, "max_age_hours": 12, "deaf_minutes": 20},
        "cluster_cloudwatch": True,
        "cluster_worker_spot": True,
        "ansible_user": "admin",
    }
    groups = {
        group: {"hosts": {f"c-{name}": {"cluster_host": name, "cluster_private_ip": address}}}
        for group, name, address in (("master", "master", "10.0.0.5"), ("workers", "worker-1", "10.0.0.6"))
    }
    (folder / "cluster.yml").write_text(json.dumps({"all": {"vars": shared, "children": groups}}))
    (folder / "overrides.yml").write_text(json.dumps({"all": {"vars": OVERRIDES}}))
    words = [Path(sys.executable).with_name("ansible-playbook"), folder / "play.yml"]
    done = subprocess.run(
        [*words, "-c", "local", "-i", folder / "cluster.yml", "-i", folder / "overrides.yml"],
        env=os.environ | {"ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in ("master", "worker-1")}


def test_a_host_says_who_it_is(facts: dict[str, Any]) -> None:
    master, worker = facts["master"], facts["worker-1"]
    assert (master["role"], worker["role"]) == ("master", "worker")
    assert (worker["private_address"], worker["master_address"]) == ("10.0.0.6", "10.0.0.5")
    assert worker["master_url"] == "spark://10.0.0.5:7077"
    assert (worker["cluster"], worker["host"], worker["ssh_user"]) == ("c", "worker-1", "admin")
    # AWS takes no master back.
    assert (master["spot"], worker["spot"]) == (False, True)
    # Nothing was said of it.
    assert worker["worker_tensorflow"] is False
    assert (worker["region"], worker["bucket"], worker["ends"]["deaf_minutes"]) == ("r", "b", 20)


def test_what_an_inventory_overrides_is_what_the_host_says(facts: dict[str, Any]) -> None:
    master = facts["master"]
    assert master["ports"] == {
        "master": 7077,
        "master_ui": 8090,
        "worker_ui": 8081,
        "history": 18080,
        "job_ui": list(range(4140, 4150)),
        "jupyter": 8888,
        "connect": 15002,
        "keeper": 707,
    }
    assert master["paths"]["work"] == "/srv/spark/work"
    assert master["paths"]["jupyter_token"] == "/etc/orchard/key"


def test_the_master_alone_keeps_files(facts: dict[str, Any]) -> None:
    assert facts["master"]["keeping_units"] == ["orchard-events.service", "orchard-notebooks.service"]
    assert facts["worker-1"]["keeping_units"] == []


def test_a_run_is_as_hardened_as_the_daemons(facts: dict[str, Any]) -> None:
    properties = facts["master"]["run_properties"]
    assert {"NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet=", "User=spark"} <= set(properties)
    # All that it may write to.
    assert [line for line in properties if line.startswith("ReadWritePaths=")] == ["ReadWritePaths=/srv/spark"]
    # How it ended is asked for afterwards, and the driver alone hears that it is to end.
    assert {"RemainAfterExit=yes", "KillMode=mixed", "TimeoutStopSec=120"} <= set(properties)
    # A shutdown waits for it, and leaves it the network to keep its log by.
    assert {"After=network-online.target", "After=systemd-resolved.service"} <= set(properties)
    # Java and OpenVINO compile at run time.
    assert not any(line.startswith("MemoryDenyWriteExecute") for line in properties)


def test_a_host_says_what_packages_must_be_built_for(facts: dict[str, Any]) -> None:
    # Which processor it has is gathered, and nothing is gathered here.
    assert facts["master"]["wheels"] == {"python": "3.11", "platform": "unknown-manylinux_2_36"}


def test_a_person_s_own_job_is_bounded_and_goes_on_where_one_process_of_it_is_killed(facts: dict[str, Any]) -> None:
    assert facts["master"]["own_job_properties"] == ["MemoryMax=75%", "MemorySwapMax=0"]
    assert "OOMPolicy=continue" in facts["master"]["run_properties"]
    assert facts["master"]["paths"]["own_job"] == "/opt/orchard/own_job.py"
