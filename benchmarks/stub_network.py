"""Puts a stub into the cache of converted networks, under the name that `--weights random` has there.

A run with this cache (XDG_CACHE_HOME) and `--weights random` reads, decodes, writes and reduces as any other, and
OpenVINO runs its network, too: it just takes a picture's first 1,280 values for its features. Nothing of the job is
replaced, and the job knows nothing of it. For measuring what is around the network, at more pictures than it could do.
"""

import argparse
import os
import sys
from pathlib import Path

import numpy as np

# The checkout that is measured, which need not be this file's: it begins where it was called.
sys.path.insert(0, str(Path.cwd()))

from pipeline.network import keras_model
from pipeline.network.frameworks import import_openvino
from pipeline.network.weights import Weights, find_weights
from pipeline.settings import RANDOM


def first_values(weights: Weights, image_size: int, target: Path) -> None:
    """In place of the conversion: float32 (n, size, size, 3) to (n, 1280), the first of its values."""
    del weights
    openvino = import_openvino()
    from openvino import opset13 as ops

    pixels = ops.parameter([-1, image_size, image_size, 3], np.float32)
    flat = ops.reshape(pixels, np.array([0, -1], np.int64), special_zero=True)
    ends = (np.array([value], np.int64) for value in (0, keras_model.FEATURES, 1, 1))
    target.mkdir(parents=True)
    model = openvino.Model([ops.slice(flat, *ends)], [pixels])
    openvino.save_model(model, target / "network.xml", compress_to_fp16=False)


def main() -> None:
    """Fill the cache folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", help="the cache, as XDG_CACHE_HOME has it")
    parser.add_argument("--image-size", type=int, default=keras_model.SMALLEST_SIZE)
    options = parser.parse_args()
    os.environ["XDG_CACHE_HOME"] = options.folder
    # Its name in the cache, which it would not have from here, and nothing else of the job's.
    keras_model._convert = first_values
    network = keras_model.prepare_network(find_weights(RANDOM), "openvino", "f32", options.image_size)
    print(f"{len(network.graph):,} bytes of graph")


if __name__ == "__main__":
    main()
