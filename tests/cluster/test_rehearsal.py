"""`make rehearse` that does not go as it should says so and leaves nothing. (CI types the one that goes well.)"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.test_sandbox import is_alive
from tests.conftest import Need
from tests.sandbox import machine, runs, sweep
from tests.sandbox.kernel import cgroups
from tests.sandbox.machine import SandboxError
from tests.sandbox.rehearsal import environment, story
from tests.sandbox.rehearsal.server import live_cloud
from tests.sandbox.runs import Run
from tests.sandbox.standing import CLOUD
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def alone(need: Need) -> None:
    """There is one cloud of a rehearsal on a machine."""
    need(CLOUD.owner() is None, "a rehearsal's cloud is up: make sandbox-down")


def by_hand(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.sandbox", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture
def under_way(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Run]]:
    """A rehearsal whose machines are being made."""
    output = tmp_path / "output"
    with output.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.sandbox", "rehearse"],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
            env=os.environ | {"TMPDIR": str(temporary(tmp_path))},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    try:
        wait_until(lambda: process.poll() is not None or its_hosts(process.pid), "its hosts", 240)
        assert process.poll() is None, output.read_text()
        yield process, its_run(process.pid)
    finally:
        process.kill()
        process.wait()
        by_hand("down")


def temporary(tmp_path: Path) -> Path:
    """The temporary folder of the rehearsal and of all that it starts."""
    folder = tmp_path / "temporary"
    folder.mkdir(exist_ok=True)
    return folder


def its_run(pid: int) -> Run:
    """The sandbox's run that this process has."""
    return Run(next(number for number in runs.live_numbers() if runs.owner(number) == pid))


def its_hosts(pid: int) -> list[str]:
    """What there is of hosts, by their namespaces."""
    return [
        found
        for number in runs.live_numbers()
        if runs.owner(number) == pid
        for found in sweep.remains(Run(number))
        if found.startswith("namespace ")
    ]


def operators(run: Run) -> set[int]:
    """Processes of the commands that it has typed."""
    return cgroups.processes(cgroups.named(f"{run.name}-operator"))


def test_ctrl_c_leaves_nothing(under_way: tuple[subprocess.Popen[bytes], Run], tmp_path: Path) -> None:
    process, run = under_way
    typed = operators(run)
    assert typed
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(120) == 130
    assert sweep.remains(run) == []
    assert not list(filter(is_alive, typed))
    assert not CLOUD.folder.exists()
    assert list(temporary(tmp_path).iterdir()) == []
    assert (tmp_path / "output").read_text().endswith("\nStopped. Nothing is left.\n")


def test_of_a_killed_one_the_next_start_leaves_nothing(
    under_way: tuple[subprocess.Popen[bytes], Run], tmp_path: Path
) -> None:
    process, run = under_way
    typed = operators(run)
    assert typed
    process.kill()
    process.wait()
    assert sweep.remains(run)
    with live_cloud() as live:
        assert not list(filter(is_alive, typed))
        assert not live.cloud.sandbox.hosts
        assert not [found for found in sweep.remains(run) if "-i-" in found or "operator" in found]
    assert sweep.remains(run) == []
    assert not CLOUD.folder.exists()
    assert list(temporary(tmp_path).iterdir()) == []


def test_a_second_one_and_a_failed_command_are_said(capfd: pytest.CaptureFixture[str]) -> None:
    with live_cloud() as live:
        second = by_hand("rehearse")
        assert (second.returncode, second.stderr) == (
            1,
            f"A rehearsal's cloud is up already (process {os.getpid()}): end it with `make sandbox-down`.\n",
        )
        run = live.cloud.sandbox.run
        assert run
        failing = story.Story(live, {"plan": ["--no-such-option"]})
        left = story._tell(failing)
    assert list(failing.seconds) == ["make plan"]
    assert story._end(failing, left, run, began=0) == failing.code == 2
    said = capfd.readouterr().out
    assert "$ make plan --no-such-option\n" in said
    assert "`make plan` failed" in said
    assert said.endswith("Nothing is left.\n")


def test_the_sourced_environment_is_the_one_of_the_story() -> None:
    with live_cloud() as live:
        shown = "source environment && env -0"
        done = subprocess.run(["bash", "-c", shown], cwd=live.folder, capture_output=True, text=True, check=True)
        sourced = dict(line.partition("=")[::2] for line in done.stdout.split("\0"))
        assert sourced.items() >= live.variables.items()
        own = environment.outside(live.variables)
        assert {name: value for name, value in sourced.items() if name.startswith(("AWS_", "TF_", "ORCHARD_"))} == {
            name: value for name, value in own.items() if name.startswith(("AWS_", "TF_", "ORCHARD_"))
        }


def test_what_is_not_there_is_said_before_anything_boots() -> None:
    refused = by_hand("rehearse", "--weights", "no-such-file.h5")
    assert (refused.returncode, refused.stderr) == (1, "There is no no-such-file.h5: name what exists.\n")


@pytest.mark.parametrize(("memory", "disk", "what"), [(1 << 60, 1, "memory"), (1, 1 << 60, "disk in /")])
def test_where_there_is_no_room_it_says_how_much_is_needed(memory: int, disk: int, what: str) -> None:
    with pytest.raises(
        SandboxError, match=rf"^A rehearsal needs 1073741824\.0 GiB of {what}.*, and [\d.]+ GiB are free: "
    ):
        machine.check_room(memory, disk, runs.home() / "not" / "made" / "yet")


def test_a_program_that_no_package_brings_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SandboxError, match=r"^terraform is not on this machine: install it, then try again\.$"):
        machine.check_programs(("terraform",))
