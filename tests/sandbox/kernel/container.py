"""A booted container: systemd-nspawn around a host's root folder, started again when the guest asks for a reboot."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.sandbox.kernel import cgroups
from tests.sandbox.machine import SandboxError

LAUNCH = Path(__file__).with_name("launch.py")
# nspawn's exit code when the guest asked for a reboot.
REBOOT = 133
ORDERLY_SECONDS = 30
CUT_SECONDS = 10
# What a process in a guest may have open at most: nspawn cannot raise it above its own limit.
OPEN_FILES = 20_000


@dataclass(frozen=True)
class Guest:
    """What is to be booted. `cgroup` names the host's control groups, `namespace` its network namespace."""

    hostname: str
    root: Path
    uuid: str
    cgroup: str
    namespace: str
    console: Path


class Container:
    """Power button and power cord of one host.

    `ended` is called, from the supervising thread, when the guest has switched itself off.
    """

    def __init__(self, guest: Guest, ended: Callable[[], None] = lambda: None) -> None:
        self.guest = guest
        self._ended = ended
        self._process: subprocess.Popen[bytes] | None = None
        self._supervisor: threading.Thread | None = None
        self._stopping = False
        self._started = threading.Event()
        # Between a reboot's two lives nobody may take the host for stopped.
        self._turning = threading.Lock()

    @property
    def is_running(self) -> bool:
        return self._supervisor is not None and self._supervisor.is_alive()

    def start(self) -> None:
        """Switch the host on."""
        if self.is_running:
            return
        self._groups = cgroups.create(self.guest.cgroup)
        self._stopping = False
        self._started.clear()
        # One thread for the whole life: nspawn is told to end when the thread that started it is gone.
        self._supervisor = threading.Thread(target=self._supervise, name=f"host {self.guest.hostname}", daemon=True)
        self._supervisor.start()
        self._started.wait()

    def stop(self) -> None:
        """Orderly power off; a guest that does not manage it in time is cut off."""
        self._announce_end()
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(ORDERLY_SECONDS)
            except subprocess.TimeoutExpired:
                self._kill_init()
        self._clean_up()

    def cut_power(self) -> None:
        """End the guest at once, nothing flushed, nobody told."""
        self._announce_end()
        if self._process is not None and self._process.poll() is None:
            self._kill_init()
        self._clean_up()

    def init(self) -> int | None:
        """Process id of the guest's init as this machine sees it, None while there is none."""
        if self._process is None:
            return None
        try:
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return int(children[0]) if children else None

    def _announce_end(self) -> None:
        with self._turning:
            self._stopping = True

    def _kill_init(self) -> None:
        # SIGKILL on nspawn itself would leave the guest running: its init goes first, and all of the guest with it.
        deadline = time.monotonic() + CUT_SECONDS
        while self._process is not None and self._process.poll() is None:
            init = self.init()
            if time.monotonic() > deadline or init is None:
                self._process.kill()
                break
            os.kill(init, signal.SIGKILL)
            try:
                self._process.wait(0.5)
            except subprocess.TimeoutExpired:
                continue

    def _clean_up(self) -> None:
        if self._supervisor is not None:
            self._supervisor.join(CUT_SECONDS)
            if self._supervisor.is_alive():
                raise SandboxError(f"The host {self.guest.hostname} does not stop; see {self.guest.console}.")
            cgroups.destroy(self._groups)
            self._supervisor = None
            self._process = None

    def _supervise(self) -> None:
        code = REBOOT
        while code == REBOOT and self._launch():
            self._started.set()
            assert self._process is not None
            code = self._process.wait()
        if not self._stopping:
            self._ended()

    def _launch(self) -> bool:
        with self._turning, self.guest.console.open("ab") as console:
            if self._stopping:
                return False
            self._process = subprocess.Popen(
                self._command(),
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            return True

    def _command(self) -> list[str]:
        guest = self.guest
        return [
            sys.executable,
            "-ISs",
            str(LAUNCH),
            *map(str, self._groups),
            "--",
            "systemd-nspawn",
            "--quiet",
            "--boot",
            f"--directory={guest.root}",
            f"--machine={guest.cgroup}",
            f"--hostname={guest.hostname}",
            f"--uuid={guest.uuid}",
            "--register=no",
            "--keep-unit",
            f"--network-namespace-path=/run/netns/{guest.namespace}",
            "--capability=CAP_NET_ADMIN",
            "--resolv-conf=copy-host",
            "--timezone=off",
            "--link-journal=no",
            "--console=read-only",
            f"--rlimit=NOFILE={OPEN_FILES}",
        ]

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            # /tmp as a tmpfs would count against the host's memory: a large installation dies of it.
            "SYSTEMD_NSPAWN_TMPFS_TMP": "0",
            # The guest may set its own net.* sysctls.
            "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
        }
