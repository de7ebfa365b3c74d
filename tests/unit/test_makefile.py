"""The Makefile in a checkout whose path has what paths have, on any system's make, shell and tools."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ODD = "My Projects/it's 100% ü (1)"
# What GNU's tools know, and macOS's or bash 3.2 do not.
FOREIGN = (
    r"\bsed -(i|r|E?i)\b", r"\breadlink -f\b", r"\bgrep -\w*P", r"\bdate -d\b", r"\bstat -c\b", r"\bxargs -r\b",
    r"\bsort -V\b", r"\bcp -t\b", r"\brealpath\b", r"\bmapfile\b", r"\bdeclare -A\b", r"\$\{\w+(,,|\^\^)", r"&>>",
)  # fmt: skip


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """One that is set up, its programs saying what they were given."""
    made = tmp_path / ODD
    (made / "requirements").mkdir(parents=True)
    (made / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", made)
    for name in ("bootstrap.txt", "operator.txt", "dev.txt"):
        (made / "requirements" / name).touch()
        os.utime(made / "requirements" / name, (0, 0))
    for name in ("uv", "python", "fab"):
        (made / ".venv/bin" / name).write_text('#!/bin/sh\nfor word in "$@"; do printf "%s\\n" "$word"; done\n')
        (made / ".venv/bin" / name).chmod(0o755)
    for name in (".operator", ".dev"):
        (made / ".venv" / name).touch()
    return made


def given(checkout: Path, *words: str) -> list[str]:
    """The words that the program behind a target was given."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(["make", *words], cwd=checkout, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize("path", [ODD, 'a "quoted" name', "back\\slash", "semi;colon & more"])
@pytest.mark.parametrize(
    ("target", "variable", "option"),
    [("demo", "IMAGES", "--images"), ("demo", "WEIGHTS", "--weights"), ("upload", "DATA", "--data")],
)
def test_a_path_comes_to_the_program_as_it_was_typed(
    checkout: Path, target: str, variable: str, option: str, path: str
) -> None:
    assert f"{option}={path}" in given(checkout, target, f"{variable}={path}")


def test_a_python_that_is_not_there_is_told_in_one_sentence(checkout: Path) -> None:
    (checkout / ".venv/bin/uv").unlink()
    words = ["make", "setup", "PYTHON=python3.99"]
    done = subprocess.run(words, cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "There is no python3.99 here: get Python 3.11 to 3.13, or name one: make PYTHON=" in done.stderr


@pytest.mark.parametrize("name", ["Makefile", "requirements/lock.sh"])
def test_nothing_is_used_that_a_laptops_own_tools_do_not_know(name: str) -> None:
    text = (ROOT / name).read_text()
    assert [found[0] for pattern in FOREIGN if (found := re.search(pattern, text))] == []
