"""The one place that runs a command on this machine.

A long command writes into a file and not into this process: it ends well even if this process is killed, and the next
task waits for it (`lock`).
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts import console
from scripts.errors import (
    AwsError,
    ConfigurationError,
    FullDiskError,
    MissingError,
    OperatorError,
    StoppedError,
)
from scripts.room import Room
from scripts.waiting import wait_until

READ_SECONDS = 0.1  # between two readings of what a command has written
END_SECONDS = 180  # for a command that was asked to stop: Terraform finishes what it has begun

# Open files that long commands are handed: locks, held until the command ends even if this process is killed.
inherited: set[int] = set()

# By program and system; where Debian's packages have it, what to type there.
WHERE_TO_GET = {
    "terraform": {
        "darwin": "brew install hashicorp/tap/terraform",
        "": "get it from https://developer.hashicorp.com/terraform/install",
    },
    "ansible-playbook": {"": "run `make setup`"},
    "uv": {"": "run `make setup`"},
    "ssh": {"": "install the OpenSSH client (Debian and Ubuntu: sudo apt-get install openssh-client)"},
    "ssh-keygen": {"": "install the OpenSSH client (Debian and Ubuntu: sudo apt-get install openssh-client)"},
}


def where_to_get(program: str) -> str:
    """What to do on this system for a program that is not there."""
    ways = WHERE_TO_GET.get(program, {"": "install it"})
    return ways.get(sys.platform, ways[""])


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str = ""


def need(program: str) -> str:
    """The path of a program; the environment that runs this is looked in first. Raises MissingError."""
    found = shutil.which(program, path=search_path())
    if found is None:
        raise MissingError(f"{program} is not installed: {where_to_get(program)}, then try again.")
    return found


def search_path() -> str:
    """PATH with this Python's own programs first, so that Ansible is the locked one."""
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"


def capture(
    words: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str | None] | None = None,
    timeout: float = 60,
) -> Done:
    """Run a short command and give what it printed. Raises MissingError, and OperatorError when time is up."""
    program, *arguments = map(str, words)
    console.log(f"$ {program} {' '.join(arguments)}")
    try:
        done = subprocess.run(
            [need(program), *arguments],
            cwd=cwd,
            env=_environment(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _failure(program)(f"{program} gave no answer within {timeout:.0f} s: try again.") from None
    if done.returncode:
        console.log(done.stdout + done.stderr)
    return Done(done.returncode, done.stdout, done.stderr)


def follow(
    words: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str | None] | None = None,
    timeout: float,
    on_line: Callable[[str], None] = lambda _: None,
) -> Done:
    """Run a long command; each line goes to the log file and to `on_line` as it comes. `out` is all of it.

    Ctrl-C asks the command to stop and waits until it has. So does a disk that fills up: raises FullDiskError.
    """
    program, *arguments = map(str, words)
    console.log(f"$ {program} {' '.join(arguments)}")
    log = console.log_file()
    with Room(log.parent) as room:
        with log.open("ab") as output:
            begins = output.tell()
            process = subprocess.Popen(
                [need(program), *arguments],
                cwd=cwd,
                env=_environment(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=tuple(inherited),
            )
        lines = _Lines(log, begins, on_line)
        try:
            _wait(process, program, timeout, lines, room)
        except KeyboardInterrupt:
            how = "has ended in order" if _stop(process) else "was broken off"
            raise StoppedError(f"Stopped. {program} {how}; the same command again goes on.") from None
    lines.read()
    return Done(process.returncode, lines.text)


def hand_over(words: Sequence[str | Path], *, env: Mapping[str, str | None] | None = None) -> int:
    """Run a command that speaks to the person itself, on this terminal; gives its exit code."""
    program, *arguments = map(str, words)
    process = subprocess.Popen([need(program), *arguments], env=_environment(env))
    try:
        return process.wait()
    except KeyboardInterrupt:
        # From the keyboard it has heard of it, too; a SIGTERM came to this process alone.
        process.terminate()
        return process.wait()


class _Lines:
    """What a command has written since it began, line by line."""

    def __init__(self, log: Path, begins: int, on_line: Callable[[str], None]) -> None:
        self.text = ""
        self._file = log.open("rb")
        self._file.seek(begins)
        self._on_line, self._rest = on_line, b""

    def read(self) -> None:
        *whole, self._rest = (self._rest + self._file.read()).split(b"\n")
        for raw in whole:
            line = raw.decode(errors="replace")
            self.text += f"{line}\n"
            if console.is_verbose():
                console.say(line)
            self._on_line(line)


def _wait(process: subprocess.Popen[bytes], program: str, timeout: float, lines: _Lines, room: Room) -> None:
    def is_over() -> bool:
        lines.read()
        return process.poll() is not None or room.is_short()

    has_found = wait_until(is_over, seconds=timeout, every=READ_SECONDS)
    if process.poll() is None:
        _stop(process)
        if has_found:
            raise FullDiskError
        raise _failure(program)(
            f"{program} was not done within {timeout / 60:.0f} minutes and was stopped: "
            f"{console.log_file()} says how far it came."
        )


def _stop(process: subprocess.Popen[bytes]) -> bool:
    """One SIGINT, and patience: a second would make Terraform drop what it is doing. Says whether that was enough."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(END_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        return False
    return True


def _failure(program: str) -> type[OperatorError]:
    """Whose fault it is when this program does not come to its end."""
    return {"terraform": AwsError, "ansible-playbook": ConfigurationError}.get(program, MissingError)


# Keys that a shell may have in its environment. SSH and what it starts need none of them.
AWS_SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def without_secrets() -> dict[str, str]:
    """The environment of programs that have nothing to do with AWS."""
    return _environment(dict.fromkeys(AWS_SECRETS))


def _environment(more: Mapping[str, str | None] | None) -> dict[str, str]:
    """This process's environment with more in it; a name that has None is taken out."""
    wanted = {**os.environ, "PATH": search_path(), **(more or {})}
    return {name: value for name, value in wanted.items() if value is not None}
