"""What SSH raises, as one sentence with the next step; the OpenSSH command for people."""

import errno
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import invoke
import paramiko
import pytest
from fabric import Connection
from paramiko.ssh_exception import (
    AuthenticationException,
    BadHostKeyException,
    NoValidConnectionsError,
    PasswordRequiredException,
    SSHException,
)

from scripts import processes
from scripts.cluster import Cluster
from scripts.errors import HostError, InputError, MissingError, OperatorError, UnpinnedError
from scripts.hosts import ssh
from tests.doubles.fake_hosts import cluster_of

KNOWN_HOSTS = Path("/nowhere/known_hosts")
KEY = Path("/nowhere/id_ed25519")


@pytest.fixture(autouse=True)
def known_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cluster, "known_hosts", KNOWN_HOSTS)


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        (
            AuthenticationException("no"),
            MissingError,
            f"master does not take the key {KEY} for admin: is it the cluster's key?",
        ),
        (
            PasswordRequiredException("encrypted"),
            MissingError,
            f"The private key {KEY} has a passphrase and nobody is asked for it here: give a key without.",
        ),
        (
            FileNotFoundError(errno.ENOENT, "No such file", str(KEY)),
            MissingError,
            f"There is no private key at {KEY}: put it there, or `make down` and `make up` with another.",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", str(KEY)),
            MissingError,
            f"{KEY} on this machine cannot be read (permission denied): have it readable for you.",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", str(KNOWN_HOSTS)),
            MissingError,
            f"{KNOWN_HOSTS} on this machine cannot be read (permission denied): have it readable for you.",
        ),
        (
            SSHException("not a valid OPENSSH private key file"),
            MissingError,
            f"{KEY} is no private key that SSH takes (not a valid OPENSSH private key file): put the cluster's own "
            "there.",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            InputError,
            "It failed on this machine, not on master (no space left on device): mend that, then try again.",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/mine/logs.tar"),
            InputError,
            "It failed on this machine, not on master (/mine/logs.tar: permission denied): mend that, then try again.",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied"),
            HostError,
            "master at 198.51.100.5 cannot be reached (permission denied): `make up` checks and mends.",
        ),
        (
            SSHException("Server '198.51.100.5' not found in known_hosts"),
            UnpinnedError,
            "master's host key is not pinned yet: `make up` reads it from the console and pins it.",
        ),
        (
            NoValidConnectionsError({("198.51.100.5", 22): ConnectionRefusedError(111, "Connection refused")}),
            HostError,
            "master at 198.51.100.5 cannot be reached (connection refused): `make up` checks and mends.",
        ),
        (
            TimeoutError(),
            HostError,
            "master at 198.51.100.5 cannot be reached (no answer): `make up` checks and mends.",
        ),
        (
            EOFError(),
            HostError,
            "master at 198.51.100.5 cannot be reached (the connection broke): `make up` checks and mends.",
        ),
    ],
)
def test_what_ssh_raises_becomes_one_sentence(error: Exception, kind: type[OperatorError], sentence: str) -> None:
    cluster = cluster_of()
    with pytest.raises(kind) as refused, ssh.ssh_errors_as_sentences(cluster, cluster.master):
        raise error
    assert str(refused.value) == sentence


def test_another_host_key_than_the_pinned_one_may_be_somebody_in_between() -> None:
    cluster = cluster_of()
    pinned, shown = paramiko.ECDSAKey.generate(), paramiko.ECDSAKey.generate()
    with pytest.raises(HostError) as refused, ssh.ssh_errors_as_sentences(cluster, cluster.master):
        raise BadHostKeyException("198.51.100.5", shown, pinned)
    assert str(refused.value) == (
        f"master at 198.51.100.5 shows another host key than the one pinned in {KNOWN_HOSTS}: somebody may be in "
        "between; `make down` and `make up` if the host was replaced on purpose."
    )


def test_what_is_no_fault_of_sshs_is_nobodys_sentence() -> None:
    cluster = cluster_of()
    with pytest.raises(ZeroDivisionError), ssh.ssh_errors_as_sentences(cluster, cluster.master):
        raise ZeroDivisionError


def test_openssh_takes_the_pinned_keys_and_the_clusters_own_key_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "need", lambda program: f"/usr/bin/{program}")
    cluster = cluster_of()
    assert ssh.Hosts(cluster).ssh_words(cluster.workers[0]) == [
        *("/usr/bin/ssh", "-F", str(ssh.SSH_CONFIG), "-o", f'IdentityFile="{KEY}"'),
        *("-o", f'UserKnownHostsFile="{KNOWN_HOSTS}"'),
        "admin@198.51.100.6",
    ]
    behind = replace(cluster, ssh_proxy_command="ssh -W [%h]:%p ssh://me@jump")
    assert ssh.Hosts(behind).ssh_words(cluster.master)[-3:-1] == ["-o", "ProxyCommand=ssh -W [%h]:%p ssh://me@jump"]


