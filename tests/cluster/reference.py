"""What the cluster's results have to equal: the same job on this machine, over the same real pictures."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[2]
PICTURES = 300
COMPONENTS = 20
# Largest difference between two machines' numbers, by the part of a run.
TOLERANCE = {"features": 1e-5, "pca": 1e-3}


def lay_out(fruits: Path, folder: Path) -> None:
    """PICTURES real pictures, spread evenly over the sample, in one folder a class."""
    every = sorted(fruits.rglob("*.jpg"))
    for source in every[:: len(every) // PICTURES][:PICTURES]:
        split, label, name = source.relative_to(fruits).parts[0], source.parent.name, source.name
        (folder / label).mkdir(exist_ok=True)
        shutil.copy(source, folder / label / f"{split}-{name}")
    assert sum(1 for _ in folder.rglob("*.jpg")) == PICTURES


def run_here(pictures: Path, weights: Path, output: Path) -> Path:
    """The run's folder."""
    command = [sys.executable, "-m", "pipeline", "run", "--images", pictures, "--output", output, "--run-id", "local"]
    command += ["--weights", weights, "--components", str(COMPONENTS), "--no-report"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return output / "local"


def vectors(run: Path, part: str) -> tuple[list[str], np.ndarray]:
    """A result's rows by `CLASS/PICTURE`, sorted: the pictures and their vectors."""
    tables = [pq.read_table(file) for file in sorted((run / part).glob("*.parquet"))]
    rows = pa.concat_tables(tables).to_pylist()
    column = "features" if part == "features" else "pca"
    found = sorted(("/".join(row["path"].split("/")[-2:]), row[column]) for row in rows)
    return [path for path, _ in found], np.array([vector for _, vector in found])


def assert_equal_rows(run: Path, reference: Path, part: str) -> None:
    """The same pictures, none twice, and the same numbers."""
    here, there = vectors(run, part), vectors(reference, part)
    assert len(here[0]) == PICTURES
    assert here[0] == there[0]
    np.testing.assert_allclose(here[1], there[1], atol=TOLERANCE[part])
