"""What a playbook proves at its end: by a job of Spark's, unless these very workers have proved it already."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

ANSIBLE = Path(__file__).resolve().parents[3] / "ansible"
VERIFIED = "    - ansible.builtin.import_role: {name: spark, tasks_from: verify}\n"
PLAYBOOK = "- hosts: master\n  gather_facts: false\n  tasks:\n"
# In systemd's place: what it is given is not run; when that was is noted.
NOTES = '#!/bin/sh\ncat "$SEEN" >> "$NOTED"\n'


def worker(name: str, state: str = "ALIVE") -> dict[str, str]:
    return {"id": name, "state": state}


def proved(states: list[dict[str, Any]], folder: Path) -> list[int]:
    """Play the verification once for each state that Spark's master tells; gives at which of them a job proved it."""
    seen, noted, said = folder / "seen", folder / "noted", folder / "said"

    class Master(BaseHTTPRequestHandler):
        told = 0

        def do_GET(self) -> None:
            content = json.dumps(states[Master.told]).encode()
            Master.told += 1
            seen.write_text(f"{Master.told}\n")
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    (folder / "play.yml").write_text(PLAYBOOK + VERIFIED * len(states))
    (folder / "systemd-run").write_text(NOTES)
    (folder / "systemd-run").chmod(0o755)
    with HTTPServer(("127.0.0.1", 0), Master) as server, said.open("w") as output:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (folder / "hosts.yml").write_text(json.dumps(inventory(server.server_port, folder)))
        subprocess.run(
            [Path(sys.executable).with_name("ansible-playbook"), folder / "play.yml", "-i", folder / "hosts.yml"],
            env=os.environ
            | {
                "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"),
                "NOTED": str(noted),
                "PATH": f"{folder}:{os.environ['PATH']}",
                "SEEN": str(seen),
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
        )
        server.shutdown()
    assert "changed=0    unreachable=0    failed=0" in said.read_text(), said.read_text()
    return [int(line) for line in noted.read_text().split()]


def inventory(port: int, folder: Path) -> dict[str, Any]:
    host = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_user": "me",
        "cluster_bucket": "b",
        "cluster_region": "r",
        "cluster_name": "c",
        "cluster_private_ip": "127.0.0.1",
        "spark_master_ui_port": port,
        "spark_proof_folder": str(folder),
    }
    groups = {"master": {"hosts": {"c-master": host}}, "workers": {"hosts": {"c-worker-1": host}}}
    return {"all": {"children": groups}}


def test_workers_prove_once_that_they_write_and_read_and_again_when_one_is_another(tmp_path: Path) -> None:
    states: list[dict[str, Any]] = [
        {"coresused": 0, "workers": [worker("a")]},
        {"coresused": 0, "workers": [worker("a")]},
        {"coresused": 0, "workers": [worker("b")]},
        # One that is gone counts for nothing.
        {"coresused": 0, "workers": [worker("b"), worker("a", "DEAD")]},
        # Work that goes on proves as much.
        {"coresused": 1, "workers": [worker("c")]},
    ]
    assert proved(states, tmp_path) == [1, 3]
