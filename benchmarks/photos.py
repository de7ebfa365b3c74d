"""Large photos: the job's two ways of decoding beside a plain loop, and how far their features lie apart.

Photos are made of the real pictures, enlarged, with a camera's grain: as costly to decode as a phone's, and each with a
class, so that neighbours can be asked about. Each size is measured in one run, in turns. Writes benchmarks/photos.md.
"""

import argparse
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as ds
from numpy.typing import NDArray
from PIL import Image

from benchmarks.machine import machine
from benchmarks.programs import ROOT, call, printed
from benchmarks.spread import spread
from pipeline.settings import DECODE_WAYS, EXACT, FAST

# Megapixels and how many photos: half a minute by the exact way, beside which the JVM's first seconds are few.
SIZES = ((0.2, 2_400), (2.0, 1_200), (12.0, 360), (24.0, 180), (48.0, 90))
COMPONENTS = 20
GRAIN = 6
THREADS = (1, 2)


@dataclass(frozen=True)
class Size:
    """What was measured of one size: photos a second by way, and what its report took."""

    megapixels: float
    photos: int
    bytes: int
    runs: dict[str, list[float]]
    loops: dict[str, list[float]]
    peak_bytes: int
    report_seconds: float
    tail: float
    apart: dict[str, float]


def make(images: Path, folder: Path, megapixels: float, count: int) -> int:
    """Write so many photos of 4:3 as JPEG, in the classes of the pictures they are made of; gives their mean bytes."""
    every = sorted(images.rglob("*.jpg"))
    chosen = every[:: max(len(every) // count, 1)][:count]
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    shape = (round(height * 4 / 3), height)
    grain = np.random.default_rng(1).integers(-GRAIN, GRAIN + 1, (shape[1], shape[0], 1), np.int16)
    written = 0
    for number, path in enumerate(chosen):
        target = folder / path.parent.name / f"IMG_{number:05d}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as picture:
            large = np.asarray(picture.convert("RGB").resize(shape)).astype(np.int16)
        moved = np.roll(grain, number * 7, axis=1)
        Image.fromarray((large + moved).clip(0, 255).astype(np.uint8)).save(target, quality=85)
        written += target.stat().st_size
    return written // len(chosen)


def measure(photos: Path, weights: str, folder: Path, rounds: int) -> dict[str, Any]:
    """Rates of runs and loops by way, in turns."""
    runs: dict[str, list[float]] = {way: [] for way in DECODE_WAYS}
    loops: dict[str, list[float]] = {f"{way}, {n}": [] for way in DECODE_WAYS for n in THREADS}
    peak, report, tail = 0, 0.0, 0.0
    common = ("--images", photos, "--weights", weights)
    for _ in range(rounds):
        for way in DECODE_WAYS:
            shutil.rmtree(folder / way, ignore_errors=True)
            words = ("--output", folder, "--run-id", way, "--components", COMPONENTS, "--decode", way)
            call("pipeline", "run", *common, *words)
            record = json.loads((folder / way / "run.json").read_text())
            busy = sum(took for name, took in record["worker_seconds"].items() if name != "engine")
            runs[way].append(record["counts"]["listed"] * record["cores"] / busy)
            peak, report = max(peak, record["worker_peak_bytes"]), record["seconds"]["report"]
            tail = max(tail, idle_at_the_end(folder / way, record))
            for threads in THREADS:
                loop = printed("benchmarks.plain_loop", *common, "--decode", way, "--threads", threads)
                loops[f"{way}, {threads}"].append(loop["images"] / loop["seconds"])
    return {"runs": runs, "loops": loops, "peak_bytes": peak, "report_seconds": report, "tail": tail}


def idle_at_the_end(run: Path, record: dict[str, Any]) -> float:
    """From the first core that has no task left to the last one's end, as a share of the feature phase.

    A part is written when its task ends, and a core takes the next task as long as there is one.
    """
    ends = sorted(part.stat().st_mtime for part in (run / "features").iterdir())
    first_idle = ends[-min(record["cores"], len(ends))]
    return float((ends[-1] - first_idle) / record["seconds"]["features"])


def apart(folder: Path) -> dict[str, float]:
    """How the fast way's vectors lie beside the exact one's: cosines of features, neighbours, subspace of the PCA."""
    exact, fast = (_vectors(folder / way / "features", "features") for way in (EXACT, FAST))
    cosines = np.einsum("ij,ij->i", exact, fast) / (np.linalg.norm(exact, axis=1) * np.linalg.norm(fast, axis=1))
    planes = [_vectors(folder / way / "pca", "pca") for way in (EXACT, FAST)]
    # Signs are fixed, but components of nearly equal variance may change places: the distances are what counts.
    distances = [np.linalg.norm(plane[:, None] - plane[None], axis=2) for plane in planes]
    return {
        "least_cosine": float(cosines.min()),
        "mean_cosine": float(cosines.mean()),
        "same_neighbour": float((_nearest(exact) == _nearest(fast)).mean()),
        "pca_distances": float(np.corrcoef(distances[0].ravel(), distances[1].ravel())[0, 1]),
    }


def _vectors(folder: Path, column: str) -> NDArray[np.float64]:
    table = ds.dataset(folder, format="parquet").to_table(columns=["path", column]).sort_by("path")
    return np.array(table[column].to_pylist(), np.float64)


def _nearest(vectors: NDArray[np.float64]) -> NDArray[np.int64]:
    squares = (vectors**2).sum(axis=1)
    distances = squares[:, None] + squares[None] - 2 * vectors @ vectors.T
    np.fill_diagonal(distances, np.inf)
    nearest: NDArray[np.int64] = distances.argmin(axis=1)
    return nearest


def page(sizes: list[Size], rounds: int) -> str:
    """The measures as Markdown."""
    rates = [
        f"| {one.megapixels:g} | {one.bytes / 1e6:.2f} | {way} | {spread(one.runs[way], ',.1f')} "
        f"| {' | '.join(spread(one.loops[f'{way}, {n}'], ',.1f') for n in THREADS)} | {_over_loop(one, way)} |"
        for one in sizes
        for way in DECODE_WAYS
    ]
    facts = [
        f"| {one.megapixels:g} | {one.photos} | {one.apart['least_cosine']:.5f} | {one.apart['mean_cosine']:.5f} "
        f"| {one.apart['same_neighbour']:.1%} | {one.apart['pca_distances']:.5f} "
        f"| {one.peak_bytes / 2**20:,.0f} | {one.tail:.0%} | {one.report_seconds:.1f} |"
        for one in sizes
    ]
    return "\n".join(
        [
            "# Large photos",
            "",
            f"{machine()}. Real pictures enlarged, with a camera's grain; rounds in turns: {rounds}, median "
            "(least to most), all cores. Made by `python -m benchmarks.photos`.",
            "",
            "| megapixels | MB a photo | way | the job, photos/s | plain loop, 1 thread | 2 threads | job over loop |",
            "| ---: | ---: | --- | ---: | ---: | ---: | ---: |",
            *rates,
            "",
            "The job's rate is that of its workers while they are at it, over the better loop of each round. What the "
            "fast way changes, what memory a worker takes, for how much of the feature phase a core is idle at its end "
            "(tail, at most), and how long the report takes:",
            "",
            "| megapixels | photos | least cosine | mean cosine | same nearest neighbour "
            "| correlation of PCA's distances | peak, MiB | tail | report, s |",
            "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
            *facts,
            "",
        ]
    )


def _over_loop(one: Size, way: str) -> str:
    best = [max(pair) for pair in zip(*(one.loops[f"{way}, {n}"] for n in THREADS), strict=True)]
    return spread([run / loop for run, loop in zip(one.runs[way], best, strict=True)], ".0%")


def main() -> None:
    """Measure and write benchmarks/photos.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True, type=Path)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--most", type=float, default=SIZES[-1][0], metavar="MEGAPIXELS")
    options = parser.parse_args()
    sizes = []
    for megapixels, count in SIZES:
        if megapixels > options.most:
            break
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            mean = make(options.images, folder / "photos", megapixels, count)
            measured = measure(folder / "photos", options.weights, folder / "runs", options.rounds)
            sizes.append(Size(megapixels, count, mean, **measured, apart=apart(folder / "runs")))
    written = page(sizes, options.rounds)
    (ROOT / "benchmarks" / "photos.md").write_text(written)
    print(written)


if __name__ == "__main__":
    main()
