"""Decoded pictures through an engine: its batches filled, bad pictures set aside."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.features.timing import timed
from pipeline.network.engine import Engine
from pipeline.network.keras_model import FEATURES
from pipeline.pixels.bad_pictures import BadPictureError

# Pictures read and decoded ahead of the network, 150 KB each at 224 x 224: this bounds a worker's memory.
LOOKAHEAD = 32
# Pictures that are decoded at a time: one beside the network keeps its core busy, and as many as are fetched would push
# each other out of the processor's caches (16 photos of 12 megapixels at once take twice the time).
DECODERS = 2

Decoded = NDArray[np.uint8] | BadPictureError


@dataclass(frozen=True)
class Featured:
    """Features of some pictures in a row: float32 (n, 1280), the rows that have them, and by row why others do not."""

    vectors: NDArray[np.float32]
    kept: list[int]
    bad: dict[int, BadPictureError]


def run_through(engine: Engine, decoded: Iterator[Decoded], rows: int, seconds: dict[str, float]) -> Featured:
    """The next `rows` decoded pictures through the engine; `seconds` gains those of `wait` and `network`.

    A picture's features are the same to the bit whatever stands beside it.
    """
    bad: dict[int, BadPictureError] = {}
    kept: list[int] = []
    vectors = np.empty((rows, FEATURES), np.float32)
    batch: list[NDArray[np.uint8]] = []

    def run_batch() -> None:
        with timed(seconds, "network"):
            vectors[len(kept) - len(batch) : len(kept)] = engine.features(np.stack(batch))
        batch.clear()

    for row in range(rows):
        with timed(seconds, "wait"):
            pixels = next(decoded)
        if isinstance(pixels, BadPictureError):
            bad[row] = pixels
            continue
        kept.append(row)
        batch.append(pixels)
        if len(batch) == engine.batch:
            run_batch()
    if batch:
        run_batch()
    return Featured(vectors[: len(kept)], kept, bad)
