"""Ansible owns the facts of a host: other ports and paths in an inventory, and the operator's tasks work unchanged.

An operator, an AWS and hosts of their own, beside those of the other tests.
"""

import json
import re
import shutil
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.operator import Operator, prepared_cloud
from tests.conftest import Need

MASTER_UI_PORT = 8090
STATE, NOTEBOOKS = "/srv/spark", "/srv/notebooks"
OVERRIDES = {
    "spark_master_ui_port": MASTER_UI_PORT,
    "orchard_state_directory": STATE,
    "jupyter_home": NOTEBOOKS,
}


@pytest.fixture(scope="module")
def elsewhere(machine_for_hosts: None, need: Need, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator whose Ansible has one more inventory, with these ports and paths; the cluster is up."""
    need(shutil.which("terraform"), "Terraform is not installed")
    folder = tmp_path_factory.mktemp("elsewhere")
    overrides = folder / "overrides.yml"  # JSON is YAML, too
    overrides.write_text(json.dumps({"all": {"vars": OVERRIDES}}))
    with prepared_cloud() as cloud:
        operator = Operator(folder, cloud, cluster_name="elsewhere", worker_count=1)
        operator.environment["ANSIBLE_INVENTORY"] += f",{overrides}"
        done = operator.type("up")
        assert "1 workers alive" in done.out, done.text
        yield operator


def on_master(operator: Operator, command: str) -> str:
    return operator.shell.must(operator.host("master"), command)


def test_the_hosts_are_as_the_inventory_says(elsewhere: Operator) -> None:
    facts = json.loads(on_master(elsewhere, "cat /etc/orchard/cluster.json"))
    assert (facts["ports"]["master_ui"], facts["paths"]["state"]) == (MASTER_UI_PORT, STATE)
    # By what the host does, not by what it says.
    listening = {line.split()[3].rpartition(":")[2] for line in on_master(elsewhere, "ss -Hltn").splitlines()}
    assert str(MASTER_UI_PORT) in listening
    assert "8080" not in listening
    worker = elsewhere.host("worker-1")
    assert elsewhere.shell.must(worker, "systemctl show --property=WorkingDirectory --value spark-worker") == STATE
    elsewhere.shell.must(worker, f"sudo test -d {STATE}/work -a ! -e /var/lib/spark/work")
    on_master(elsewhere, f"sudo test -e {NOTEBOOKS}/first_look.ipynb -a ! -e /var/lib/jupyter")


def test_a_second_up_changes_nothing(elsewhere: Operator) -> None:
    done = elsewhere.type("up")
    assert re.search(r"^Software +\d+ s  nothing to change$", done.out, re.MULTILINE), done.text


def test_status_counts_the_workers(elsewhere: Operator) -> None:
    found = json.loads(elsewhere.type("status", "--json").out)
    assert (found["state"], found["workers_alive"], found["runs"]) == ("running", 1, [])


def test_ui_shows_the_masters_page(elsewhere: Operator) -> None:
    process = elsewhere.begin("ui")
    assert process.stdout
    name, _, url = process.stdout.readline().strip().partition(": ")
    try:
        assert (name, process.stdout.readline()) == ("Spark master", "Ctrl-C closes it.\n")
        with urllib.request.urlopen(url, timeout=30) as page:  # noqa: S310  loopback
            assert b"Spark Master" in page.read()
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 0


def test_a_run_is_as_hardened_as_the_daemons_and_answers_by_its_exit_code(elsewhere: Operator) -> None:
    # The bucket holds no picture: the job starts, says so, and ends.
    done = elsewhere.type("run", "--run=none", "--weights=random", check=False)
    assert f"s3://{elsewhere.bucket}/pictures" in done.out + done.err, done.text
    assert done.code == 2, done.text
    asked = "NoNewPrivileges,ProtectSystem,CapabilityBoundingSet,ReadWritePaths,User"
    shown = on_master(elsewhere, f"systemctl show --property={asked} orchard-run-none.service").splitlines()
    assert sorted(shown) == [
        "CapabilityBoundingSet=",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        f"ReadWritePaths={STATE}",
        "User=spark",
    ]


def test_workers_come_and_go(elsewhere: Operator) -> None:
    assert "2 workers alive" in elsewhere.type("scale", "--workers", "2").out
    fewer = elsewhere.type("scale", "--workers", "1")
    assert "worker-2 may go" in fewer.out
    assert "did not finish" not in fewer.out


def test_logs_are_fetched_from_the_hosts_own_folders(elsewhere: Operator) -> None:
    elsewhere.type("logs")
    [folder] = (elsewhere.checkout / "logs").iterdir()
    assert "registered with master spark://" in (folder / "worker-1" / "spark-worker.log").read_text()
    assert (folder / "master" / "orchard-run-none.log").exists()


def test_a_host_without_its_facts_names_the_next_step(elsewhere: Operator, tmp_path: Path) -> None:
    facts = on_master(elsewhere, "cat /etc/orchard/cluster.json")
    on_master(elsewhere, "sudo rm /etc/orchard/cluster.json")
    try:
        for task in ("ui", "runs"):
            said = elsewhere.refused(6, task)
            assert "/etc/orchard/cluster.json" in said
            assert said.endswith("`make up` mends it.")
    finally:
        elsewhere.shell.must(
            elsewhere.host("master"), "sudo tee /etc/orchard/cluster.json > /dev/null", text=f"{facts}\n"
        )


def test_down_saves_the_logs_of_every_host(elsewhere: Operator) -> None:
    done = elsewhere.type("down", "--purge", YES="1")
    assert re.search(r"^Logs +\d+ s  2 of 2 hosts, in s3://", done.out, re.MULTILINE), done.text
    assert elsewhere.left() == []
