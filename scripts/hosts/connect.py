"""Spark Connect on the master for an editor on this machine, through a tunnel, until Ctrl-C.

There it runs for as long as somebody's orchard-run has its input open: with this process, or with its line, that ends.
"""

import json
import os
import re
import select
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts import console, processes
from scripts.cluster import Cluster, Host
from scripts.errors import ConfigurationError, HostError, OperatorError
from scripts.hosts import orchard_run, tunnels
from scripts.hosts.ssh import Hosts, Remote
from scripts.hosts.tunnels import LOOPBACK, Page

# PySpark sends a token in the clear to this name alone; to 127.0.0.1 it would speak TLS.
NAME = "localhost"
START_SECONDS, END_SECONDS = 180, 30
LINE_BYTES = 4096
# What a host tells becomes a line of Python and of a shell.
TOKEN = re.compile(r"[A-Za-z0-9]{16,200}")
VERSION = re.compile(r"\d{1,4}\.\d{1,4}[A-Za-z0-9.+]{0,40}")
# Asked of an interpreter that may be older than this one. The client alone goes by names of its own, and brings what it
# needs; pyspark itself names what it needs for that in its extra `connect`.
ASK = """
import json, platform, re
try:
    from importlib.metadata import PackageNotFoundError, requires, version
except ImportError:
    version = None
def installed(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
found, needs = "", []
for name in ("pyspark", "pyspark-client", "pyspark-connect") if version else ():
    if not found and installed(name):
        found = installed(name)
        needs = [need for need in requires(name) or () if re.search("extra *== *.connect.", need)]
has_connect = all(installed(re.match("[A-Za-z0-9._-]+", need).group()) for need in needs)
print(json.dumps({"python": platform.python_version(), "pyspark": found, "has_connect": has_connect}))
"""
ASK_SECONDS = 20
PROXIES, NO_PROXIES = ("grpc_proxy", "https_proxy", "http_proxy"), ("no_grpc_proxy", "no_proxy")


@dataclass(frozen=True)
class Versions:
    """A Python and the pyspark that it has, empty where it has none; whether with what Spark Connect needs."""

    python: str
    pyspark: str
    has_connect: bool = True


@dataclass(frozen=True)
class Server:
    """Spark Connect as it answers: its token and its versions."""

    token: str
    versions: Versions


def connect(cluster: Cluster, port: str = "") -> None:
    """Have Spark Connect run on the master and open it to this machine; print what connects, and what works."""
    with Hosts(cluster) as hosts:
        page = _page(orchard_run.facts(hosts, cluster.master))
        with tunnels.opened(hosts, [page], port) as (tunnel, [local]), _running(hosts) as process:
            with console.phase(page.shows) as starting:
                server = _begun(process, cluster.master)
                starting.result = f"Python {server.versions.python}, pyspark {server.versions.pyspark}"
            _say_what_works(server.versions)
            remote = f"sc://{NAME}:{local}/;token={server.token}"
            export = f"export SPARK_REMOTE='{remote}'"
            with tunnels.for_its_owner(cluster.folder / tunnels.SPARK_REMOTE, f"{export}\n") as file:
                _say_how(remote, export, file)
                _hold(process, tunnel, cluster.master)


def what_works(here: Versions, there: Versions) -> str:
    """What a client may do on the cluster, and what to install for the rest."""
    install = f"pip install 'pyspark[connect]=={there.pyspark}'"
    is_same_python = _minor(here.python) == _minor(there.python)
    udfs = "" if is_same_python else f"; Python functions (UDFs) need Python {_dotted(_minor(there.python))}"
    if not here.pyspark:
        return f"no pyspark: {install}{udfs}"
    if not here.has_connect:
        return f"pyspark without what Spark Connect needs: {install}{udfs}"
    if _minor(here.pyspark)[:1] != _minor(there.pyspark)[:1] or _minor(here.pyspark) > _minor(there.pyspark):
        return f"nothing is promised with this pyspark: {install}{udfs}"
    if _minor(here.pyspark) < _minor(there.pyspark):
        return f"SQL and DataFrames work; Python functions (UDFs) need the cluster's pyspark: {install}{udfs}"
    return "all works" if is_same_python else f"SQL and DataFrames work{udfs}"


def of_this_machine() -> dict[str, Versions]:
    """The checkout's own Python, and the shell's `python3` where that is another one."""
    own = Path(sys.executable)
    elsewhere = [folder for folder in os.get_exec_path() if Path(folder) != own.parent]
    other = shutil.which("python3", path=os.pathsep.join(elsewhere))
    pythons = [str(own), *([other] if other else [])]
    return {python: versions for python in pythons if (versions := _asked(python))}


