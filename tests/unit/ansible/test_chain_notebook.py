"""The tutorial notebook as it lies in the checkout; tests/job/test_chain_notebook.py runs it."""

import io
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import reduce
from itertools import chain, pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib import pyplot
from PIL import Image

from pipeline.errors import InputError

ROOT = Path(__file__).resolve().parents[3]
ROLE = ROOT / "ansible" / "roles" / "jupyter"
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


RunCells = Callable[..., dict[str, Any]]
# What a person's folder may hold before its first good picture, whatever the names say.
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
BROKEN = {"0.jpg": b"no picture", "1.jpg": EPS}


@pytest.fixture
def run_cells(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[RunCells]:
    """Runs cells of the notebook that need no Spark, over the folder `pictures`; returns what they defined."""
    pyplot.switch_backend("agg")
    monkeypatch.setattr(pyplot, "show", lambda: None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORCHARD_PICTURES", str(tmp_path / "pictures"))
    monkeypatch.delenv("ORCHARD_BUCKET", raising=False)
    # A test that goes past its end asks no network who it is.
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    ipython = SimpleNamespace(set_custom_exc=lambda *_: None)
    defined: dict[str, Any] = {"get_ipython": lambda: ipython}

    def run(*cells: str, **known: object) -> dict[str, Any]:
        defined.update(known)
        sources = {cell["id"]: "".join(cell["source"]) for cell in CHAIN["cells"]}
        for cell in cells:
            exec(compile(sources[cell], cell, "exec"), defined)  # noqa: S102  # our own notebook
        return defined

    yield run
    pyplot.close("all")


def put_pictures(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


def drawn(colour: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (20, 10), colour).save(stream, "JPEG")
    return stream.getvalue()


def test_bad_pictures_are_passed_over_as_examples_and_a_class_of_them_has_none(
    run_cells: RunCells, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_pictures(tmp_path / "pictures" / "apple", {**BROKEN, "2.jpg": drawn("red")})
    put_pictures(tmp_path / "pictures" / "bad", BROKEN)
    put_pictures(tmp_path / "pictures" / "pear", {"0.jpg": drawn("green")})
    run_cells("settings", "list", "look", "decode")
    assert [axes.get_title() for axes in pyplot.gcf().axes] == ["apple", "pear"]
    assert f"{len(drawn('red'))} bytes of a file -> (224, 224, 3) uint8" in capsys.readouterr().out
    rows = pd.DataFrame({"label": ["apple", "pear"]})
    run_cells("map", rows=rows, by_orchard=np.eye(2), np=np, count=2, k=2)
    assert pyplot.gca().get_legend_handles_labels()[1] == ["apple", "pear"]


def test_pictures_that_are_none_are_one_sentence(run_cells: RunCells, tmp_path: Path) -> None:
    put_pictures(tmp_path / "pictures" / "bad", BROKEN)
    with pytest.raises(InputError, match=r"^None of the 2 chosen pictures at .* can be decoded: name others\.$"):
        run_cells("settings", "list", "look")


class Partitions:
    """Rows in partitions, as far as the variance asks Spark for them; `arrived` is how many sums the driver got."""

    def __init__(self, parts: list[list[Any]], arrived: list[int]) -> None:
        self.parts = parts
        self.arrived = arrived
        self.rdd = self

    def select(self, _: str) -> "Partitions":
        return self

    def coalesce(self, number: int) -> "Partitions":
        return Partitions([list(chain(*self.parts[first::number])) for first in range(number)], self.arrived)

    def getNumPartitions(self) -> int:  # noqa: N802  # Spark's name
        return len(self.parts)

    def mapPartitions(self, function: Callable[..., Any]) -> "Partitions":  # noqa: N802
        return Partitions([list(function(iter(part))) for part in self.parts], self.arrived)

    def treeReduce(self, add: Callable[..., Any]) -> Any:  # noqa: N802
        sums = list(chain(*self.parts))
        self.arrived.append(len(sums))
        return reduce(add, sums)


def test_of_any_number_of_partitions_the_driver_gets_a_sum_from_each_core(run_cells: RunCells) -> None:
    numbers = np.random.default_rng(1).random((5000, 4), np.float32)
    rows = [{"features": SimpleNamespace(toArray=numbers[row].copy)} for row in range(len(numbers))]
    arrived: list[int] = []
    good = Partitions([rows[first::1000] for first in range(1000)], arrived)
    context = SimpleNamespace(defaultParallelism=3)
    known = {"good": good, "context": context, "count": len(rows), "COMPONENTS": 2, "plt": pyplot, "time": time}
    every = run_cells("variance", **known)["every"]
    assert arrived == [3]
    variances = np.linalg.eigvalsh(np.cov(numbers.T.astype(np.float64)))[::-1]
    assert np.allclose(every.explained_variance_ratio, variances / variances.sum())


def test_a_bucket_s_pictures_on_a_laptop_are_fetched_first(
    run_cells: RunCells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHARD_PICTURES", "s3://fruits/pictures")
    with pytest.raises(InputError, match=r"python -m pipeline download s3://fruits/pictures FOLDER"):
        run_cells("settings", "list")


def test_on_a_laptop_a_copy_is_opened_that_git_does_not_see() -> None:
    page = (ROOT / "docs" / "notebooks.md").read_text()
    [opened] = re.findall(r"jupyter lab (\S+\.ipynb)", page)
    git = shutil.which("git")
    assert git
    ignored = subprocess.run([git, "check-ignore", "--quiet", opened], cwd=ROOT, check=False)
    assert ignored.returncode == 0, opened
    assert f"cp -n ansible/roles/jupyter/files/chain.ipynb {Path(opened).parent}/" in page


def test_what_is_said_of_idle_cores_is_what_is_set() -> None:
    settings = yaml.safe_load((ROOT / "ansible" / "roles" / "orchard" / "vars" / "main.yml").read_text())
    idle = settings["orchard_part_settings"]
    names = ("executorIdleTimeout", "shuffleTracking.timeout", "cachedExecutorIdleTimeout")
    assert [idle[f"spark.dynamicAllocation.{name}"] for name in names] == ["60s", "60s", "30min"]
    for file in (ROOT / "docs" / "notebooks.md", ROOT / "docs" / "own-work.md", ROLE / "files" / "chain.ipynb"):
        said = " ".join(file.read_text().split())
        assert "after a minute, after half an hour where something is cached" in said, file


def test_what_a_person_sets_for_the_tutorial_no_host_has_set_before() -> None:
    asked = set(re.findall(r'environ\.get\("(ORCHARD_\w+)"\)', "".join(CHAIN["cells"][2]["source"])))
    assert asked == {"ORCHARD_BUCKET", "ORCHARD_PICTURES", "ORCHARD_WEIGHTS"}
    for template in (ROOT / "ansible" / "roles").glob("*/templates/*environment.j2"):
        there = set(re.findall(r"^(ORCHARD_\w+)=", template.read_text(), re.MULTILINE))
        assert there & asked <= {"ORCHARD_BUCKET"}, template
