"""The sandbox by hand: `python -m tests.sandbox up|down|cloud|rehearse|chaos|fault|tools`."""

import argparse
import os
import shutil
import signal
import sys
import threading
from typing import Any

from scripts import console
from tests.sandbox import handle, machine, runs, sweep
from tests.sandbox.chaos import session
from tests.sandbox.faults import catalogue
from tests.sandbox.machine import SandboxError
from tests.sandbox.rehearsal import control, server, story
from tests.sandbox.sandbox import MIB, Sandbox
from tests.sandbox.standing import CLOUD, HOSTS

MOST_HOSTS = 100  # addresses from .10 upward, in a network of 254


def up(hosts: int, memory: int) -> None:
    """Start hosts in the background and wait until they answer."""
    machine.check()
    if not 1 <= hosts <= MOST_HOSTS:
        raise SandboxError(f"A sandbox has 1 to {MOST_HOSTS} hosts, not {hosts}: make sandbox-up HOSTS=3.")
    HOSTS.start("serve", f"--hosts={hosts}", f"--memory={memory}")


def serve(hosts: int, memory: int) -> None:
    """Keep hosts up, in the foreground, until SIGTERM or Ctrl-C."""
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    with HOSTS.held() as folder, Sandbox() as sandbox:
        # Key, SSH settings and outputs, as a checkout has them in `terraform`.
        terraform = folder / "terraform"
        names = ["master", *(f"worker-{index}" for index in range(1, hosts))]
        booted = sandbox.add_plain(names, handle.make_key(terraform), memory=memory * MIB)
        for host in booted:
            host.wait_until_ready()
        handle.write(terraform, booted)
        lines = [f"{host.name:<12}{host.metadata.identity.public_ip:<16}{host.address}" for host in booted]
        lines += [f"ssh -F {terraform / 'ssh_config'} {booted[0].name}", f"export ORCHARD_TERRAFORM={terraform}"]
        HOSTS.announce([f"pid {os.getpid()}", *lines])
        done.wait()


def cloud() -> None:
    """Boot an AWS double and leave it up."""
    machine.check()
    CLOUD.start("serve-cloud")


def down() -> None:
    """End whatever is up, and sweep what killed ones left."""
    machine.check()
    for standing in (CLOUD, HOSTS):
        standing.end()
    with runs.all_runs_locked():
        sweep.sweep_dead_runs()
    for standing in (CLOUD, HOSTS):
        shutil.rmtree(standing.folder, ignore_errors=True)


def fault(words: list[str]) -> None:
    """Let something happen to the cloud that is up; `list` explains what there is."""
    if words == ["list"]:
        rows = [*catalogue.explained(), ("clear", "ends all of them")]
        print("\n".join(console.columns(rows)))
        return
    print(control.ask(CLOUD.folder, words))


def main() -> int:
    """Exit code 0, or 1 after one sentence on what is wrong; a rehearsal's own."""
    given = _parser().parse_args()
    commands: dict[str, Any] = {
        "up": lambda: up(given.hosts, given.memory),
        "serve": lambda: serve(given.hosts, given.memory),
        "cloud": cloud,
        "serve-cloud": server.serve,
        "rehearse": lambda: story.rehearse(given.data, given.weights),
        "chaos": lambda: session.chaos(given.seed, given.seeds, given.data, given.weights),
        "fault": lambda: fault([given.name, *given.words]),
        "down": down,
        "tools": machine.install,
    }
    try:
        return commands[given.command]() or 0
    except SandboxError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return story.STOPPED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sandbox", description="Real Debian hosts on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("up", "start hosts in the background"), ("serve", "start hosts and stay")):
        starting = commands.add_parser(name, help=text)
        starting.add_argument("--hosts", type=int, default=3, help="a master and workers, so many in all")
        starting.add_argument("--memory", type=int, default=4096, help="MiB of memory for each host")
    commands.add_parser("cloud", help="start an AWS double with hosts behind it in the background")
    commands.add_parser("serve-cloud", help="start it and stay")
    rehearsing = commands.add_parser("rehearse", help="the README's commands on such a cloud, from plan to down")
    raging = commands.add_parser("chaos", help="runs on such a cloud under faults that a seed draws, and nothing lost")
    raging.add_argument("--seed", type=int, default=None, help="the first seed; another each time without")
    raging.add_argument("--seeds", type=int, default=1, help="how many, one after the other")
    for story_of_one in (rehearsing, raging):
        story_of_one.add_argument("--data", default="", help="folder of pictures; drawn ones without")
        story_of_one.add_argument("--weights", default="", help="file of weights; random ones without")
    breaking = commands.add_parser("fault", help="let something happen to it: `fault list`")
    breaking.add_argument("name")
    # As they are: an offset of the clock may begin with a hyphen.
    breaking.add_argument("words", nargs=argparse.REMAINDER)
    commands.add_parser("down", help="stop whatever is up and leave nothing behind")
    commands.add_parser("tools", help="install the Debian packages that the sandbox needs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
