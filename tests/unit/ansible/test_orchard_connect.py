"""Spark Connect by orchard-run: it runs for as long as somebody has it run, and answers nobody in another's place."""

import json
import os
import pwd
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import wait_until

PROGRAM = Path(__file__).resolve().parents[3] / "ansible" / "roles" / "common" / "files" / "orchard_run.py"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's table of sockets is Linux's")
ME = pwd.getpwuid(os.getuid()).pw_name
# Keeps what systemd would: whether the unit is up, and whose it is; a unit that is `broken` does not come up.
SYSTEMCTL = """#!/bin/sh
cd {folder}
echo "$@" >> asked
case "$*" in
start*) test -e broken || touch up;;
stop*) rm -f up;;
*ActiveState*) test -e up && echo active || echo failed;;
*User*) cat user;;
esac
"""
DRIVER = """
import importlib.util, pathlib, sys
specification = importlib.util.spec_from_file_location("orchard_run", sys.argv[1])
module = importlib.util.module_from_spec(specification)
specification.loader.exec_module(module)
module.FACTS = pathlib.Path(sys.argv[2])
module.CONNECT_SECONDS, module.CONNECT_LOOK_SECONDS = float(sys.argv[3]), 0.2
sys.exit(module.main(["connect"]))
"""
VERSIONS = {"python": "3.11.2", "pyspark": "4.3.0"}


class Master:
    """A master on whose loopback Spark Connect listens once it is up, and people who have it run."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.people: list[subprocess.Popen[str]] = []
        self.patience = 0.2
        (folder / "bin").mkdir()
        (folder / "run").mkdir()
        self._write("bin/systemctl", SYSTEMCTL.format(folder=folder))
        self._write("bin/python", f"#!/bin/sh\necho '{json.dumps(VERSIONS)}'\n")
        (folder / "user").write_text(f"{ME}\n")
        (folder / "token").write_text("SPARK_CONNECT_AUTHENTICATE_TOKEN=secret\n")
        self.facts: dict[str, Any] = {
            "role": "master",
            "units": {"connect": "spark-connect"},
            "ports": {"connect": port},
            "paths": {
                "python": str(folder / "bin" / "python"),
                "connect_token": str(folder / "token"),
                "connect_holders": str(folder / "holders"),
                "keeper_status": str(folder / "run" / "status.json"),
            },
        }

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o755)

    @property
    def is_up(self) -> bool:
        return (self.folder / "up").exists()

    def asked(self) -> list[str]:
        """What systemd was asked to do."""
        file = self.folder / "asked"
        return [line for line in file.read_text().splitlines() if line[0] != "-" and "show" not in line]

    def begin(self) -> subprocess.Popen[str]:
        """Somebody has it run, and does not wait for its end."""
        facts = self.folder / "cluster.json"
        facts.write_text(json.dumps(self.facts))
        person = subprocess.Popen(
            [sys.executable, "-I", "-c", DRIVER, str(PROGRAM), str(facts), str(self.patience)],
            env={"PATH": f"{self.folder / 'bin'}:/usr/bin:/bin"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.people.append(person)
        return person

    def connected(self) -> subprocess.Popen[str]:
        """Somebody who was told that it answers."""
        person = self.begin()
        assert person.stdout
        assert json.loads(person.stdout.readline()) == {"token": "secret", **VERSIONS}
        return person


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Master]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        made = Master(tmp_path, server.getsockname()[1])
        yield made
        for person in made.people:
            person.kill()
            person.communicate()


def leave(person: subprocess.Popen[str]) -> dict[str, Any]:
    """Let go of it, as the end of an SSH session does; gives the last word."""
    out, err = person.communicate(timeout=30)
    assert person.returncode == 0, err
    return json.loads(out)


def refused(person: subprocess.Popen[str]) -> tuple[int, str]:
    """Without an end of its input, and without a word of the token."""
    code = person.wait(30)
    assert person.stdout
    assert person.stderr
    assert "secret" not in person.stdout.read()
    return code, person.stderr.read().strip()


def test_it_runs_until_the_input_ends(master: Master) -> None:
    person = master.connected()
    assert master.is_up
    assert leave(person) == {"has_stopped": True}
    assert not master.is_up
    assert master.asked() == ["start spark-connect.service", "stop spark-connect.service"]


def test_who_goes_first_does_not_cut_off_who_stays(master: Master) -> None:
    first, second = master.connected(), master.connected()
    assert leave(first) == {"has_stopped": False}
    assert master.is_up
    third = master.connected()
    assert leave(second) == {"has_stopped": False}
    assert leave(third) == {"has_stopped": True}
    assert not master.is_up


def test_who_was_killed_holds_nothing_any_more(master: Master) -> None:
    killed, other = master.connected(), master.connected()
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert leave(other) == {"has_stopped": True}


def test_one_that_does_not_start_is_said(master: Master) -> None:
    (master.folder / "broken").touch()
    master.facts["ports"]["connect"] = 1
    code, sentence = refused(master.begin())
    assert code == 2
    assert sentence == "orchard-run: Spark Connect did not start, and its log, spark-connect.log, says why."


def test_who_goes_while_it_starts_is_not_waited_for(master: Master) -> None:
    master.patience, master.facts["ports"]["connect"] = 600, 1
    person = master.begin()
    wait_until(lambda: master.is_up, "it to be started", 30)
    person.communicate(timeout=30)
    assert not master.is_up


def test_a_neighbour_who_listens_in_its_place_is_sent_no_token(master: Master) -> None:
    (master.folder / "user").write_text("nobody\n" if ME != "nobody" else "root\n")
    code, sentence = refused(master.begin())
    assert (code, "did not start" in sentence) == (2, True)
    assert not master.is_up


def test_one_that_ends_is_said_to_who_was_connected(master: Master) -> None:
    person = master.connected()
    (master.folder / "up").unlink()
    assert refused(person) == (
        2,
        "orchard-run: Spark Connect has ended there, and the same command starts it again.",
    )


def test_it_is_not_started_in_a_cluster_that_is_stopping(master: Master) -> None:
    (master.folder / "run" / "state.json").write_text(json.dumps({"ended": "idle: nothing at work"}))
    code, sentence = refused(master.begin())
    assert code == 2
    assert "The cluster is stopping (idle: nothing at work)" in sentence
    assert "start spark-connect.service" not in master.asked()


def test_a_worker_has_none(master: Master) -> None:
    master.facts["role"] = "worker"
    assert refused(master.begin())[0] == 78


def test_the_lock_is_roots_alone(master: Master) -> None:
    person = master.connected()
    files = {file.name: file.stat().st_mode & 0o777 for file in (master.folder / "holders").iterdir()}
    assert files == {"lock": 0o600, "holders": 0o600}
    leave(person)
