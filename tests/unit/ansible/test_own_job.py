"""Pieces of the launcher of a person's own program that need neither a bucket nor a unit."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import own_job

WAITS = [sys.executable, "-c", "import sys; sys.stdin.read()"]


@pytest.mark.skipif(sys.platform != "linux", reason="a full disk as Linux plays it")
def test_a_full_disk_ends_the_log_and_keeps_no_program_waiting(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as source, Path("/dev/full").open("wb", buffering=0) as log:
        with os.fdopen(writing, "wb") as program:
            program.write(b"a line\n" * 1000)
        own_job.pump(source, log)
        own_job.say("our own word", log)
    assert capfdbinary.readouterr().out == b"a line\n" * 1000 + b"orchard: our own word\n"


def test_s3_that_drops_packets_holds_no_job_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    config = own_job.client().meta.config
    # Within the two minutes that the unit has from the request to stop on.
    assert config.retries["total_max_attempts"] * (config.connect_timeout + config.read_timeout) < 120


@pytest.fixture
def left() -> Iterator[subprocess.Popen[bytes]]:
    """What a program has left outside its session."""
    with subprocess.Popen(WAITS, stdin=subprocess.PIPE, start_new_session=True) as process:
        yield process
        process.kill()


@pytest.fixture
def groups(left: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kernel's groups, with this process and what is left in that of job `mine`."""
    folder = tmp_path / "system.slice" / "orchard-run-mine.service"
    folder.mkdir(parents=True)
    (folder / "cgroup.procs").write_text(f"0\n{os.getpid()}\n{left.pid}\n")
    (folder / "memory.events").write_text("oom 3\noom_kill 2\n")
    monkeypatch.setattr(own_job, "CGROUPS", tmp_path)
    monkeypatch.setattr(own_job, "own_group", lambda: "/system.slice/orchard-run-mine.service")
    return tmp_path


@pytest.mark.usefixtures("groups")
def test_what_a_program_leaves_outside_its_session_ends_with_its_unit_whose_launcher_goes_on(
    left: subprocess.Popen[bytes],
) -> None:
    own_job.end_unit("mine")
    assert left.wait(10) == -9
    assert own_job.oom_kills() == 2


@pytest.mark.usefixtures("groups")
@pytest.mark.parametrize("name", ["ine", "other", "mine.service"])
def test_in_a_group_that_is_not_its_units_own_nobody_is_ended(left: subprocess.Popen[bytes], name: str) -> None:
    own_job.end_unit(name)
    assert left.poll() is None


def test_a_process_knows_its_own_group() -> None:
    assert own_job.own_group().startswith("/")
