"""The cloud of a rehearsal: booted, its environment written, ready to be broken."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.sandbox import machine, runs
from tests.sandbox.cloud import Cloud, prepared_cloud
from tests.sandbox.faults.catalogue import Faults
from tests.sandbox.rehearsal import control, environment
from tests.sandbox.standing import CLOUD

# Measured, with room to spare: 3.9 GiB at most; image, layer and what the hosts write.
MEMORY, DISK = 6 << 30, 12 << 30


@dataclass(frozen=True)
class Live:
    """A cloud that is up, and the variables by which commands find it."""

    cloud: Cloud
    folder: Path
    variables: dict[str, str]


@contextmanager
def live_cloud() -> Iterator[Live]:
    """The one cloud of a rehearsal on this machine. Raises SandboxError where there is no room, or one already."""
    machine.check()
    machine.check_programs(("terraform",))
    machine.check_room(MEMORY, DISK, runs.home())
    with CLOUD.held() as folder, prepared_cloud() as cloud:
        variables = environment.write(folder, cloud)
        with control.listening(folder, Faults(cloud)):
            yield Live(cloud, folder, variables)


def serve() -> None:
    """Keep it up, in the foreground, until SIGTERM or Ctrl-C."""
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    with live_cloud() as live:
        CLOUD.announce(
            [
                "A cloud is up on this machine. In another shell, for its make commands to work on it:",
                f"source {live.folder / 'environment'}",
            ]
        )
        done.wait()