def is_sent_to_a_proxy(environment: dict[str, str]) -> bool:
    """Whether gRPC would go to localhost by way of a proxy, which knows another localhost."""
    if not any(environment.get(name) for name in PROXIES):
        return False
    past = next((environment[name] for name in NO_PROXIES if environment.get(name)), "")
    return NAME not in (name.strip() for name in past.split(","))


def _page(facts: dict[str, Any]) -> Page:
    try:
        return Page("Spark Connect", LOOPBACK, facts["ports"]["connect"], tunnels.loopbacks())
    except KeyError:
        raise ConfigurationError("The master has no Spark Connect yet: `make up` puts it there.") from None


@contextmanager
def _running(hosts: Remote) -> Iterator[subprocess.Popen[str]]:
    """orchard-run on the master, which has Spark Connect run for the time of the block and prints what it is."""
    master = hosts.cluster.master
    process = subprocess.Popen(
        [*hosts.ssh_words(master), *tunnels.OPTION_WORDS, orchard_run.command("connect")],
        env=processes.without_secrets(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        _let_go(process)


def _begun(process: subprocess.Popen[str], master: Host) -> Server:
    """What orchard-run says once Spark Connect answers. Raises ConfigurationError, or HostError, where it does not."""
    assert process.stdout
    is_told, _, _ = select.select([process.stdout], [], [], START_SECONDS)
    if not is_told:
        raise HostError(f"Spark Connect did not answer after {START_SECONDS} s: `make logs` fetches its log.")
    line = process.stdout.readline(LINE_BYTES)
    if not line:
        raise _why_it_ended(process, master)
    try:
        told = {name: str(value) for name, value in json.loads(line).items()}
        server = Server(told["token"], Versions(told["python"], told["pyspark"]))
    except (ValueError, KeyError, AttributeError):
        raise HostError("What the master said of Spark Connect cannot be read: `make up` mends it.") from None
    of_versions = (server.versions.python, server.versions.pyspark)
    if not TOKEN.fullmatch(server.token) or not all(map(VERSION.fullmatch, of_versions)):
        raise HostError("What the master said of Spark Connect is no token and no version: find out who answers there.")
    return server


def _hold(process: subprocess.Popen[str], tunnel: subprocess.Popen[str], master: Host) -> None:
    """Keep it until Ctrl-C. Raises ConfigurationError when Spark Connect has ended, HostError when a line is lost."""
    try:
        tunnels.hold(process, tunnel)
    except HostError:
        if process.poll() is None:
            raise
        raise _why_it_ended(process, master) from None


def _why_it_ended(process: subprocess.Popen[str], master: Host) -> OperatorError:
    """By what orchard-run, or OpenSSH, said last."""
    _, said = process.communicate()
    if "orchard-run: " in said or process.returncode == orchard_run.NOT_CONFIGURED:
        return orchard_run.refusal(master, "connect", process.returncode, said)
    return HostError(tunnels.LOST)


def _let_go(process: subprocess.Popen[str]) -> None:
    """End its input, and hear what became of Spark Connect; nobody waits for a line that is dead."""
    if process.poll() is not None:
        return
    try:
        last, _ = process.communicate(timeout=END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return
    if '"has_stopped": true' in last:
        console.say("Spark Connect has stopped on the master.")
    elif '"has_stopped": false' in last:
        console.say("Spark Connect goes on there for another `make connect`.")


def _say_what_works(there: Versions) -> None:
    for name, here in of_this_machine().items():
        has = f"Python {here.python}" + (f", pyspark {here.pyspark}" if here.pyspark else "")
        console.say(f"{console.one_line(name)} ({has}): {what_works(here, there)}.")
    if is_sent_to_a_proxy(dict(os.environ)):
        console.say(f"This shell sends gRPC to a proxy: export no_grpc_proxy={NAME}")


def _say_how(remote: str, export: str, file: Path) -> None:
    console.say(f'from pyspark.sql import SparkSession; spark = SparkSession.builder.remote("{remote}").getOrCreate()')
    console.say(f"or {export}")
    console.say(f"or source {shlex.quote(str(file))}")


def _asked(python: str) -> Versions | None:
    """What a Python of this machine says of itself; None where it does not."""
    try:
        # From a folder of nobody's, whose modules it would find first.
        done = subprocess.run(
            [python, "-c", ASK],
            cwd="/",
            env=processes.without_secrets(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ASK_SECONDS,
            check=True,
        )
        return Versions(**json.loads(done.stdout))
    except (OSError, subprocess.SubprocessError, ValueError, TypeError):
        return None


def _minor(version: str) -> tuple[int, ...]:
    """The first two numbers of a version."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))
