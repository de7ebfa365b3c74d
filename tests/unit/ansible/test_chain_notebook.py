"""The tutorial notebook as it lies in the checkout; tests/job/test_chain_notebook.py runs it."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

ROLE = Path(__file__).resolve().parents[3] / "ansible" / "roles" / "jupyter"
NOTEBOOKS = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())["jupyter_first_notebooks"]
CHAIN = json.loads((ROLE / "files" / "chain.ipynb").read_text())


def test_every_notebook_of_the_role_is_laid_onto_the_master() -> None:
    assert sorted(NOTEBOOKS) == sorted(file.name for file in (ROLE / "files").glob("*.ipynb"))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_comes_without_results_of_somebody_s_machine(name: str) -> None:
    for cell in json.loads((ROLE / "files" / name).read_text())["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_every_cell_of_code_has_words_before_it() -> None:
    assert CHAIN["cells"][0]["cell_type"] == "markdown"
    for before, cell in pairwise(CHAIN["cells"]):
        if cell["cell_type"] == "code":
            assert before["cell_type"] == "markdown", cell["id"]
            assert len("".join(before["source"])) > 60, cell["id"]
