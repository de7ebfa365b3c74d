"""The upper bound of the feature phase: the same engine in a plain loop, one single-threaded process a core.

No Spark, no list, no parts: read, decode, run, keep in memory. Prints {"images": n, "seconds": s} for the loop alone.
"""

import argparse
import json
import os
import time
from itertools import islice
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier

import numpy as np
from numpy.typing import NDArray

from pipeline.network.engine import engine_for
from pipeline.network.keras_model import Network, prepare_network
from pipeline.network.weights import find_weights
from pipeline.parallel import run_ahead
from pipeline.pictures.listing import list_pictures
from pipeline.pixels.decode import decode
from pipeline.settings import EXACT, RunSettings
from pipeline.storage.base import Storage
from pipeline.storage.opening import open_storage


def loop(network: Network, images: Storage, paths: list[str], ready: Barrier, way: str, threads: int) -> None:
    """One process's share of the pictures, which so many threads decode ahead of the network, or the process itself."""
    engine = engine_for(network)
    engine.features(np.zeros((engine.batch, network.image_size, network.image_size, 3), np.uint8))
    ready.wait()
    kept = []

    def decoded(path: str) -> NDArray[np.uint8]:
        return decode(images.read(path), network.image_size, way=way)

    pixels = run_ahead(decoded, paths, threads, 2 * engine.batch) if threads > 1 else map(decoded, paths)
    for start in range(0, len(paths), engine.batch):
        kept.append(engine.features(np.stack(list(islice(pixels, min(engine.batch, len(paths) - start))))))


def main() -> None:
    """Run the loop on every core and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--precision", default="f32")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--decode", default=EXACT)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    network = prepare_network(find_weights(options.weights), "openvino", options.precision, RunSettings.image_size)
    images = open_storage(options.images)
    paths = list_pictures(images, RunSettings(images.uri, "", limit=options.limit))["path"].to_pylist()
    cores, context = os.cpu_count() or 1, get_context("fork")
    ready = context.Barrier(cores + 1)
    more = (ready, options.decode, options.threads)
    workers = [context.Process(target=loop, args=(network, images, paths[core::cores], *more)) for core in range(cores)]
    for worker in workers:
        worker.start()
    ready.wait()
    started = time.perf_counter()
    for worker in workers:
        worker.join()
    print(json.dumps({"images": len(paths), "seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