LOOSE = """
Host *
    StrictHostKeyChecking no
    UserKnownHostsFile /dev/null
    ForwardAgent yes
    ProxyJump elsewhere
    ControlMaster auto
    ControlPath /tmp/%C
    IdentityFile ~/.ssh/other
    PermitLocalCommand yes
    LocalCommand touch /tmp/led-astray
"""


def test_the_persons_own_ssh_settings_loosen_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not shutil.which("ssh"):
        pytest.skip("OpenSSH is not installed")
    loose = tmp_path / "config"
    loose.write_text(LOOSE)
    cluster = cluster_of(folder=tmp_path)
    words = ssh.Hosts(cluster).ssh_words(cluster.master)

    def settings(*words: str) -> dict[str, str]:
        said = subprocess.run([words[0], "-G", *words[1:]], capture_output=True, text=True, check=True).stdout
        return dict(line.split(" ", 1) for line in said.splitlines() if " " in line)

    # ssh looks for the person's file in the account's home, whatever HOME says: here it is named.
    assert settings("ssh", "-F", str(loose), "admin@198.51.100.5")["forwardagent"] == "yes"
    obeyed = settings(*words)
    assert obeyed["stricthostkeychecking"] == "true"
    assert obeyed["userknownhostsfile"] == str(KNOWN_HOSTS)
    assert obeyed["globalknownhostsfile"] == "none"
    assert obeyed["forwardagent"] == "no"
    # The key is not there, and none of the person's own takes its place.
    assert obeyed["identityfile"] == "none"
    assert obeyed["identitiesonly"] == "yes"
    assert obeyed["permitlocalcommand"] == "no"
    assert obeyed["passwordauthentication"] in ("yes", "no")
    assert obeyed["batchmode"] == "yes"
    assert not {"proxyjump", "controlpath"} & obeyed.keys()


def test_fabric_is_told_nothing_by_settings_of_the_persons_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loose = tmp_path / "config"
    loose.write_text("Host *\n  HostName 203.0.113.66\n  Port 2222\n  ForwardAgent yes\n  ProxyCommand touch led\n")
    (tmp_path / ".fabric.yaml").write_text(f"ssh_config_path: {loose}\nforward_agent: true\ngateway: me@elsewhere\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    asked: list[Connection] = []

    def opened(connection: Connection) -> None:
        asked.append(connection)
        raise TimeoutError

    monkeypatch.setattr(Connection, "open", opened)
    cluster = cluster_of()
    with ssh.Hosts(cluster) as hosts, pytest.raises(HostError):
        hosts.run(cluster.master, "true")
    [connection] = asked
    assert (connection.host, connection.port, connection.forward_agent) == ("198.51.100.5", 22, False)
    assert not connection.gateway


def test_a_host_that_goes_down_under_a_command_is_no_command_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    # As Paramiko and Fabric give a command that sshd's own end has killed.
    line = SimpleNamespace(run=lambda *_, **__: invoke.Result(exited=-1), close=lambda: None)
    monkeypatch.setattr(ssh.Hosts, "_connection", lambda *_: line)
    cluster = cluster_of()
    with ssh.Hosts(cluster) as hosts, pytest.raises(HostError) as caught:
        hosts.run(cluster.master, "sudo orchard-run look", check=False)
    assert str(caught.value) == (
        "master broke off what it was asked, as one does that goes down: `make up` checks and mends."
    )


def test_a_key_file_that_holds_no_key_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = cluster_of(folder=tmp_path)
    cluster.ssh_key_path.write_text("no key\n")

    def opened(connection: Connection) -> None:
        # As Paramiko tries each kind of key once it is connected.
        connection.client._key_from_filepath(str(cluster.ssh_key_path), paramiko.Ed25519Key, None)

    monkeypatch.setattr(Connection, "open", opened)
    with ssh.Hosts(cluster) as hosts, pytest.raises(MissingError, match="is no private key that SSH takes"):
        hosts.run(cluster.master, "true")


def test_a_jump_host_without_openssh_here_is_no_fault_of_the_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "search_path", lambda: "/nowhere")
    cluster = replace(cluster_of(), ssh_proxy_command="ssh -W [%h]:%p ssh://me@jump")
    with ssh.Hosts(cluster) as hosts, pytest.raises(MissingError, match=r"^ssh is not installed: "):
        hosts.run(cluster.master, "true")


def test_of_a_jump_host_that_goes_the_end_is_heard() -> None:
    """Paramiko's own command says that nothing has come yet, for ever and on a whole core."""
    proxy = ssh._Proxy("sh -c 'printf SSH-'")
    proxy.settimeout(20)
    assert proxy.recv(100) == b"SSH-"
    assert proxy.recv(100) == b""
    proxy.process.wait()


def test_of_a_jump_host_that_is_silent_nothing_is_waited_for_any_longer() -> None:
    proxy = ssh._Proxy("sleep 60")
    proxy.settimeout(0.01)
    with pytest.raises(TimeoutError):
        proxy.recv(100)
    proxy.close()
    proxy.process.wait()
