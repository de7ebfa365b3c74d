"""Every room has one job, said in one sentence, and no more than a dozen modules."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOST_MODULES = 12
HOUSES = ("pipeline", "scripts", "tests/sandbox", "tests/doubles")
ROOMS = sorted(file.parent for house in HOUSES for file in (ROOT / house).rglob("__init__.py"))


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(ROOT)))
def test_a_room_says_its_one_job_and_is_small(room: Path) -> None:
    job = ast.get_docstring(ast.parse((room / "__init__.py").read_text()))
    assert job
    assert re.fullmatch(r"[^\n]+\.", job), job
    modules = [file.name for file in room.glob("*.py") if file.name != "__init__.py"]
    assert len(modules) <= MOST_MODULES, modules
