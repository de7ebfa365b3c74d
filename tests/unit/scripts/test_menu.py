"""What the menu promises of the operator's commands is what there is."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import invoke
import pytest

from scripts import fabfile

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


def test_what_a_person_gives_to_make_is_an_option_of_its_task() -> None:
    given = re.findall(r"\$\(FAB\) ([a-z-]+) .*\$\(call given,([A-Z ]+)\)", MAKEFILE)
    tasks = {task.name: task for task in vars(fabfile).values() if isinstance(task, invoke.Task)}
    for name, words in given:
        options = set(inspect.signature(tasks[name].body).parameters)
        assert {word.lower() for word in words.split()} <= options, name
    attached = {name for name, words in given if "HEAL" in words.split()}
    assert attached == {"run", "submit", "follow"}
