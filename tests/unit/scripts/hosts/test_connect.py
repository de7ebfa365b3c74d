"""Spark Connect for an editor on this machine: what is printed, what works, and what nobody else is told."""

import json
import os
import re
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from scripts import console
from scripts.cluster import Cluster
from scripts.errors import ConfigurationError, HostError, InputError
from scripts.hosts import connect, tunnels
from scripts.hosts.connect import Versions
from tests.doubles import fake_hosts
from tests.doubles.fake_hosts import cluster_of
from tests.doubles.fake_ssh import SshHosts

CLUSTER = cluster_of()
TOKEN = "t0k" * 16
THERE = Versions("3.11.2", "4.3.0")
ANSWER = {"token": TOKEN, "python": "3.11.2", "pyspark": "4.3.0"}


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SshHosts:
    # Which the double of OpenSSH complains of, where it is handed on.
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    fake = SshHosts(CLUSTER)
    fake.answer(CLUSTER.master, fake_hosts.FACTS, json.dumps({"ports": {"connect": tunnels.free_port()}}))
    fake.says = (json.dumps(ANSWER), '{"has_stopped": true}')
    monkeypatch.setattr(connect, "Hosts", fake)
    monkeypatch.setattr(Cluster, "folder", tmp_path / "cluster")
    monkeypatch.setattr(connect, "of_this_machine", lambda: {"/p/bin/python": Versions("3.11.9", "4.3.0")})
    for name in (*connect.PROXIES, *connect.NO_PROXIES):
        monkeypatch.delenv(name, raising=False)
    return fake


