"""Ways through SSH from ports of this machine to pages that the hosts show to nobody else, open until Ctrl-C.

By OpenSSH and not by Fabric's forward_local, whose listener accepts nothing more once the master has refused a single
connection, and says nothing of it.
"""

import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from scripts import console
from scripts.cluster import Cluster
from scripts.errors import ConfigurationError, HostError, InputError
from scripts.hosts import orchard_run
from scripts.hosts.ssh import Hosts, Remote, free_port
from scripts.waiting import wait_until

LOOPBACK = "127.0.0.1"
OPEN_SECONDS = 20
JOB_PAGES_SECONDS = 60  # the first answer of a busy driver takes a while
PAUSE_SECONDS = 0.05
OPTIONS = (
    "BatchMode=yes",
    "ConnectTimeout=10",
    "ExitOnForwardFailure=yes",
    "LogLevel=ERROR",
    "ServerAliveInterval=15",
    "ServerAliveCountMax=3",
)


@dataclass(frozen=True)
class Page:
    """A page on the master: what it shows, where it is there, and the local port that it would like."""

    shows: str
    address: str
    port: int


def jupyter(cluster: Cluster, port: str = "") -> None:
    """Open JupyterLab to this machine and print the URL with its token."""
    with Hosts(cluster) as hosts:
        facts = orchard_run.facts(hosts, cluster.master)
        token = hosts.run(cluster.master, f"sudo cat {facts['paths']['jupyter_token']}", log=False).out.strip()
        page = Page("JupyterLab", LOOPBACK, facts["ports"]["jupyter"])
        with opened(hosts, [page], port) as (process, [local]):
            _require_jupyter(local, token)
            console.say(f"JupyterLab: http://{LOOPBACK}:{local}/lab?token={token}")
            hold(process)


def ui(cluster: Cluster, port: str = "") -> None:
    """Open the Spark master's page, and one for each application at work."""
    with Hosts(cluster) as hosts:
        _show(hosts, spark_pages(hosts), port)


def history(cluster: Cluster, port: str = "") -> None:
    """Open the page of applications that have ended."""
    with Hosts(cluster) as hosts:
        facts = orchard_run.facts(hosts, cluster.master)
        _show(hosts, [Page("Spark history", facts["private_address"], facts["ports"]["history"])], port)


def spark_pages(hosts: Remote) -> list[Page]:
    """The master's page, and one for each driver that shows one."""
    master = hosts.cluster.master
    facts = orchard_run.facts(hosts, master)
    address = facts["private_address"]
    jobs = orchard_run.ask(hosts, master, "job-pages", timeout=JOB_PAGES_SECONDS)
    return [
        Page("Spark master", address, facts["ports"]["master_ui"]),
        *(Page(f"Application {job['name']}", address, job["port"]) for job in jobs),
    ]


def _show(hosts: Remote, pages: Sequence[Page], port: str) -> None:
    with opened(hosts, pages, port) as (process, ports):
        for page, local in zip(pages, ports, strict=True):
            console.say(f"{page.shows}: http://{LOOPBACK}:{local}")
        hold(process)


@contextmanager
def opened(hosts: Remote, pages: Sequence[Page], port: str = "") -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """Tunnels to pages of the master for the time of the block: OpenSSH's process, and the local ports.

    `port` is the local one that the person wants for the first page (empty: the page's own, or any where that is
    taken). Raises InputError when it is taken, HostError when the master cannot be reached.
    """
    ports = [_local_port(page.port, port if index == 0 else "") for index, page in enumerate(pages)]
    words = hosts.ssh_words(hosts.cluster.master)
    words += [word for option in OPTIONS for word in ("-o", option)]
    for page, local in zip(pages, ports, strict=True):
        words += ["-L", f"{LOOPBACK}:{local}:{page.address}:{page.port}"]
    # `cat` ends with its input, and so does the tunnel should this process be killed.
    process = subprocess.Popen(
        [*words, "cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        _wait_until_open(process, ports)
        yield process, ports
    finally:
        process.terminate()
        process.communicate()


def hold(process: subprocess.Popen[str]) -> None:
    """Keep the tunnels open until Ctrl-C, which is the ordinary end. Raises HostError when they are lost."""
    try:
        console.say("Ctrl-C closes it.")
        process.wait()
    except KeyboardInterrupt:
        console.say("Closed.")
        return
    raise HostError("The connection to the master was lost, and the tunnel with it: the same command opens it again.")


def _local_port(preferred: int, wanted: str) -> int:
    if not wanted:
        return preferred if _is_free(preferred) else free_port()
    if not wanted.isdecimal() or not 0 < int(wanted) < 65536:
        raise InputError(f"{wanted} is no port: give a number from 1 to 65535 with PORT=, or leave PORT out.")
    if not _is_free(int(wanted)):
        raise InputError(
            f"Port {wanted} of this machine is taken: give another with PORT=, or leave PORT out to have one picked."
        )
    return int(wanted)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _wait_until_open(process: subprocess.Popen[str], ports: Sequence[int]) -> None:
    def all_answer() -> bool:
        if process.poll() is not None:
            said = (process.stderr.read() if process.stderr else "").strip().rpartition("\n")[2]
            raise HostError(f"No tunnel to the master could be opened ({said or 'ssh gave no reason'}): try again.")
        return all(_answers(port) for port in ports)

    if not wait_until(all_answer, seconds=OPEN_SECONDS, every=PAUSE_SECONDS):
        raise HostError(f"No tunnel to the master was open after {OPEN_SECONDS} s: try again.")


def _answers(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), 1).close()
    except OSError:
        return False
    return True


def _require_jupyter(port: int, token: str) -> None:
    request = urllib.request.Request(
        f"http://{LOOPBACK}:{port}/api/status", headers={"Authorization": f"token {token}"}
    )
    try:
        urllib.request.urlopen(request, timeout=20).close()  # noqa: S310  loopback
    except (urllib.error.URLError, OSError) as error:
        raise ConfigurationError(
            f"JupyterLab does not answer on the master ({error}): `make logs` fetches its log, `make up` mends it."
        ) from None
