"""What the README and the menu promise of the operator's commands is what there is."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import errors
from scripts.errors import OperatorError

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()


@pytest.fixture(scope="module")
def listed() -> str:
    """What `fab --list` says, typed in another folder."""
    fab = Path(sys.executable).with_name("fab")
    return subprocess.run(
        [fab, "-r", ROOT / "scripts", "--list"], cwd=ROOT.parent, capture_output=True, text=True, check=True
    ).stdout


def test_the_readmes_exit_codes_are_those_of_the_errors() -> None:
    section = README.partition("## When something goes wrong")[2].partition("\n### ")[0]
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)}
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, OperatorError)]
    assert told == {kind.exit_code for kind in kinds}


def test_every_command_of_the_readme_is_in_the_menu() -> None:
    commands = set(re.findall(r"(?:^    |`)make ([a-z-]+)", README, re.MULTILINE))
    menu = set(re.findall(r"^([a-z-]+):.*?## ", MAKEFILE, re.MULTILINE))
    assert commands <= menu
    assert menu - commands <= {"help", "lint", "lock", "setup", "bench", "coverage"}


def test_every_task_is_listed_with_what_it_does_and_has_its_line_in_the_menu(listed: str) -> None:
    tasks = dict(re.findall(r"^  ([a-z-]+)   +(\S.*)$", listed, re.MULTILINE))
    assert {"init", "plan", "up", "scale", "stop", "start", "credentials", "down", "run", "status"} <= set(tasks)
    targets = set(re.findall(r"\$\(FAB\) ([a-z-]+)", MAKEFILE))
    assert targets == set(tasks)
