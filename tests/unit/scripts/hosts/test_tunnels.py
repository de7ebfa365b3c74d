"""Tunnels to the master's pages: a stand-in for OpenSSH listens on the ports that it is asked to forward."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.cluster import Cluster
from scripts.errors import ConfigurationError, HostError, InputError
from scripts.hosts import tunnels
from scripts.hosts.tunnels import Page
from tests.doubles import fake_hosts
from tests.doubles.fake_hosts import cluster_of
from tests.doubles.fake_ssh import SshHosts

CLUSTER = cluster_of()
FACTS = {
    "private_address": "10.0.0.5",
    "paths": {"jupyter_token": "/etc/orchard/key"},
    "ports": {"master_ui": 8090, "history": 18090, "jupyter": 8890},
}
REFUSES = "import sys; print('noise\\nssh: connect to host: Connection refused', file=sys.stderr); sys.exit(255)"


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> SshHosts:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    fake = SshHosts(CLUSTER)
    fake.answer(CLUSTER.master, fake_hosts.FACTS, json.dumps(FACTS))
    return fake


@pytest.fixture
def taken() -> Iterator[int]:
    """A local port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def answers(port: int, address: str = "127.0.0.1") -> bool:
    try:
        socket.create_connection((address, port), 1).close()
    except OSError:
        return False
    return True


def test_the_pages_are_those_that_the_host_names(hosts: SshHosts) -> None:
    hosts.answer_run(CLUSTER.master, "job-pages", [{"port": 4141, "name": "notebook"}])
    assert tunnels.spark_pages(hosts) == [
        Page("Spark master", "10.0.0.5", 8090),
        Page("Application notebook", "10.0.0.5", 4141),
    ]


def test_a_tunnel_is_open_for_the_time_of_the_block_and_no_longer(hosts: SshHosts, taken: int) -> None:
    pages = [Page("One", "10.0.0.5", taken), Page("Two", "127.0.0.1", taken)]
    with tunnels.opened(hosts, pages) as (process, ports):
        # The page's own port is taken, so others were picked.
        assert taken not in ports
        assert all(answers(port) for port in ports)
        assert process.poll() is None
    assert not any(answers(port) for port in ports)
    assert process.poll() is not None


def test_the_port_that_the_person_wants_is_taken_or_refused(hosts: SshHosts, taken: int) -> None:
    wanted = tunnels.free_port()
    with tunnels.opened(hosts, [Page("One", "10.0.0.5", taken)], str(wanted)) as (_, ports):
        assert ports == [wanted]
    with pytest.raises(InputError, match=rf"^Port {taken} of this machine is taken by another program, and nothing "):
        tunnels.opened(hosts, [Page("One", "10.0.0.5", 1)], str(taken)).__enter__()
    for wrong in ("http", "0", "65536", "-1"):
        with pytest.raises(InputError, match=rf"^{wrong} is no port: "):
            tunnels.opened(hosts, [Page("One", "10.0.0.5", 1)], wrong).__enter__()


def test_localhost_is_each_loopback_address_that_this_machine_has() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        has_both = True
    except OSError:
        has_both = False
    assert tunnels.loopbacks() == (("127.0.0.1", "::1") if has_both else ("127.0.0.1",))


@pytest.mark.skipif(len(tunnels.loopbacks()) < 2, reason="this machine has no ::1")
def test_a_port_is_ours_at_each_address_that_a_page_asks_for_or_at_none(hosts: SshHosts) -> None:
    page = Page("One", "10.0.0.5", 1, tunnels.loopbacks())
    with tunnels.opened(hosts, [page]) as (_, [port]):
        assert [answers(port, address) for address in ("127.0.0.1", "::1")] == [True, True]
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as neighbour:
        wanted = neighbour.getsockname()[1]
        with pytest.raises(InputError, match="taken by another program"):
            tunnels.opened(hosts, [page], str(wanted)).__enter__()
        with tunnels.opened(hosts, [Page("One", "10.0.0.5", wanted, tunnels.loopbacks())]) as (_, [port]):
            assert port != wanted
            # Nothing is left where the other address was another's.
            assert not answers(wanted)


def test_a_master_that_refuses_is_quoted(hosts: SshHosts) -> None:
    hosts.program = REFUSES
    with pytest.raises(HostError) as refused:
        tunnels.opened(hosts, [Page("One", "10.0.0.5", 1)]).__enter__()
    assert str(refused.value) == (
        "No tunnel to the master could be opened (ssh: connect to host: Connection refused): try again."
    )


