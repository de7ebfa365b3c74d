"""The one place that talks to hosts: SSH by Fabric, with host keys that were pinned before and nothing else.

with Hosts(cluster) as hosts:
    hosts.run(cluster.master, "uptime").out
"""

import errno
import io
import os
import select
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from fabric import Config, Connection
from invoke.exceptions import CommandTimedOut
from paramiko import ProxyCommand, RejectPolicy, SSHConfig
from paramiko.ssh_exception import (
    AuthenticationException,
    BadHostKeyException,
    NoValidConnectionsError,
    PasswordRequiredException,
    SSHException,
)

from scripts import console, processes
from scripts.access.proxy import named_proxy
from scripts.aws import own_address
from scripts.cluster import Cluster, Host
from scripts.errors import (
    ConfigurationError,
    HostError,
    HostKeyError,
    InputError,
    MissingError,
    OperatorError,
    UnpinnedError,
)

# What OpenSSH and Ansible obey in place of the person's own settings; Fabric reads no such file, and is told below.
SSH_CONFIG = console.CHECKOUT / "ansible" / "ssh_config"
CONNECT_SECONDS = 10
KEEPALIVE_SECONDS = 15
SILENT = "no answer"
DEAD_LINE_SECONDS = 5  # for an answer to come that is on its way when time is up
# What paramiko has for an exit code where none came: the command was killed, or the line was closed.
UNTOLD = -1
# What no host fails with: a disk of this machine's that is full or read-only, its open files.
OF_THIS_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE)


@dataclass(frozen=True)
class Result:
    """How a command on a host ended."""

    code: int
    out: str
    err: str


class Remote(Protocol):
    """What talks to the hosts of a cluster: the one way that everything else goes, in tests by a double."""

    cluster: Cluster

    def run(
        self,
        host: Host,
        command: str,
        *,
        check: bool = True,
        timeout: float | None = 60,
        log: bool = True,
    ) -> Result:
        """Run a command. Raises HostError, and ConfigurationError when it fails and `check` says it must not."""

    def get(self, host: Host, source: str, target: Path, *, most: int) -> None:
        """Copy a file of at most so many bytes from the host. Raises HostError for a larger one."""

    def ssh_words(self, host: Host) -> list[str]:
        """The OpenSSH command that logs in to the host."""

    def close(self) -> None:
        """Close every connection; the next command opens it anew."""


