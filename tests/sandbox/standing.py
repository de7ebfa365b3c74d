"""A sandbox that stays up: one of its kind at a time, started in the background, ended by hand."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.sandbox import runs
from tests.sandbox.machine import SandboxError

ROOT = Path(__file__).resolve().parents[2]
UP_SECONDS = 1200  # an image and a layer may have to be built
DOWN_SECONDS = 120


@dataclass(frozen=True)
class Standing:
    """One kind of it. What belongs to it lies in a folder of its own, which goes with it; its log stays."""

    name: str
    title: str

    @property
    def folder(self) -> Path:
        return runs.home() / self.name

    @property
    def log(self) -> Path:
        return runs.home() / f"{self.name}.log"

    @property
    def _ready(self) -> Path:
        return self.folder / "ready"

    @property
    def _lock(self) -> Path:
        return runs.home() / f"{self.name}.lock"

    @contextmanager
    def held(self) -> Iterator[Path]:
        """Be the one of its kind, its folder empty; both end with this process. Raises SandboxError beside another."""
        runs.home().mkdir(parents=True, exist_ok=True)
        with self._lock.open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.refuse_another()
            lock.truncate(0)
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(mode=0o700)
            try:
                yield self.folder
            finally:
                shutil.rmtree(self.folder, ignore_errors=True)

    def announce(self, lines: Sequence[str]) -> None:
        """Say that it is up: `start` prints the lines and ends."""
        new = self._ready.with_suffix(".new")
        new.write_text("".join(f"{line}\n" for line in lines))
        new.rename(self._ready)

    def start(self, *words: str) -> None:
        """Start `python -m tests.sandbox WORDS` in the background, wait until it is up, print what it announces."""
        self.refuse_another()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("w") as log:
            command = [sys.executable, "-m", "tests.sandbox", *words]
            server = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        try:
            self._wait_until_ready(server)
        except BaseException:
            # Ctrl-C, too: a sandbox that nobody waits for is one that nobody ends.
            server.terminate()
            server.wait()
            raise
        print(self._ready.read_text(), end="")

    def refuse_another(self) -> None:
        """Raise SandboxError where one is up."""
        owner = self.owner()
        if owner is not None:
            raise SandboxError(f"{self.title} is up already (process {owner}): end it with `make sandbox-down`.")

    def end(self) -> None:
        """End it, if it is up, and wait until it is gone."""
        owner = self.owner()
        if owner is None:
            return
        os.kill(owner, signal.SIGTERM)
        deadline = time.monotonic() + DOWN_SECONDS
        while self.owner() == owner:
            if time.monotonic() > deadline:
                raise SandboxError(f"{self.title} (process {owner}) is not down after {DOWN_SECONDS} s.")
            time.sleep(0.1)

    def owner(self) -> int | None:
        """Process id of the one that is up, None when none is."""
        try:
            with self._lock.open() as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return None
        except BlockingIOError:
            return int(self._lock.read_text())
        return None

    def _wait_until_ready(self, server: subprocess.Popen[bytes]) -> None:
        deadline, shown = time.monotonic() + UP_SECONDS, 0
        while not self._ready.exists():
            said = self.log.read_text()
            # Whole lines only; what it says on its way is news for whoever waits.
            whole = said.rfind("\n") + 1
            if server.poll() is not None or time.monotonic() > deadline:
                raise SandboxError(f"{self.title} did not come up: {_last_line(said)}")
            print(said[shown:whole], end="", file=sys.stderr, flush=True)
            shown = whole
            time.sleep(0.1)


HOSTS = Standing("by-hand", "A sandbox")
CLOUD = Standing("cloud", "A rehearsal's cloud")


def _last_line(log: str) -> str:
    lines = log.splitlines()
    return lines[-1].rpartition("SandboxError: ")[2] if lines else "it ended without a word."
