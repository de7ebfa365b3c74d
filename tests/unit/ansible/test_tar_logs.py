"""tar_logs, which packs what executors wrote as their own user: whatever they plant, the tar comes and is bounded."""

import importlib.util
import io
import os
import socket
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).resolve().parents[3] / "ansible" / "roles" / "common" / "files" / "tar_logs.py"


@pytest.fixture
def program() -> Any:
    specification = importlib.util.spec_from_file_location("tar_logs", PROGRAM)
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """An executor's folder below `work`."""
    made = tmp_path / "work" / "app-1" / "0"
    made.mkdir(parents=True)
    return made


def packed(program: Any, work: Path, pattern: str = "std*") -> dict[str, str]:
    made = io.BytesIO()
    program.write(work.parents[1], pattern, made)
    made.seek(0)
    with tarfile.open(fileobj=made) as tar:
        return {entry.name: tar.extractfile(entry).read().decode() for entry in tar}  # type: ignore[union-attr]


def test_what_executors_wrote_is_packed_and_nothing_else(program: Any, work: Path) -> None:
    (work / "stderr").write_text("said\n")
    (work / "data.bin").write_text("much")
    assert packed(program, work) == {"work/app-1/0/stderr": "said\n"}


def test_a_link_a_device_a_pipe_and_a_socket_are_named_and_never_opened(
    program: Any, work: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret")
    (work / "stderr").write_text("said\n")
    (work / "stdlink").symlink_to(tmp_path / "secret")
    (work / "stdzero").symlink_to("/dev/zero")
    (work / "stdfolder").symlink_to("/")
    os.mkfifo(work / "stdpipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(work / "stdsocket"))
    found = packed(program, work)
    assert found.keys() == {"work/app-1/0/stderr", "work/left-out.txt"}
    first, *named = found["work/left-out.txt"].splitlines()
    assert first == "5 left out"
    assert sorted(named) == [
        f"'work/app-1/0/{name}: no ordinary file'"
        for name in ("stdfolder", "stdlink", "stdpipe", "stdsocket", "stdzero")
    ]


def test_a_sparse_file_of_terabytes_and_too_many_files_are_named_and_left(
    program: Any, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (work / "stderr").write_text("said\n")
    with (work / "stdhuge").open("wb") as sparse:
        sparse.truncate(10 * 10**12)
    found = packed(program, work)
    assert found["work/left-out.txt"] == "1 left out\n'work/app-1/0/stdhuge: 10000000000000 bytes'\n"
    (work / "stdhuge").unlink()
    monkeypatch.setattr(program, "FILE_BYTES", 4)
    assert packed(program, work) == {"work/left-out.txt": "1 left out\n'work/app-1/0/stderr: 5 bytes'\n"}
    monkeypatch.setattr(program, "FILE_BYTES", 1000)
    monkeypatch.setattr(program, "FILES", 3)
    for number in range(5):
        (work / f"std{number}").write_text("x")
    found = packed(program, work)
    assert len(found) == 3 + 1
    assert found["work/left-out.txt"].startswith("3 left out\n")
    monkeypatch.setattr(program, "TOTAL_BYTES", 2)
    assert "5 bytes" in packed(program, work)["work/left-out.txt"]


def test_a_file_that_shrinks_while_it_is_packed_breaks_nothing(program: Any, work: Path) -> None:
    file = program.Exactly(io.BytesIO(b"four"), 6, time.monotonic() + 60)
    assert (file.read(5), file.read(5), file.read(5)) == (b"four\0", b"\0", b"")


def test_what_cannot_be_packed_in_time_or_is_too_much_to_look_at_is_left(
    program: Any, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        (work / f"std{number}").write_text("said\n")
    monkeypatch.setattr(program, "LOOKED_AT", 4)
    found = packed(program, work)
    assert "all but the first 4 names" in found.pop("work/left-out.txt")
    assert len(found) == 2
    monkeypatch.setattr(program, "SECONDS", -1)
    found = packed(program, work)
    assert list(found) == ["work/left-out.txt"]
    assert ": -1 s were over" in found["work/left-out.txt"]


def test_folders_may_be_as_deep_as_an_executor_likes(program: Any, work: Path) -> None:
    (work / "stderr").write_text("said\n")
    deepest = os.open(work, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=deepest)
        further = os.open("d", os.O_RDONLY, dir_fd=deepest)
        os.close(deepest)
        deepest = further
    os.close(deepest)
    assert packed(program, work) == {"work/app-1/0/stderr": "said\n"}
    subprocess.run(["rm", "-r", work], check=True)


def test_names_that_a_terminal_obeys_or_that_are_no_text_are_packed_as_they_are(program: Any, work: Path) -> None:
    name = os.fsdecode(b"std\xff\x1b[2J\n")
    (work / name).write_text("said\n")
    (work / "std\x1b]0;x").symlink_to("/dev/null")
    found = packed(program, work)
    assert found[f"work/app-1/0/{name}"] == "said\n"
    assert "\\x1b" in found["work/left-out.txt"]
    assert "\x1b" not in found["work/left-out.txt"]