class Hosts:
    """Connections to the hosts of a cluster, opened when first used and closed at the end of the `with` block."""

    def __init__(self, cluster: Cluster, connect_seconds: float = CONNECT_SECONDS) -> None:
        self.cluster = cluster
        self._connect_seconds = connect_seconds
        self._open: dict[str, Connection] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        for connection in self._open.values():
            connection.close()
        self._open.clear()

    def run(
        self,
        host: Host,
        command: str,
        *,
        check: bool = True,
        timeout: float | None = 60,
        log: bool = True,
    ) -> Result:
        """Run a command. Raises HostError, and ConfigurationError when it fails and `check` says that it must not.

        `log` off keeps what it prints out of the log file.
        """
        with ssh_errors_as_sentences(self.cluster, host), _closed_after(self._connection(host), timeout) as connection:
            done = connection.run(command, hide=True, warn=True, timeout=timeout, in_stream=False)
        if log:
            console.log(f"{host.name}$ {command}\n{done.stdout}{done.stderr}")
        if done.exited == UNTOLD:
            raise HostError(
                f"{host.name} broke off what it was asked, as one does that goes down: `make up` checks and mends.",
                "it broke the command off",
            )
        if check and done.exited:
            last = (done.stderr or done.stdout).strip().rpartition("\n")[2] or "it gave no reason"
            raise ConfigurationError(
                f"On {host.name}, `{command[:80]}` failed ({last}): see {console.log_file()}.", last
            )
        return Result(done.exited, done.stdout, done.stderr)

    def get(self, host: Host, source: str, target: Path, *, most: int) -> None:
        """Copy a file of at most so many bytes from the host. Raises HostError for a larger one."""
        target.parent.mkdir(parents=True, exist_ok=True)
        with ssh_errors_as_sentences(self.cluster, host):
            connection = self._connection(host)
            size = connection.sftp().stat(source).st_size or 0
            if size > most:
                raise HostError(
                    f"{host.name} would send {size:,} bytes where {most:,} are the most: see what {source} is.",
                    "what it would send is too large",
                )
            connection.get(source, local=str(target), preserve_mode=False)

    def shell(self, host: Host) -> int:
        """A shell on the host for the person at this terminal, by OpenSSH. Gives its exit code."""
        return subprocess.call(self.ssh_words(host), env=processes.without_secrets())

    def ssh_words(self, host: Host) -> list[str]:
        """The OpenSSH command that logs in to the host, as strict as this is."""
        words = [processes.need("ssh"), "-F", str(SSH_CONFIG)]
        words += ["-o", f"IdentityFile={_as_ssh_reads(self.cluster.ssh_key_path)}"]
        words += ["-o", f"UserKnownHostsFile={_as_ssh_reads(self.cluster.known_hosts)}"]
        if self.cluster.ssh_proxy_command:
            words += ["-o", f"ProxyCommand={self.cluster.ssh_proxy_command}"]
        return [*words, f"{self.cluster.ssh_user}@{host.address}"]

    def _connection(self, host: Host) -> Connection:
        connection = self._open.get(host.name)
        if connection is None or not connection.is_connected:
            connection = self._connect(host)
            self._open[host.name] = connection
        return connection

    def _connect(self, host: Host) -> Connection:
        # The person's own SSH settings know nothing of these hosts, and must not loosen what is asked of them.
        # Neither does ~/.fabric.yaml, which could name such settings again.
        overrides = {"load_ssh_configs": False, "forward_agent": False, "gateway": None}
        config = Config(overrides=overrides, ssh_config=SSHConfig())
        if self.cluster.ssh_proxy_command:
            processes.need("ssh")
        connection = _ByCommand(
            host.address,
            user=self.cluster.ssh_user,
            config=config,
            gateway=self.cluster.ssh_proxy_command,
            connect_timeout=self._connect_seconds,
            connect_kwargs={
                "key_filename": str(self.cluster.ssh_key_path),
                "look_for_keys": False,
                "allow_agent": False,
                "banner_timeout": self._connect_seconds,
                "auth_timeout": self._connect_seconds,
            },
        )
        connection.client.set_missing_host_key_policy(RejectPolicy())
        if self.cluster.known_hosts.exists():
            connection.client.load_host_keys(str(self.cluster.known_hosts))
        try:
            connection.open()
        except BaseException:
            # Fabric closes what it takes for connected; what was refused has a thread of its own all the same.
            connection.client.close()
            raise
        connection.transport.set_keepalive(KEEPALIVE_SECONDS)
        return connection


def _as_ssh_reads(path: Path) -> str:
    """A path as OpenSSH's settings have one: a percent sign begins a token there (ssh_config(5), TOKENS).

    Its option -i is none of them: it looks for the file by the name as it is given, and then reads that for tokens.
    """
    doubled = str(path).replace("%", "%%")
    return f'"{doubled}"'


class _Proxy(ProxyCommand):  # type: ignore[misc]  # paramiko has no types here
    """A jump host's command. Paramiko's own goes on reading where it has ended, for ever and on a whole core."""

    def recv(self, size: int) -> bytes:
        """What has come, empty at the end. Raises TimeoutError where nothing has come in time."""
        source = self.process.stdout.fileno()
        if not select.select([source], [], [], self.timeout)[0]:
            raise TimeoutError
        return os.read(source, size)


class _ByCommand(Connection):  # type: ignore[misc]  # fabric has no types here
    """A connection that goes through a jump host's command, where there is one."""

    def open_gateway(self) -> _Proxy:
        """Start the command."""
        # As Fabric does: it fills in host and port as ssh does.
        settings = SSHConfig()
        settings.parse(io.StringIO(f"Host {self.host}\n    ProxyCommand {self.gateway}"))
        return _Proxy(settings.lookup(self.host)["proxycommand"])


