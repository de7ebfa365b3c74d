"""Which client reads small pictures from S3 fastest, and how many at once a task should read.

Against the real server of the tests on this machine, which shares its cores; for the second question behind a proxy
that answers late, as S3 does. What is compared takes turns. Writes benchmarks/s3_clients.md.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import obstore
import pyarrow.fs

from benchmarks.machine import machine
from benchmarks.spread import spread
from pipeline.job.extract import FeatureJob, FeatureTask, extract
from pipeline.network.keras_model import prepare_network
from pipeline.network.weights import find_weights
from pipeline.pictures.listing import all_pictures
from pipeline.progress import Narrator
from pipeline.settings import RunOptions, RunSettings
from pipeline.storage import s3_connection
from pipeline.storage.local import LocalStorage
from pipeline.storage.s3 import S3Storage
from pipeline.storage.transfer import upload
from tests.doubles.s3.server import REGION, S3Server

ROUNDS = 3
THREADS = (1, 8, 32)
FETCH_COUNTS = (1, 2, 4, 8, 16, 32)
LATE_SECONDS = 0.030
TASK_PICTURES = 400

Read = Callable[[str], bytes]


def readers(images: S3Storage, server: S3Server) -> dict[str, Read]:
    """For each way the function that reads a key."""
    bucket, prefix = images.bucket, images.prefix
    store = s3_connection.store(bucket)
    arrow = pyarrow.fs.S3FileSystem(
        access_key=server.keys.access_key_id,
        secret_key=server.keys.secret_access_key,
        endpoint_override=urlsplit(server.endpoint_url).netloc,
        scheme="http",
        region=REGION,
    )
    boto = server.client(max_pool_connections=max(THREADS))

    def by_arrow(key: str) -> bytes:
        with arrow.open_input_stream(f"{bucket}/{prefix}/{key}") as stream:
            return bytes(stream.read())

    return {
        "obstore": lambda key: bytes(obstore.get(store, f"{prefix}/{key}").bytes()),
        "obstore as the job uses it": images.read,
        "pyarrow.fs": by_arrow,
        "boto3": lambda key: boto.get_object(Bucket=bucket, Key=f"{prefix}/{key}")["Body"].read(),
    }


def compare_clients(images: S3Storage, server: S3Server, keys: list[str]) -> dict[tuple[str, int], list[float]]:
    """GETs per second of each way with each number of threads, in turns."""
    ways = readers(images, server)
    rates: dict[tuple[str, int], list[float]] = {}
    for _ in range(ROUNDS):
        for threads in THREADS:
            for name, read in ways.items():
                with ThreadPoolExecutor(threads) as pool:
                    started = time.perf_counter()
                    assert sum(map(len, pool.map(read, keys))) > 0
                    rates.setdefault((name, threads), []).append(len(keys) / (time.perf_counter() - started))
    return rates


def compare_fetches(job: FeatureJob, task: FeatureTask) -> dict[int, list[float]]:
    """Pictures per second of one task for each number of fetches, in turns."""
    rates: dict[int, list[float]] = {}
    extract(job, task)
    for _ in range(ROUNDS):
        for fetches in FETCH_COUNTS:
            result = extract(replace(job, fetches=fetches), task)
            assert not result.errors
            rates.setdefault(fetches, []).append(result.features / (result.ended_at - result.first_picture_at))
    return rates


@contextmanager
def late(server: S3Server, seconds: float) -> Iterator[str]:
    """The endpoint of a proxy that gives the server's answers this much later; a process of its own."""
    context = get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve_late, args=(server.port, seconds, theirs), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join()


def _serve_late(port: int, seconds: float, answer: Connection) -> None:
    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pause: float) -> None:
        while data := await reader.read(65536):
            await asyncio.sleep(pause)
            writer.write(data)
        writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, inner_writer, 0), pump(inner_reader, writer, seconds), return_exceptions=True)

    async def serve() -> None:
        listening = await asyncio.start_server(connect, "127.0.0.1", 0)
        answer.send(listening.sockets[0].getsockname()[1])
        await listening.serve_forever()

    asyncio.run(serve())


def lead(environment: dict[str, str]) -> None:
    """Lead this process's S3 to where these variables say."""
    os.environ.update(environment)
    for kept in (s3_connection.session, s3_connection.client, s3_connection.store, s3_connection.bucket_region):
        kept.cache_clear()


def page(clients: dict[tuple[str, int], list[float]], fetches: dict[str, dict[int, list[float]]], keys: int) -> str:
    """The tables."""
    lines = [
        "# Reading small pictures from S3",
        "",
        f"{machine()}. The server (SeaweedFS) runs on the same cores.",
        f"Median of {ROUNDS} rounds in turns (least to most).",
        "Made by `python -m benchmarks.s3_clients`.",
        "",
        f"## GETs per second, {keys:,} pictures of Fruits-360",
        "",
        "| client | " + " | ".join(f"{threads} at once" for threads in THREADS) + " |",
        "| --- |" + " --- |" * len(THREADS),
    ]
    for name in dict.fromkeys(name for name, _ in clients):
        lines.append(f"| {name} | " + " | ".join(spread(clients[name, threads], ",.0f") for threads in THREADS) + " |")
    lines += [
        "",
        f"## Images/s of one task by `--fetches`, {TASK_PICTURES} pictures, OpenVINO float32",
        "",
        f"In the second column each answer comes {LATE_SECONDS * 1000:.0f} ms late, as from S3 within its region.",
        f"The default is {RunOptions.fetches}.",
        "",
        "| fetches | " + " | ".join(fetches) + " |",
        "| --- |" + " --- |" * len(fetches),
    ]
    for count in FETCH_COUNTS:
        lines.append(f"| {count} | " + " | ".join(spread(rates[count], ",.0f") for rates in fetches.values()) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--pictures", type=int, default=2000)
    options = parser.parse_args()
    with S3Server() as server, server.bucket() as bucket, tempfile.TemporaryDirectory() as folder:
        lead(server.environment())
        images = S3Storage.at(f"s3://{bucket}/pictures")
        upload(LocalStorage.at(options.images), images, Narrator())
        table = all_pictures(images)
        paths, labels = table["path"].to_pylist(), table["label"].to_pylist()
        step = max(len(paths) // options.pictures, 1)
        clients = compare_clients(images, server, paths[::step])
        network = prepare_network(find_weights(options.weights), "openvino", "f32", RunSettings.image_size)
        job = FeatureJob(images, LocalStorage.at(folder), network, resume=False)
        task = FeatureTask(0, paths[:TASK_PICTURES], labels[:TASK_PICTURES], [1] * len(paths[:TASK_PICTURES]))
        fetches: dict[str, Any] = {"as the server answers": compare_fetches(job, task)}
        with late(server, LATE_SECONDS) as endpoint:
            lead({"AWS_ENDPOINT_URL_S3": endpoint})
            fetches[f"{LATE_SECONDS * 1000:.0f} ms late"] = compare_fetches(job, task)
        lead(server.environment())
    text = page(clients, fetches, len(paths[::step]))
    (Path(__file__).parent / "s3_clients.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
