"""How far the vectors of several ways lie from the first one's, and how well each way's PCA keeps the classes apart.

Each argument is NAME=FOLDER with `features/` and `pca/` in it. Prints one JSON object by name.
"""

import argparse
import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import numpy as np
import pyarrow.dataset as ds
from numpy.typing import NDArray

from pipeline.run_folder.nearest_neighbour import same_label_as_nearest


def table(folder: Path, column: str) -> dict[str, NDArray[np.float32]]:
    """The vectors by `CLASS/PICTURE`; Spark writes a path as `file:/...`, and a vector as a struct with `values`."""
    rows = ds.dataset(folder, format="parquet").to_table(columns=["path", column])
    paths, vectors = rows["path"].to_pylist(), rows[column].to_pylist()
    return {picture(path): np.asarray(_values(vector), np.float32) for path, vector in zip(paths, vectors, strict=True)}


def picture(path: str) -> str:
    """The last two names of a path or `file:` URI."""
    plain = unquote(urlparse(path).path) if path.startswith("file:") else path
    return "/".join(plain.split("/")[-2:])


def _values(vector: Any) -> Any:
    return vector["values"] if isinstance(vector, dict) else vector


def compare(first: Path, other: Path) -> dict[str, Any]:
    """Pictures, largest absolute difference and least cosine of the features, accuracy on the PCA vectors."""
    ours, theirs = table(other / "features", "features"), table(first / "features", "features")
    if ours.keys() != theirs.keys():
        raise SystemExit(f"{other} and {first} do not hold the same pictures.")
    names = sorted(ours)
    here, there = (np.array([rows[name] for name in names]) for rows in (ours, theirs))
    lengths = np.linalg.norm(here, axis=1) * np.linalg.norm(there, axis=1)
    reduced = table(other / "pca", "pca")
    labels = np.array([name.split("/")[0] for name in names])
    vectors = np.array([reduced[name] for name in names])
    return {
        "pictures": len(names),
        "largest_difference": float(np.abs(here - there).max()),
        "least_cosine": float((np.einsum("ij,ij->i", here, there) / lengths).min()),
        "accuracy": float(same_label_as_nearest(vectors, labels).mean()),
    }


def main() -> None:
    """Compare every folder with the first one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", metavar="NAME=FOLDER")
    named = dict(pair.split("=", 1) for pair in parser.parse_args().folders)
    first = Path(next(iter(named.values())))
    print(json.dumps({name: compare(first, Path(folder)) for name, folder in named.items()}))


if __name__ == "__main__":
    main()
