"""Ansible's events for programs: a real playbook on this machine, with the project's own settings."""

import json
import os
import subprocess
import sys
from pathlib import Path

ANSIBLE = Path(__file__).resolve().parents[3] / "ansible"
# Each host fails in a way of its own.
PLAYBOOK = """
- name: One play
  hosts: all
  gather_facts: false
  tasks:
    - name: Be forgiven
      ansible.builtin.fail: {msg: never mind}
      ignore_errors: true
    - name: Run it
      ansible.builtin.shell: {cmd: "echo why >&2; echo it broke >&2; exit 3"}
      when: inventory_hostname == 'runs'
    - name: Say no
      ansible.builtin.fail: {msg: "too\\n  small"}
      when: inventory_hostname == 'says-no'
    - name: Loop
      ansible.builtin.assert: {that: item != 2, quiet: true, fail_msg: "no {{ item }}"}
      loop: [1, 2]
      when: inventory_hostname == 'loops'
    - name: Hide
      ansible.builtin.fail: {msg: password}
      no_log: true
      when: inventory_hostname == 'hides'
    - name: Change a thing
      ansible.builtin.add_host: {name: another}
      changed_when: true
"""


def play(folder: Path, playbook: str, **environment: str) -> str:
    (folder / "play.yml").write_text(playbook)
    words = [Path(sys.executable).with_name("ansible-playbook"), folder / "play.yml"]
    done = subprocess.run(
        [*words, "-i", "runs,says-no,loops,hides,works", "-c", "local"],
        env=os.environ | {"ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg")} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def failed(host: str, task: str, message: str) -> dict[str, str]:
    return {"event": "failed", "host": host, "task": task, "message": message}


def test_a_playbooks_way_and_the_reasons_of_its_failures_are_written_as_they_come(tmp_path: Path) -> None:
    printed = play(tmp_path, PLAYBOOK, ORCHARD_ANSIBLE_EVENTS=str(tmp_path / "events"))
    # The text for people is there as ever.
    assert "TASK [Say no]" in printed
    assert [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()] == [
        {"event": "play", "name": "One play"},
        {"event": "task", "name": "Be forgiven"},
        {"event": "task", "name": "Run it"},
        failed("runs", "Run it", "it broke"),
        {"event": "task", "name": "Say no"},
        failed("says-no", "Say no", "too small"),
        {"event": "task", "name": "Loop"},
        failed("loops", "Loop", "no 2"),
        {"event": "task", "name": "Hide"},
        failed("hides", "Hide", "its output is hidden, for it holds a secret"),
        {"event": "task", "name": "Change a thing"},
        {"event": "end", "changed": 1},
    ]
