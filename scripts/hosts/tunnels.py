"""Ways through SSH from ports of this machine to pages that the hosts show to nobody else, open until Ctrl-C.

By OpenSSH and not by Fabric's forward_local, whose listener accepts nothing more once the master has refused a single
connection, and says nothing of it. A port is ours when OpenSSH itself says so, asked through a socket that nobody else
can reach: whatever answers on a port may be a neighbour's, who waits for the token.
"""

import html
import math
import os
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts import console, processes
from scripts.cluster import Cluster
from scripts.errors import ConfigurationError, HostError, InputError
from scripts.hosts import orchard_run
from scripts.hosts.ssh import Hosts, Remote, free_port
from scripts.waiting import wait_until

LOOPBACK, LOOPBACK_6 = "127.0.0.1", "::1"
OPEN_SECONDS = 20
JOB_PAGES_SECONDS = 60  # the first answer of a busy driver takes a while
PAUSE_SECONDS = 0.05
LOST_SECONDS = 0.5  # a port that is lost may be a neighbour's after that
WAY_IN = "jupyter.html"
SPARK_REMOTE = "spark-remote.sh"
FREE_PORTS_TRIED = 5  # each is free when it is found, and may be taken a moment later
LOST = "The connection to the master was lost, and the tunnel with it: the same command opens it again."
ANSWER_SECONDS = 20
# Past any proxy of this machine: it would read the token.
_STRAIGHT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
OPTIONS = (
    "ConnectTimeout=10",
    "LogLevel=ERROR",
    "ServerAliveInterval=15",
    "ServerAliveCountMax=3",
)
OPTION_WORDS = [word for option in OPTIONS for word in ("-o", option)]


@dataclass(frozen=True)
class Page:
    """A page on the master: what it shows, where it is there, and the local port that it would like.

    `to_be_had_at` are the addresses of this machine at which that port must be ours.
    """

    shows: str
    address: str
    port: int
    to_be_had_at: tuple[str, ...] = (LOOPBACK,)


def jupyter(cluster: Cluster, port: str = "") -> None:
    """Open JupyterLab to this machine, print the URL with its token, and show it to the browser where there is one."""
    with Hosts(cluster) as hosts:
        facts = orchard_run.facts(hosts, cluster.master)
        token = hosts.run(cluster.master, f"sudo cat {facts['paths']['jupyter_token']}", log=False).out.strip()
        page = Page("JupyterLab", LOOPBACK, facts["ports"]["jupyter"])
        with opened(hosts, [page], port) as (process, [local]):
            _require_jupyter(local, token)
            url = f"http://{LOOPBACK}:{local}/lab?token={token}"
            console.say(f"JupyterLab: {url}")
            with way_in(cluster.folder, url) as file:
                if has_browser():
                    webbrowser.open(file.as_uri())
                hold(process)


@contextmanager
def way_in(folder: Path, url: str) -> Iterator[Path]:
    """A page for the person's browser alone that leads to the URL: an argument would show the token to every user.

    As Jupyter itself does it. It is readable by its owner from its beginning, and gone at the end of the block.
    """
    target = html.escape(url, quote=True)
    page = f'<!doctype html><meta http-equiv="refresh" content="0;url={target}"><a href="{target}">JupyterLab</a>\n'
    with for_its_owner(folder / WAY_IN, page) as file:
        yield file


@contextmanager
def for_its_owner(file: Path, text: str) -> Iterator[Path]:
    """A file with a token: readable by its owner alone from its beginning, and gone at the end of the block."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)
    try:
        yield file
    finally:
        file.unlink(missing_ok=True)


def forget_ways_in(folder: Path) -> None:
    """Delete such files, which a process that was killed leaves."""
    for name in (WAY_IN, SPARK_REMOTE):
        (folder / name).unlink(missing_ok=True)


def has_browser() -> bool:
    """Whether somebody sits here who can see one: BROWSER says which, else there is a display."""
    if not console.is_terminal():
        return False
    return sys.platform == "darwin" or any(map(os.environ.get, ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")))


def ui(cluster: Cluster, port: str = "") -> None:
    """Open the Spark master's page, and one for each application at work."""
    with Hosts(cluster) as hosts:
        _show(hosts, spark_pages(hosts), port)


def history(cluster: Cluster, port: str = "", application: str = "") -> bool:
    """Open the page of applications that have ended, or of one; nothing and False where the master has not that one."""
    with Hosts(cluster) as hosts:
        facts = orchard_run.facts(hosts, cluster.master)
        page = Page("Spark history", facts["private_address"], facts["ports"]["history"])
        with opened(hosts, [page], port) as (process, [local]):
            url = f"http://{LOOPBACK}:{local}"
            if application and not _answers(f"{url}/api/v1/applications/{application}"):
                return False
            console.say(f"{page.shows}: {url}{f'/history/{application}/' if application else ''}")
            hold(process)
    return True


def _answers(url: str) -> bool:
    try:
        _STRAIGHT.open(url, timeout=ANSWER_SECONDS).close()
    except OSError:
        return False
    return True


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
            console.say(f"{console.one_line(page.shows)}: http://{LOOPBACK}:{local}")
        hold(process)


