"""What the menu promises of the operator's commands is what there is."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
MAKEFILE = (ROOT / "Makefile").read_text()


@pytest.fixture(scope="module")
def listed() -> str:
    """What `fab --list` says, typed in another folder."""
    fab = Path(sys.executable).with_name("fab")
    return subprocess.run(
        [fab, "-r", ROOT / "scripts", "--list"], cwd=ROOT.parent, capture_output=True, text=True, check=True
    ).stdout


def test_every_task_is_listed_with_what_it_does_and_has_its_line_in_the_menu(listed: str) -> None:
    tasks = dict(re.findall(r"^  ([a-z-]+)   +(\S.*)$", listed, re.MULTILINE))
    assert {"init", "plan", "up", "scale", "stop", "start", "credentials", "down", "run", "status"} <= set(tasks)
    targets = set(re.findall(r"\$\(FAB\) ([a-z-]+)", MAKEFILE))
    assert targets == set(tasks)
