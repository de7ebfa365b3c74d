"""A run as the master's systemd knows it: a transient unit that outlives whoever started it."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from scripts.hosts.ssh import Hosts

PREFIX = "orchard-run-"
SUFFIX = ".service"
ENDED_BY_REQUEST = 130
STOP_SECONDS = 120  # to cancel Spark's jobs and leave in order; after that it is killed
# The kernel's number for a program that ended by itself (CLD_EXITED); other numbers mean a signal.
EXITED = "1"
CURSOR = "-- cursor: "
LOOK_SECONDS = 15

_SHOWN = (
    "Id",
    "LoadState",
    "ActiveState",
    "SubState",
    "ExecMainCode",
    "ExecMainStatus",
    "ExecMainStartTimestamp",
    "ExecMainExitTimestamp",
)
_PROPERTIES = (
    "EnvironmentFile=/etc/orchard/environment",
    "EnvironmentFile=-/run/orchard/scratch.env",
    "WorkingDirectory=/var/lib/spark",
    # How it ended stays to be asked for.
    "RemainAfterExit=yes",
    # The driver alone is asked to stop; it ends its JVM itself.
    "KillMode=mixed",
    f"TimeoutStopSec={STOP_SECONDS}",
    "LimitNOFILE=65536",
    "UMask=0077",
    "NoNewPrivileges=yes",
    "PrivateTmp=yes",
)


@dataclass(frozen=True)
class Unit:
    """A run's unit: `code` is the job's own exit code once it has ended, 128 and the signal where it was killed.

    Times are seconds of the epoch by the master's clock.
    """

    run_id: str
    is_running: bool
    code: int | None
    began_at: float
    ended_at: float | None

    def seconds(self, now: float) -> float:
        """How long it has run, or ran."""
        return (self.ended_at or now) - self.began_at


@dataclass(frozen=True)
class Look:
    """What one look at a run showed: its unit (None: the master knows of none), new lines, where to go on reading."""

    unit: Unit | None
    lines: tuple[str, ...]
    cursor: str


def name_of(run_id: str) -> str:
    """The unit's name."""
    return f"{PREFIX}{run_id}{SUFFIX}"


def start(hosts: Hosts, run_id: str, description: str, command: Sequence[str]) -> None:
    """Start the job on the master as the service user. An ended unit of that name gives way."""
    master, name = hosts.cluster.master, shlex.quote(name_of(run_id))
    words = ["sudo", "systemd-run", "--quiet", "--service-type=exec", "--uid=spark", "--gid=spark"]
    words += [f"--unit={name_of(run_id)}", f"--description={description}"]
    words += [f"--property={line}" for line in _PROPERTIES]
    hosts.run(master, f"sudo systemctl stop {name}; sudo systemctl reset-failed {name}", check=False)
    hosts.run(master, shlex.join([*words, *command]))


def ask_to_stop(hosts: Hosts, run_id: str) -> None:
    """Send the job SIGTERM: it keeps what is finished and ends. It may take some seconds."""
    hosts.run(hosts.cluster.master, f"sudo systemctl stop --no-block {shlex.quote(name_of(run_id))}")


def known(hosts: Hosts) -> list[Unit]:
    """Every run that the master knows of since it booted, the latest begun last."""
    shown = hosts.run(hosts.cluster.master, _show(f"{PREFIX}*{SUFFIX}"), timeout=LOOK_SECONDS).out
    units = [unit for block in shown.split("\n\n") if (unit := parse(block))]
    return sorted(units, key=lambda unit: unit.began_at)


def running(hosts: Hosts) -> list[Unit]:
    """The runs that go on now."""
    return [unit for unit in known(hosts) if unit.is_running]


def look(hosts: Hosts, run_id: str, cursor: str = "") -> Look:
    """The unit, and what it has printed since `cursor`. When it has ended, all of it has been printed."""
    name = name_of(run_id)
    after = f"--after-cursor={shlex.quote(cursor)} " if cursor else ""
    # The state first: what a unit that has ended wrote is in the journal, once that is in step.
    script = (
        f"{_show(name)}; echo; "
        f'[ "$(systemctl show --value --property=SubState {name})" = running ] || sudo journalctl --sync; '
        f"sudo journalctl --quiet --no-pager --output=cat --show-cursor {after}"
        f'"_SYSTEMD_INVOCATION_ID=$(systemctl show --value --property=InvocationID {name})"'
    )
    # Asked every second: the log file would hold little else.
    answer = hosts.run(hosts.cluster.master, script, timeout=LOOK_SECONDS, check=False, log=False).out
    shown, _, printed = answer.partition("\n\n")
    lines = printed.splitlines()
    if lines and lines[-1].startswith(CURSOR):
        cursor = lines.pop().removeprefix(CURSOR)
    return Look(parse(shown), tuple(lines), cursor)


def parse(shown: str) -> Unit | None:
    """A unit from `systemctl show --timestamp=unix`; None where there is no such unit."""
    told = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    if told.get("LoadState") != "loaded":
        return None
    is_running = told["SubState"] not in ("exited", "failed", "dead")
    status = int(told["ExecMainStatus"])
    return Unit(
        run_id=told["Id"].removeprefix(PREFIX).removesuffix(SUFFIX),
        is_running=is_running,
        code=None if is_running else status if told["ExecMainCode"] == EXITED else 128 + status,
        began_at=_epoch(told["ExecMainStartTimestamp"]) or 0.0,
        ended_at=_epoch(told["ExecMainExitTimestamp"]),
    )


def _epoch(text: str) -> float | None:
    return float(text.removeprefix("@")) if text.startswith("@") else None


def _show(pattern: str) -> str:
    return f"systemctl show --timestamp=unix --property={','.join(_SHOWN)} {shlex.quote(pattern)}"
