"""What bounds the job on this machine: the processor's time for one picture, and the least seconds that follow.

Every core at once, one thread each: the network alone, decoding alone, a plain matrix product for scale, and where in
the network the time goes, by kind of layer. Writes benchmarks/limit.md.
"""

import argparse
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np  # reads the number of its threads when it is imported

from benchmarks.machine import has, machine
from pipeline.network.engine import OpenVinoEngine, compile_graph
from pipeline.network.keras_model import Network, prepare_network
from pipeline.network.weights import find_weights
from pipeline.pixels.decode import decode

ROUNDS, SECONDS = 5, 2.0
# Multiply-adds of MobileNetV2 1.0 at 224 x 224: table 4 of Sandler et al., "MobileNetV2" (2018).
GFLOP = 2 * 0.300
SIDE = 2_048
CALLS = 50
# Every so many pictures are enough to time their decoding.
SPARSE = 20

Work = Callable[[], int]


def per_second(make: Callable[[], Work]) -> float:
    """Units of work a second of all cores together, the median of rounds; each core makes its own work first."""
    context, cores = get_context("fork"), os.cpu_count() or 1
    barrier = context.Barrier(cores)
    results = context.Queue()
    workers = [context.Process(target=_measure, args=(make, barrier, results.put)) for _ in range(cores)]
    for worker in workers:
        worker.start()
    rates: list[list[float]] = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    return float(statistics.median(sum(together) for together in zip(*rates, strict=True)))


def _measure(make: Callable[[], Work], barrier: Barrier, tell: Callable[[list[float]], None]) -> None:
    work = make()
    work()
    rates = []
    for _ in range(ROUNDS):
        barrier.wait()
        done, started = 0, time.perf_counter()
        while time.perf_counter() - started < SECONDS:
            done += work()
        rates.append(done / (time.perf_counter() - started))
    tell(rates)


def running(network: Network) -> Work:
    """The network alone, a batch a call."""
    engine = OpenVinoEngine(network)
    pixels = np.random.default_rng(0).integers(0, 256, (engine.batch, 224, 224, 3), np.uint8)
    return lambda: len(engine.features(pixels))


def decoding(pictures: list[bytes]) -> Work:
    """Decoding and resizing alone, every picture a call."""
    return lambda: len([decode(data, 224) for data in pictures])


def multiplying() -> Work:
    """A float32 matrix product."""
    matrix = np.random.default_rng(0).random((SIDE, SIDE), np.float32)
    return lambda: len((matrix @ matrix)[:1])


def by_layer(network: Network) -> list[tuple[str, float]]:
    """Kinds of layer and their milliseconds a picture on one core, as OpenVINO counts them, the longest first."""
    request = compile_graph(network, OpenVinoEngine.batch, PERF_COUNT=True).create_infer_request()
    pixels = np.random.default_rng(0).integers(0, 256, (OpenVinoEngine.batch, 224, 224, 3), np.uint8)
    spent: defaultdict[str, float] = defaultdict(float)
    for _ in range(CALLS):
        request.infer([pixels], share_inputs=True)
        for layer in request.profiling_info:
            kind = f"{layer.node_type}, {layer.exec_type}"
            spent[kind] += layer.real_time.total_seconds() * 1_000 / OpenVinoEngine.batch / CALLS
    return sorted(spent.items(), key=lambda one: -one[1])[:4]


def page(pictures: list[bytes], weights: str, count: int) -> str:
    """The measures as Markdown; the least seconds are for `count` pictures."""
    cores = os.cpu_count() or 1
    decoded = per_second(partial(decoding, pictures))
    product = per_second(multiplying) * 2 * SIDE**3 / 1e9 / cores
    rows, layers = [], []
    for precision in ("f32", "bf16") if has("avx512_bf16") else ("f32",):
        network = prepare_network(find_weights(weights), "openvino", precision, 224)
        rate = per_second(partial(running, network))
        least = count / rate + count / decoded
        rows.append(f"| {precision} | {rate:,.0f} | {rate * GFLOP / cores:,.0f} | {least:,.0f} |")
        layers += [f"| {precision} | {kind} | {spent:.2f} |" for kind, spent in by_layer(network)]
    return "\n".join(
        [
            "# What bounds the job on one machine",
            "",
            f"{machine()}. All cores at once, one thread each; median of {ROUNDS} rounds. Made by "
            "`python -m benchmarks.limit`.",
            "",
            f"Decoding and resizing alone: {decoded:,.0f} pictures/s. "
            f"A float32 matrix product (OpenBLAS, {SIDE} x {SIDE}): {product:,.0f} GFLOP/s a core.",
            "",
            f"| precision | network alone, pictures/s | GFLOP/s a core | with decoding, s for {count:,} |",
            "| --- | ---: | ---: | ---: |",
            *rows,
            "",
            "Where the network's time goes:",
            "",
            "| precision | kind of layer, kernel | ms a picture |",
            "| --- | --- | ---: |",
            *layers,
            "",
        ]
    )


def main() -> None:
    """Measure and write benchmarks/limit.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True, type=Path)
    parser.add_argument("--weights", required=True)
    options = parser.parse_args()
    every = sorted(options.images.rglob("*.jpg"))
    written = page([path.read_bytes() for path in every[::SPARSE]], options.weights, len(every))
    (Path(__file__).parent / "limit.md").write_text(written)
    print(written)


if __name__ == "__main__":
    main()
