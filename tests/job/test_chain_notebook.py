"""The notebook of the whole chain, run cell by cell in a kernel of its own, as on a laptop."""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from pipeline.network.engine import engine_for
from pipeline.network.keras_model import prepare_network
from pipeline.network.weights import find_weights
from pipeline.pixels.decode import decode
from tests.job.conftest import ROOT

NOTEBOOK = ROOT / "ansible" / "roles" / "jupyter" / "files" / "chain.ipynb"
# Kernels of this Python, whatever is first on PATH.
KERNEL_PATH = str(Path(sys.executable).parent)


def run_notebook(folder: Path, **environment: str) -> Any:
    """Run every cell in the folder; returns the notebook with its outputs, also where a cell failed.

    It finds Orchard's modules as on a laptop: by the checkout above it.
    """
    path = f"{KERNEL_PATH}{os.pathsep}{os.environ['PATH']}"
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"PATH": path, **environment}.items():
            patch.setenv(name, value)
        for name in ("ORCHARD_BUCKET", "ORCHARD_PICTURES", "PYTHONPATH"):
            if name not in environment:
                patch.delenv(name, raising=False)
        where = {"metadata": {"path": str(folder)}}
        try:
            NotebookClient(notebook, timeout=300, kernel_name="python3", resources=where).execute()
        except CellExecutionError as error:
            notebook.metadata["failed"] = str(error)
    return notebook


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Where the notebook runs: below the checkout, as docs/notebooks.md has it, in a folder that git ignores."""
    (ROOT / "notebooks").mkdir(exist_ok=True)
    with TemporaryDirectory(prefix="test-", dir=ROOT / "notebooks") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def chain(folder: Path) -> Any:
    """The notebook as it is after all its cells, on pictures that it draws."""
    notebook = run_notebook(folder, ORCHARD_WEIGHTS="random")
    assert "failed" not in notebook.metadata, notebook.metadata["failed"]
    return notebook


def printed(notebook: Any, cell: str) -> str:
    """What a cell has printed to stdout."""
    return "".join(output["text"] for output in outputs(notebook, cell) if output.get("name") == "stdout")


def outputs(notebook: Any, cell: str) -> list[Any]:
    (found,) = [one for one in notebook.cells if one["id"] == cell]
    return list(found["outputs"])


def kinds(notebook: Any, cell: str) -> set[str]:
    """What a cell shows, by media type."""
    return {kind for output in outputs(notebook, cell) for kind in output.get("data", {})}


def table_of(notebook: Any, cell: str) -> str:
    """The table that a cell ends with, as HTML: text breaks long lines."""
    return "".join(output["data"]["text/html"] for output in outputs(notebook, cell) if "data" in output)


def test_it_lists_draws_and_decodes_pictures(chain: Any) -> None:
    assert "these are drawn here" in printed(chain, "list")
    assert "600 pictures in 12 classes" in printed(chain, "list")
    assert "(224, 224, 3) uint8, 150,528 bytes" in printed(chain, "decode")
    assert "and what is no picture: not an image: 19 bytes" in printed(chain, "decode")


def test_it_shows_the_broadcast_with_its_bytes(chain: Any) -> None:
    arrived = re.match(r"([\d,]+) bytes, the same in \d+ processes on 1 hosts", printed(chain, "arrived"))
    assert arrived
    sent = arrived[1].replace(",", "")
    assert int(sent) > 8_000_000
    cells = [int(cell) for cell in re.findall(r"<td>(\d+)</td>", table_of(chain, "broadcast"))]
    in_function, nothing, in_broadcast, once = cells
    assert (nothing, once) == (0, int(sent))
    assert in_function > once > 1_000 * in_broadcast


def test_it_draws_the_pictures_the_variance_and_the_map(chain: Any) -> None:
    for cell in ("look", "variance", "map"):
        assert "image/png" in kinds(chain, cell), cell


def test_the_driver_gets_one_sum_from_each_core(chain: Any) -> None:
    said = re.match(r"300 pictures came as (\d+) sums at most, of 13\.1 MB each", printed(chain, "variance"))
    assert said
    assert int(said[1]) <= max(2, os.cpu_count() or 1)


def test_features_are_the_featurizer_s_and_both_pcas_are_equal(chain: Any, folder: Path) -> None:
    assert "300 pictures have features, 0 have none" in printed(chain, "features")
    assert printed(chain, "pca").startswith("equal: they differ by ")
    (output,) = (folder / "orchard" / "work" / "chain").iterdir()
    first = pq.read_table(output / "features").slice(0, 1).to_pylist()[0]
    picture = Path(first["path"].removeprefix("file:"))
    engine = engine_for(prepare_network(find_weights("random"), "openvino", "f32", 224))
    assert np.array_equal(first["features"]["values"], engine.features(decode(picture.read_bytes(), 224)[None])[0])


def test_parquet_and_csv_are_written_and_read_back(chain: Any, folder: Path) -> None:
    assert "300 rows of Parquet and 300 of CSV, with the same numbers" in printed(chain, "read")
    (output,) = (folder / "orchard" / "work" / "chain").iterdir()
    table = pd.read_csv(output / "pca.csv")
    assert list(table.columns) == ["path", "label", *(f"pc{number}" for number in range(1, 51))]
    assert len(table) == pq.read_table(output / "pca").num_rows == 300


def test_what_is_not_there_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    notebook = run_notebook(folder, ORCHARD_PICTURES=str(tmp_path / "empty"), ORCHARD_WEIGHTS="random")
    assert "failed" in notebook.metadata
    told = [output for output in outputs(notebook, "list") if output["output_type"] == "stream"]
    assert [output["text"].startswith(f"No picture below {tmp_path / 'empty'};") for output in told] == [True]
    assert "Traceback" not in str(outputs(notebook, "list"))