class Held:
    """A person who types Ctrl-C at once: `process.wait` is interrupted. What there was then is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mode, self.text = 0, ""

    def __call__(self, *_: object) -> None:
        file = self.folder / "spark-remote.sh"
        self.mode, self.text = file.stat().st_mode & 0o777, file.read_text()
        console.say("Closed.")


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Held:
    made = Held(tmp_path / "cluster")
    monkeypatch.setattr(tunnels, "hold", made)
    return made


def test_the_line_of_python_and_the_variable_are_printed_and_nobody_else_is_told(
    hosts: SshHosts, held: Held, capsys: pytest.CaptureFixture[str]
) -> None:
    port = tunnels.free_port()
    connect.connect(CLUSTER, str(port))
    first, *lines = capsys.readouterr().out.splitlines()
    remote = f"sc://localhost:{port}/;token={TOKEN}"
    assert re.fullmatch(r"Spark Connect +\d+ s  Python 3\.11\.2, pyspark 4\.3\.0", first)
    assert lines == [
        "/p/bin/python (Python 3.11.9, pyspark 4.3.0): all works.",
        f'from pyspark.sql import SparkSession; spark = SparkSession.builder.remote("{remote}").getOrCreate()',
        f"or export SPARK_REMOTE='{remote}'",
        f"or source {held.folder}/spark-remote.sh",
        "Closed.",
        "Spark Connect has stopped on the master.",
    ]
    assert (held.mode, held.text) == (0o600, f"export SPARK_REMOTE='{remote}'\n")
    assert list(held.folder.iterdir()) == []
    assert TOKEN not in "".join(command for _, command in hosts.commands)
    assert TOKEN not in (console.log_file().read_text() if console.log_file().exists() else "")


def test_it_goes_on_for_whoever_else_has_it_run(
    hosts: SshHosts, held: Held, capsys: pytest.CaptureFixture[str]
) -> None:
    hosts.says = (json.dumps(ANSWER), '{"has_stopped": false}')
    connect.connect(CLUSTER)
    assert capsys.readouterr().out.splitlines()[-1] == "Spark Connect goes on there for another `make connect`."


def test_pyspark_speaks_to_the_port_at_every_address_of_localhost(
    hosts: SshHosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    def look(*_: object) -> None:
        asked = {address[4][0] for address in socket.getaddrinfo("localhost", None, type=socket.SOCK_STREAM)}
        port = int(re.search(r":(\d+)/", (CLUSTER.folder / "spark-remote.sh").read_text())[1])  # type: ignore[index]
        for address in {*asked, *tunnels.loopbacks()}:
            socket.create_connection((str(address), port), 5).close()
        seen.append(sorted(map(str, asked)))

    monkeypatch.setattr(tunnels, "hold", look)
    connect.connect(CLUSTER)
    assert seen


@pytest.mark.parametrize("address", tunnels.loopbacks())
def test_a_neighbour_on_either_address_of_localhost_is_sent_nothing(
    hosts: SshHosts, held: Held, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as neighbour:
        port = neighbour.getsockname()[1]
        with pytest.raises(InputError, match="taken by another program"):
            connect.connect(CLUSTER, str(port))
        hosts.answer(CLUSTER.master, fake_hosts.FACTS, json.dumps({"ports": {"connect": port}}))
        connect.connect(CLUSTER)
    assert f"localhost:{port}/" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("code", "complaint", "sentence"),
    [
        (
            2,
            "sudo: noise\norchard-run: Spark Connect did not start.",
            "master could not do `connect` (Spark Connect did not start): `make logs` tells more.",
        ),
        (78, "", "master is not configured to its end, for "),
        (255, "ssh: connect to host: refused", tunnels.LOST),
    ],
)
def test_what_the_master_refuses_is_one_sentence_and_nothing_is_printed_or_left(
    hosts: SshHosts, capsys: pytest.CaptureFixture[str], code: int, complaint: str, sentence: str
) -> None:
    hosts.says, hosts.code, hosts.complaint = (), code, complaint
    with pytest.raises((ConfigurationError, HostError)) as refused:
        connect.connect(CLUSTER)
    assert str(refused.value).startswith(sentence)
    assert "SPARK_REMOTE" not in capsys.readouterr().out
    assert not CLUSTER.folder.exists()


def test_a_server_that_ends_meanwhile_is_said(hosts: SshHosts, monkeypatch: pytest.MonkeyPatch) -> None:
    really_hold = tunnels.hold

    def hold(process: subprocess.Popen[str], tunnel: subprocess.Popen[str]) -> None:
        # As orchard-run does when the unit is no longer up.
        assert process.stdin
        process.stdin.close()
        process.stdin = None
        really_hold(process, tunnel)

    monkeypatch.setattr(tunnels, "hold", hold)
    hosts.says, hosts.code, hosts.complaint = (json.dumps(ANSWER),), 2, "orchard-run: Spark Connect has ended."
    with pytest.raises(ConfigurationError, match="Spark Connect has ended"):
        connect.connect(CLUSTER)
    hosts.code, hosts.complaint = 255, "client_loop: send disconnect"
    with pytest.raises(HostError, match="the same command opens it again"):
        connect.connect(CLUSTER)
    assert list(CLUSTER.folder.iterdir()) == []


def test_a_tunnel_that_is_lost_alone_ends_it_and_its_token_is_left_nowhere(
    hosts: SshHosts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    really_hold = tunnels.hold

    def hold(process: subprocess.Popen[str], tunnel: subprocess.Popen[str]) -> None:
        assert process.poll() is None
        tunnel.kill()
        really_hold(process, tunnel)

    monkeypatch.setattr(tunnels, "hold", hold)
    with pytest.raises(HostError, match="the tunnel with it: the same command opens it again"):
        connect.connect(CLUSTER)
    assert list(CLUSTER.folder.iterdir()) == []
    assert capsys.readouterr().out.endswith("Spark Connect has stopped on the master.\n")


@pytest.mark.parametrize(
    "told",
    [
        {**ANSWER, "token": "x'; rm -rf ~ #xxxxxxxxxx"},
        {**ANSWER, "pyspark": "4.3'; true '"},
        {**ANSWER, "python": "\x1b[31m3.11"},
        {"token": TOKEN},
        [],
    ],
)
def test_what_a_host_tells_becomes_no_line_of_a_shell(
    hosts: SshHosts, held: Held, capsys: pytest.CaptureFixture[str], told: object
) -> None:
    hosts.says = (json.dumps(told),)
    with pytest.raises(HostError, match=r"^What the master said of Spark Connect "):
        connect.connect(CLUSTER)
    assert "export" not in capsys.readouterr().out


def test_a_master_of_an_earlier_orchard_is_mended_by_up(hosts: SshHosts) -> None:
    hosts.answer(CLUSTER.master, fake_hosts.FACTS, json.dumps({"ports": {}}))
    with pytest.raises(ConfigurationError, match="has no Spark Connect yet: `make up` puts it there"):
        connect.connect(CLUSTER)


INSTALL = "pip install 'pyspark[connect]==4.3.0'"
NEEDS = "; Python functions (UDFs) need Python 3.11"


@pytest.mark.parametrize(
    ("here", "works"),
    [
        (("3.11.9", "4.3.0"), "all works"),
        (("3.11.9", "4.3.7"), "all works"),
        (("3.12.1", "4.3.0"), f"SQL and DataFrames work{NEEDS}"),
        (("3.9.2", "4.3.0"), f"SQL and DataFrames work{NEEDS}"),
        (
            ("3.11.9", "4.1.0"),
            f"SQL and DataFrames work; Python functions (UDFs) need the cluster's pyspark: {INSTALL}",
        ),
        (("3.11.9", "3.5.4"), f"nothing is promised with this pyspark: {INSTALL}"),
        (("3.11.9", "4.10.0"), f"nothing is promised with this pyspark: {INSTALL}"),
        (("3.13.0", "5.0.0.dev1"), f"nothing is promised with this pyspark: {INSTALL}{NEEDS}"),
        (("3.11.9", ""), f"no pyspark: {INSTALL}"),
        (("3.13.0", ""), f"no pyspark: {INSTALL}{NEEDS}"),
    ],
)
def test_what_works_where_the_laptop_differs(here: tuple[str, str], works: str) -> None:
    assert connect.what_works(Versions(*here), THERE) == works


@pytest.mark.parametrize(("python", "needs"), [("3.11.9", ""), ("3.12.1", NEEDS)])
def test_a_pyspark_that_cannot_connect_is_said(python: str, needs: str) -> None:
    said = connect.what_works(Versions(python, "4.3.0", has_connect=False), THERE)
    assert said == f"pyspark without what Spark Connect needs: {INSTALL}{needs}"


def test_the_checkouts_python_and_the_shells_own_are_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = {sys.executable: Versions(".".join(map(str, sys.version_info[:3])), version("pyspark"))}
    other = tmp_path / "python3"
    other.write_text('#!/bin/sh\necho \'{"python": "3.12.1", "pyspark": ""}\'\n')
    other.chmod(0o755)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{tmp_path}")
    assert connect.of_this_machine() == {**own, str(other): Versions("3.12.1", "")}
    other.write_text("#!/bin/sh\nexit 1\n")
    assert connect.of_this_machine() == own
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert connect.of_this_machine() == own


def test_any_python_3_says_what_it_is() -> None:
    done = subprocess.run([sys.executable, "-c", connect.ASK], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {
        "python": ".".join(map(str, sys.version_info[:3])),
        "pyspark": version("pyspark"),
        "has_connect": True,
    }


@pytest.mark.parametrize(
    ("installed", "pyspark", "has_connect"),
    [
        ({}, "", True),
        ({"pyspark": ["py4j", "numpy ; extra == 'ml'", "grpcio>=1 ; extra == 'connect'"]}, "4.3.0", False),
        # As an sdist's installation has it, and as older tools write it.
        ({"pyspark": ['grpcio>=1; extra == "connect"', 'zstandard; extra == "connect"'], "grpcio": []}, "4.3.0", False),
        ({"pyspark": ['grpcio_status>=1; extra == "connect"'], "grpcio-status": []}, "4.3.0", True),
        # The client alone brings what it needs.
        ({"pyspark-client": ["grpcio>=1"], "grpcio": []}, "4.3.0", True),
    ],
)
def test_whether_a_pyspark_can_connect_is_its_own_word(
    tmp_path: Path, installed: dict[str, list[str]], pyspark: str, has_connect: bool
) -> None:
    for name, needs in installed.items():
        folder = tmp_path / f"{name.replace('-', '_')}-4.3.0.dist-info"
        folder.mkdir()
        lines = [
            "Metadata-Version: 2.1",
            f"Name: {name}",
            "Version: 4.3.0",
            *(f"Requires-Dist: {need}" for need in needs),
        ]
        (folder / "METADATA").write_text("\n".join([*lines, ""]))
    # Without what is installed for this Python.
    words = [sys.executable, "-S", "-c", connect.ASK]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(words, env=environment, cwd="/", capture_output=True, text=True, check=True)
    told = Versions(**json.loads(done.stdout))
    assert (told.pyspark, told.has_connect) == (pyspark, has_connect)


@pytest.mark.parametrize(
    ("environment", "is_sent"),
    [
        ({}, False),
        ({"no_proxy": "localhost"}, False),
        ({"http_proxy": "http://p"}, True),
        ({"https_proxy": "http://p", "no_proxy": "example.org, localhost"}, False),
        # The first of the two counts alone.
        ({"grpc_proxy": "http://p", "no_grpc_proxy": "example.org", "no_proxy": "localhost"}, True),
    ],
)
def test_a_proxy_that_gRPC_would_ask_for_localhost_is_known(environment: dict[str, str], is_sent: bool) -> None:  # noqa: N802
    assert connect.is_sent_to_a_proxy(environment) == is_sent


def test_the_environment_is_handed_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = tmp_path / "python3"
    asked.write_text('#!/bin/sh\necho "{\\"python\\": \\"3.11.1\\", \\"pyspark\\": \\"$AWS_SECRET_ACCESS_KEY\\"}"\n')
    asked.chmod(0o755)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "key")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert connect.of_this_machine()[str(asked)] == Versions("3.11.1", "")
