"""What a playbook proves at its end: by a job of Spark's, unless these very workers have proved it already."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

ANSIBLE = Path(__file__).resolve().parents[3] / "ansible"
PLAYBOOK = """
- hosts: master
  gather_facts: false
  tasks:
    - ansible.builtin.import_role: {name: spark, tasks_from: verify}
"""
# In systemd's place: what it is given is not run, and noted.
NOTES = '#!/bin/sh\necho proved >> "$NOTED"\n'


@pytest.fixture
def state() -> Iterator[dict[str, Any]]:
    """What Spark's master says, on a port of its own."""
    said: dict[str, Any] = {"coresused": 0, "workers": [{"id": "worker-1-a", "state": "ALIVE"}]}

    class Master(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802  http.server's name
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps({name: said[name] for name in ("coresused", "workers")}).encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Master) as server:
        said["port"] = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield said
        server.shutdown()


def proofs(state: dict[str, Any], folder: Path) -> int:
    """Play the verification; gives how often a job has proved it so far."""
    common = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_user": "me",
        "cluster_bucket": "b",
        "cluster_region": "r",
        "cluster_name": "c",
        "cluster_private_ip": "127.0.0.1",
        "spark_master_ui_port": state["port"],
        "spark_proof_folder": str(folder),
    }
    groups = {"master": {"hosts": {"c-master": common}}, "workers": {"hosts": {"c-worker-1": common}}}
    (folder / "hosts.yml").write_text(json.dumps({"all": {"children": groups}}))
    (folder / "play.yml").write_text(PLAYBOOK)
    (folder / "systemd-run").write_text(NOTES)
    (folder / "systemd-run").chmod(0o755)
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), folder / "play.yml", "-i", folder / "hosts.yml"],
        env=os.environ
        | {
            "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"),
            "NOTED": str(folder / "noted"),
            "PATH": f"{folder}:{os.environ['PATH']}",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "changed=0" in done.stdout
    return len((folder / "noted").read_text().splitlines()) if (folder / "noted").exists() else 0


def test_workers_prove_once_that_they_write_and_read_and_again_when_one_is_another(
    state: dict[str, Any], tmp_path: Path
) -> None:
    assert [proofs(state, tmp_path), proofs(state, tmp_path)] == [1, 1]
    state["workers"] = [{"id": "worker-1-b", "state": "ALIVE"}]
    assert proofs(state, tmp_path) == 2
    # A worker that is gone counts for nothing, and work that goes on proves as much.
    state["workers"] = [{"id": "worker-1-b", "state": "ALIVE"}, {"id": "worker-1-a", "state": "DEAD"}]
    assert proofs(state, tmp_path) == 2
    state["workers"], state["coresused"] = [{"id": "worker-1-c", "state": "ALIVE"}], 1
    assert proofs(state, tmp_path) == 2
