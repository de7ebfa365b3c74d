"""`make rehearse`: the README's commands in order on a cloud of this machine's own, and nothing left of it."""

import os
import shlex
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from pipeline.pictures.demo_pictures import draw_photos, draw_pictures
from scripts import console
from tests.doubles.aws.resources import resources_of
from tests.sandbox import sweep
from tests.sandbox.kernel import cgroups
from tests.sandbox.machine import SandboxError
from tests.sandbox.rehearsal import environment
from tests.sandbox.rehearsal.server import Live, live_cloud
from tests.sandbox.runs import Run

ROOT = environment.ROOT
# For a command that Ctrl-C has reached, too, to end in good order.
LAST_SECONDS = 60
STOPPED = 130  # as a shell has it after Ctrl-C
# Whose photos lie among the pictures: one that is turned and one of 16 bits, too.
PHOTOGRAPHED = ("Banana", "Lemon")
COMMANDS = ("plan", "up", "upload", "run", "results", "status", "down")


@dataclass
class Story:
    """What was typed so far: the seconds of each command, and the exit code of the first that failed."""

    live: Live
    given: dict[str, list[str]]
    seconds: dict[str, float] = field(default_factory=dict)
    code: int = 0

    def type(self, command: str) -> None:
        """Type `make COMMAND`, its output as it comes."""
        words = ["make", command, *self.given.get(command, [])]
        print(f"\n$ {shlex.join(words)}", flush=True)
        began = time.monotonic()
        self.code = _ended(begun(words, self.live))
        self.seconds[f"make {command}"] = time.monotonic() - began

    def left(self) -> list[str]:
        """What there is of the cluster by a look that knows nothing of the product's; its bucket is to stay."""
        there = resources_of(self.live.cloud.aws.keepers_client, "rehearsal")
        return [thing for thing in there if not thing.startswith("bucket ")]


def rehearse(data: str, weights: str) -> int:
    """The whole story. Gives the exit code of the first command that failed, 1 where something was left.

    `data` is a folder of pictures, drawn where empty; `weights` a file, random where empty.
    """
    for given in filter(None, (data, weights)):
        if not Path(given).expanduser().exists():
            raise SandboxError(f"There is no {given}: name what exists.")
    end_as_with_ctrl_c()
    began = time.monotonic()
    run, left = None, []
    try:
        with live_cloud() as live:
            run = live.cloud.sandbox.run
            assert run
            story = Story(
                live, {"upload": [f"DATA={data or drawn(live.folder)}"], "run": [f"WEIGHTS={weights or 'random'}"]}
            )
            story.seconds["boot the cloud"] = time.monotonic() - began
            left = _tell(story)
    except KeyboardInterrupt:
        print(f"\nStopped. {_said_of(sweep.remains(run) if run else [])}")
        return STOPPED
    return _end(story, left, run, began)


def _tell(story: Story) -> list[str]:
    """Type all commands, up to the first that fails; gives what the last one left."""
    for command in COMMANDS:
        story.type(command)
        if story.code:
            return []
    return story.left()


def _end(story: Story, left: list[str], run: Run, began: float) -> int:
    """The table of seconds, where the report is, and whether anything is left."""
    rows = [*story.seconds.items(), ("together", time.monotonic() - began)]
    print("\n" + "\n".join(console.columns((name, f"{seconds:>6.0f} s") for name, seconds in rows)))
    if story.code:
        print(f"`{list(story.seconds)[-1]}` failed; what it says above holds for a real cloud, too.")
    elif reports := sorted(ROOT.glob("results/*/report.html"), key=lambda file: file.stat().st_mtime):
        print(f"Report: {reports[-1]}")
    left = [*left, *sweep.remains(run)]
    print(_said_of(left))
    return story.code or int(bool(left))


def _said_of(left: list[str]) -> str:
    return f"Left: {', '.join(left)}." if left else "Nothing is left."


def drawn(folder: Path) -> str:
    """Pictures, and a phone's photos among them, in the cloud's own folder: of a killed rehearsal, they go with it."""
    draw_pictures(folder / "pictures")
    draw_photos(folder / "pictures", PHOTOGRAPHED)
    return str(folder / "pictures")


def begun(words: list[str], live: Live, output: IO[str] | None = None) -> subprocess.Popen[bytes]:
    """The command, in a group that goes with the run: of a killed rehearsal, nothing works on.

    What it says goes to `output`, to where this process's own does without.
    """
    assert live.cloud.sandbox.run
    groups = cgroups.create(f"{live.cloud.sandbox.run.name}-operator")

    def join() -> None:
        for group in groups:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    # What a killed Terraform leaves of its plugins goes with the cloud's folder.
    temporary = live.folder / "temporary"
    temporary.mkdir(exist_ok=True)
    variables = environment.outside(live.variables) | {"TMPDIR": str(temporary)}
    # Whose words nobody sees is asked nothing either.
    quiet: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.STDOUT}
    return subprocess.Popen(words, cwd=ROOT, env=variables, preexec_fn=join, **(quiet if output else {}))


def _ended(command: subprocess.Popen[bytes]) -> int:
    """Its exit code. On Ctrl-C, which a terminal sends to it, too, it may end in good order first."""
    try:
        return command.wait()
    except KeyboardInterrupt:
        command.send_signal(signal.SIGINT)
        try:
            command.wait(LAST_SECONDS)
        except subprocess.TimeoutExpired:
            command.kill()
            command.wait()
        raise


def end_as_with_ctrl_c() -> None:
    """SIGTERM does what Ctrl-C does, in this process only: netlink calls fork some that are ended by it."""
    own = os.getpid()

    def interrupt(*_: object) -> None:
        if os.getpid() != own:
            os._exit(1)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
