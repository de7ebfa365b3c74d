"""The sandbox by hand: `python -m tests.sandbox up|down|status|tools`."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.sandbox import handle, machine, runs, sweep
from tests.sandbox.machine import SandboxError
from tests.sandbox.sandbox import MIB, Sandbox

UP_SECONDS = 600
DOWN_SECONDS = 120
MOST_HOSTS = 100  # addresses from .10 upward, in a network of 254
ROOT = Path(__file__).resolve().parents[2]


def by_hand() -> Path:
    """Where a sandbox made by hand keeps its log, and `ready` while it is up."""
    return runs.home() / "by-hand"


def terraform_folder() -> Path:
    """Where it keeps its key, its SSH settings and its outputs, as a checkout has them in `terraform`."""
    return by_hand() / "terraform"


def up(hosts: int, memory: int) -> None:
    """Start a sandbox in the background and wait until its hosts answer."""
    machine.check()
    if not 1 <= hosts <= MOST_HOSTS:
        raise SandboxError(f"A sandbox has 1 to {MOST_HOSTS} hosts, not {hosts}: make sandbox-up HOSTS=3.")
    if _owner() is not None:
        raise SandboxError("A sandbox is up already: end it with `make sandbox-down`.")
    shutil.rmtree(by_hand(), ignore_errors=True)
    by_hand().mkdir(parents=True)
    with (by_hand() / "log").open("w") as log:
        command = [sys.executable, "-m", "tests.sandbox", "serve", f"--hosts={hosts}", f"--memory={memory}"]
        server = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    deadline = time.monotonic() + UP_SECONDS
    while not (by_hand() / "ready").exists():
        if server.poll() is not None or time.monotonic() > deadline:
            raise SandboxError(f"The sandbox did not come up: {_last_line(by_hand() / 'log')}")
        time.sleep(0.1)
    print((by_hand() / "ready").read_text(), end="")


def serve(hosts: int, memory: int) -> None:
    """Keep a sandbox up, in the foreground, until SIGTERM or Ctrl-C."""
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    with Sandbox() as sandbox:
        names = ["master", *(f"worker-{index}" for index in range(1, hosts))]
        booted = sandbox.add_plain(names, handle.make_key(terraform_folder()), memory=memory * MIB)
        for host in booted:
            host.wait_until_ready()
        handle.write(terraform_folder(), booted)
        lines = [f"{host.name:<12}{host.metadata.identity.public_ip:<16}{host.address}" for host in booted]
        lines += [f"ssh -F {terraform_folder() / 'ssh_config'} {booted[0].name}"]
        lines += [f"export ORCHARD_TERRAFORM={terraform_folder()}", ""]
        text = by_hand() / "ready.new"
        text.write_text("\n".join([f"pid {os.getpid()}", *lines]))
        text.rename(by_hand() / "ready")
        done.wait()
    (by_hand() / "ready").unlink()


def down() -> None:
    """End the sandbox made by hand, and sweep what killed ones left."""
    machine.check()
    owner = _owner()
    if owner is not None:
        os.kill(owner, signal.SIGTERM)
        deadline = time.monotonic() + DOWN_SECONDS
        while _owner() is not None:
            if time.monotonic() > deadline:
                raise SandboxError(f"The sandbox (process {owner}) is not down after {DOWN_SECONDS} s.")
            time.sleep(0.1)
    with runs.all_runs_locked():
        sweep.sweep_dead_runs()
    shutil.rmtree(by_hand(), ignore_errors=True)


def _owner() -> int | None:
    """Process id of the sandbox made by hand, None when none is up."""
    ready = by_hand() / "ready"
    if not ready.exists():
        return None
    pid = int(ready.read_text().split()[1])
    return pid if pid in [runs.owner(number) for number in runs.live_numbers()] else None


def _last_line(log: Path) -> str:
    lines = log.read_text().splitlines()
    return lines[-1].rpartition("SandboxError: ")[2] if lines else "it ended without a word."


def main() -> int:
    """Exit code 0, or 1 after one sentence on what is wrong."""
    parser = argparse.ArgumentParser(prog="sandbox", description="Real Debian hosts on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("up", "start hosts in the background"), ("serve", "start hosts and stay")):
        starting = commands.add_parser(name, help=text)
        starting.add_argument("--hosts", type=int, default=3, help="a master and workers, so many in all")
        starting.add_argument("--memory", type=int, default=4096, help="MiB of memory for each host")
    commands.add_parser("down", help="stop them and leave nothing behind")
    commands.add_parser("tools", help="install the Debian packages that the sandbox needs")
    arguments = parser.parse_args()
    try:
        if arguments.command == "up":
            up(arguments.hosts, arguments.memory)
        elif arguments.command == "serve":
            serve(arguments.hosts, arguments.memory)
        elif arguments.command == "down":
            down()
        else:
            machine.install()
    except SandboxError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