@contextmanager
def opened(hosts: Remote, pages: Sequence[Page], port: str = "") -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """Tunnels to pages of the master for the time of the block: OpenSSH's process, and the local ports.

    `port` is the local one that the person wants for the first page (empty: the page's own, or any where that is
    taken). Raises InputError when it is taken, HostError when the master cannot be reached.
    """
    wanted = _port_number(port) if port else None
    words = hosts.ssh_words(hosts.cluster.master)
    # Short, for a socket's name may have no more than some hundred bytes; nobody else may enter it.
    with tempfile.TemporaryDirectory(prefix="orchard-ssh-") as folder:
        words += ["-o", f"ControlPath={folder}/s", *OPTION_WORDS]
        # Who asks the connection later must not say this too: it would open one of its own.
        first = [*words, "-o", "ControlMaster=yes", "cat"]
        # `cat` ends with its input, and so does the tunnel should this process be killed.
        process = subprocess.Popen(
            first,
            env=processes.without_secrets(),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            _wait_until_connected(process, Path(folder, "s"))
            yield process, [_forward(words, page, wanted if n == 0 else None) for n, page in enumerate(pages)]
        finally:
            process.terminate()
            process.communicate()


def hold(*processes: subprocess.Popen[str]) -> None:
    """Keep the tunnels open until Ctrl-C, which is the ordinary end. Raises HostError when one of these is lost."""

    def is_lost() -> bool:
        return any(process.poll() is not None for process in processes)

    try:
        console.say("Ctrl-C closes it.")
        wait_until(is_lost, seconds=math.inf, every=LOST_SECONDS)
    except KeyboardInterrupt:
        console.say("Closed.")
        return
    raise HostError(LOST)


def _port_number(given: str) -> int:
    if not given.isdecimal() or not 0 < int(given) < 65536:
        raise InputError(f"{given} is no port: give a number from 1 to 65535 with PORT=, or leave PORT out.")
    return int(given)


def _forward(words: Sequence[str], page: Page, wanted: int | None) -> int:
    """Have OpenSSH listen on a local port for the page, and give the port once it does."""
    if wanted is not None:
        if _listens(words, page, wanted):
            return wanted
        raise InputError(
            f"Port {wanted} of this machine is taken by another program, and nothing was sent to it: give another with "
            "PORT=, or leave PORT out to have one picked."
        )
    for port in (page.port, *(free_port() for _ in range(FREE_PORTS_TRIED))):
        if _listens(words, page, port):
            return port
    raise HostError("No port of this machine could be had for the tunnel: try again, or give one with PORT=.")


def _listens(words: Sequence[str], page: Page, port: int) -> bool:
    """Ask the connection that stands to forward this port, at each of the page's addresses; whether it does."""
    forwards = [f"{bracketed(address)}:{port}:{page.address}:{page.port}" for address in page.to_be_had_at]
    for number, forward in enumerate(forwards):
        if not _asked(words, "forward", forward):
            for earlier in forwards[:number]:
                _asked(words, "cancel", earlier)
            return False
    return True


def _asked(words: Sequence[str], verb: str, forward: str) -> bool:
    """Ask the connection that stands to begin a forwarding, or to end it; whether it does."""
    asked = subprocess.run(
        [*words, "-O", verb, "-L", forward],
        env=processes.without_secrets(),
        capture_output=True,
        timeout=OPEN_SECONDS,
        check=False,
    )
    return asked.returncode == 0


def bracketed(address: str) -> str:
    """An address as it stands before a port."""
    return f"[{address}]" if ":" in address else address


def loopbacks() -> tuple[str, ...]:
    """What `localhost` may stand for on this machine: who connects to that name tries each."""
    try:
        socket.create_server((LOOPBACK_6, 0), family=socket.AF_INET6).close()
    except OSError:
        return (LOOPBACK,)
    return (LOOPBACK, LOOPBACK_6)


def _wait_until_connected(process: subprocess.Popen[str], control: Path) -> None:
    def is_connected() -> bool:
        if process.poll() is not None:
            said = (process.stderr.read() if process.stderr else "").strip().rpartition("\n")[2]
            raise HostError(f"No tunnel to the master could be opened ({said or 'ssh gave no reason'}): try again.")
        return control.exists()

    if not wait_until(is_connected, seconds=OPEN_SECONDS, every=PAUSE_SECONDS):
        raise HostError(f"No tunnel to the master was open after {OPEN_SECONDS} s: try again.")


def _require_jupyter(port: int, token: str) -> None:
    request = urllib.request.Request(
        f"http://{LOOPBACK}:{port}/api/status", headers={"Authorization": f"token {token}"}
    )
    try:
        _STRAIGHT.open(request, timeout=ANSWER_SECONDS).close()
    except (urllib.error.URLError, OSError) as error:
        raise ConfigurationError(
            f"JupyterLab does not answer on the master ({error}): `make logs` fetches its log, `make up` mends it."
        ) from None