def test_a_tunnel_that_does_not_open_is_given_up(hosts: SshHosts, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts.program = "import sys; sys.stdin.read()"
    monkeypatch.setattr(tunnels, "OPEN_SECONDS", 0)
    with pytest.raises(HostError, match=r"^No tunnel to the master was open after 0 s: try again\.$"):
        tunnels.opened(hosts, [Page("One", "10.0.0.5", 1)]).__enter__()


def test_a_tunnel_that_is_lost_is_said(hosts: SshHosts, capsys: pytest.CaptureFixture[str]) -> None:
    with tunnels.opened(hosts, [Page("One", "10.0.0.5", 1)]) as (process, _):
        process.kill()
        with pytest.raises(HostError, match="the same command opens it again"):
            tunnels.hold(process)
    assert capsys.readouterr().out == "Ctrl-C closes it.\n"


def test_jupyters_token_is_read_where_the_host_keeps_it_and_never_logged(
    hosts: SshHosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tunnels, "Hosts", hosts)
    monkeypatch.setattr(Cluster, "folder", tmp_path)
    monkeypatch.setattr(tunnels, "hold", lambda _: None)
    asked: list[str] = []
    monkeypatch.setattr(tunnels, "_require_jupyter", lambda _port, token: asked.append(token))
    hosts.answer(CLUSTER.master, "sudo cat /etc/orchard/key", "token\n")
    wanted = tunnels.free_port()
    tunnels.jupyter(CLUSTER, str(wanted))
    assert capsys.readouterr().out == f"JupyterLab: http://127.0.0.1:{wanted}/lab?token=token\n"
    assert asked == ["token"]
    assert hosts.unlogged == ["sudo cat /etc/orchard/key"]


def test_a_neighbour_who_listens_first_is_told_nothing(
    hosts: SshHosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tunnels, "Hosts", hosts)
    monkeypatch.setattr(Cluster, "folder", tmp_path)
    hosts.answer(CLUSTER.master, "sudo cat /etc/orchard/key", "token\n")
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as neighbour:
        neighbour.settimeout(0.2)
        port = neighbour.getsockname()[1]
        with pytest.raises(InputError, match="taken by another program"):
            tunnels.jupyter(CLUSTER, str(port))
        with pytest.raises(TimeoutError):
            heard.append(neighbour.accept()[0].recv(1000))
    assert heard == []
    assert "token" not in capsys.readouterr().out


def test_the_browser_is_shown_a_file_of_the_persons_own_and_no_token(
    hosts: SshHosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tunnels, "Hosts", hosts)
    monkeypatch.setattr(Cluster, "folder", tmp_path / "cluster")
    monkeypatch.setattr(tunnels, "_require_jupyter", lambda *_: None)
    monkeypatch.setattr(tunnels.console, "is_terminal", lambda: True)
    monkeypatch.setenv("DISPLAY", ":0")
    hosts.answer(CLUSTER.master, "sudo cat /etc/orchard/key", "to&ken\n")
    shown: list[str] = []
    monkeypatch.setattr(tunnels.webbrowser, "open", shown.append)
    pages: list[tuple[int, str]] = []

    def look(_: object) -> None:
        file = tmp_path / "cluster" / "jupyter.html"
        pages.append((file.stat().st_mode & 0o777, file.read_text()))

    monkeypatch.setattr(tunnels, "hold", look)
    tunnels.jupyter(CLUSTER)
    assert shown == [(tmp_path / "cluster" / "jupyter.html").as_uri()]
    [(mode, page)] = pages
    assert mode == 0o600
    assert "/lab?token=to&amp;ken" in page
    assert not (tmp_path / "cluster" / "jupyter.html").exists()


def test_an_application_s_page_is_shown_where_the_master_has_it_and_nothing_where_not(
    hosts: SshHosts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tunnels, "Hosts", hosts)
    monkeypatch.setattr(tunnels, "hold", lambda _: None)
    wanted = tunnels.free_port()
    # Whoever is behind the tunnel here answers nothing of use.
    monkeypatch.setattr(tunnels, "ANSWER_SECONDS", 0.2)
    assert not tunnels.history(CLUSTER, str(wanted), "app-1")
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(tunnels, "_answers", lambda url: url.endswith(f":{wanted}/api/v1/applications/app-1"))
    assert tunnels.history(CLUSTER, str(wanted), "app-1")
    assert tunnels.history(CLUSTER, str(wanted))
    assert capsys.readouterr().out.splitlines() == [
        f"Spark history: http://127.0.0.1:{wanted}/history/app-1/",
        f"Spark history: http://127.0.0.1:{wanted}",
    ]


def test_without_a_terminal_or_a_display_no_browser_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tunnels.sys, "platform", "linux")
    monkeypatch.setattr(tunnels.console, "is_terminal", lambda: True)
    assert not tunnels.has_browser()
    monkeypatch.setenv("BROWSER", "firefox")
    assert tunnels.has_browser()
    monkeypatch.setattr(tunnels.console, "is_terminal", lambda: False)
    assert not tunnels.has_browser()


def test_the_token_goes_past_any_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(0.2)
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        monkeypatch.delenv("no_proxy", raising=False)
        with pytest.raises(ConfigurationError, match="JupyterLab does not answer on the master"):
            tunnels._require_jupyter(tunnels.free_port(), "token")
        with pytest.raises(TimeoutError):
            proxy.accept()