@contextmanager
def _closed_after(connection: Connection, seconds: float | None) -> Iterator[Connection]:
    """Close the connection when time is well up: on a line that went dead, SSH's own requests wait for an hour."""
    if seconds is None:
        yield connection
        return
    watch = threading.Timer(seconds + DEAD_LINE_SECONDS, connection.close)
    watch.daemon = True
    watch.start()
    try:
        yield connection
    finally:
        watch.cancel()


def free_port() -> int:
    """A local port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def ssh_errors_as_sentences(cluster: Cluster, host: Host) -> Iterator[None]:
    """Turn what SSH raises into one sentence."""
    try:
        yield
    except CommandTimedOut as error:
        raise HostError(
            f"{host.name} did not end `{error.result.command[:80]}` within {error.timeout} s: try again."
        ) from None
    except (OSError, EOFError, SSHException) as error:
        raise _explain(cluster, host, error) from None


def _explain(cluster: Cluster, host: Host, error: Exception) -> OperatorError:
    key = cluster.ssh_key_path
    if isinstance(error, FileNotFoundError) and not key.exists():
        return MissingError(
            f"There is no private key at {key}: put it there, or `make down` and `make up` with another."
        )
    if isinstance(error, PasswordRequiredException):
        return MissingError(
            f"The private key {key} has a passphrase and nobody is asked for it here: give a key without."
        )
    if isinstance(error, BadHostKeyException):
        return HostKeyError(
            f"{host.name} at {host.address} shows another host key than the one pinned in {cluster.known_hosts}: "
            "somebody may be in between; `make down` and `make up` if the host was replaced on purpose."
        )
    if isinstance(error, AuthenticationException):
        sentence = f"{host.name} does not take the key {key} for {cluster.ssh_user}: is it the cluster's key?"
        return MissingError(sentence, "it does not take the key")
    if isinstance(error, SSHException) and "private key file" in str(error):
        return MissingError(f"{key} is no private key that SSH takes ({error}): put the cluster's own there.")
    if isinstance(error, SSHException) and "not found in known_hosts" in str(error):
        return UnpinnedError(
            f"{host.name}'s host key is not pinned yet: `make up` reads it from the console and pins it."
        )
    why = reason(error)
    # A host's own failures come without a file's name.
    if isinstance(error, OSError) and error.filename in (str(key), str(cluster.known_hosts)):
        return MissingError(f"{error.filename} on this machine cannot be read ({why}): have it readable for you.")
    if isinstance(error, OSError) and (error.filename or error.errno in OF_THIS_MACHINE):
        of = f"{error.filename}: " if error.filename else ""
        return InputError(f"It failed on this machine, not on {host.name} ({of}{why}): mend that, then try again.", why)
    return unreachable(cluster, host, why)


def unreachable(cluster: Cluster, host: Host, why: str) -> HostError:
    """That nobody answers there, and what to do: of silence, the firewall is the first thing to think of."""
    where = f"{host.name} at {host.address} cannot be reached ({why})"
    is_direct = host.public_ip and not cluster.ssh_proxy_command
    if why == SILENT and is_direct and (sentence := own_address.shut_out(cluster.region, cluster.name)):
        return HostError(f"{where}. {sentence}", why)
    if why == SILENT and is_direct and (proxy := named_proxy()):
        return HostError(
            f"{where}: ssh goes by no proxy, and {proxy} says that there is one here. Where port 22 is closed to you, "
            "set ssh_proxy_jump in terraform.tfvars; else `make up` checks and mends.",
            why,
        )
    return HostError(f"{where}: `make up` checks and mends.", why)


def reason(error: Exception) -> str:
    """Why a connection failed, in few words."""
    if isinstance(error, NoValidConnectionsError):
        return reason(next(iter(error.errors.values())))
    if isinstance(error, TimeoutError):
        return SILENT
    if isinstance(error, EOFError):
        return "the connection broke"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error).lower() or type(error).__name__
