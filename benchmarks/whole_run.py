"""A whole run over very many tiny pictures on a real S3 server, ended by SIGKILL on its way and gone on with.

The network is a stub (benchmarks/stub_network.py), so that what is measured is all that is around it: list, tasks,
reads, writes, PCA, projection, CSV, record, and the driver's memory. The server is SeaweedFS on the same cores, with
pictures and results in one bucket. Keeps its figures in benchmarks/whole_run.json, and the table in whole_run.md.

    python -m benchmarks.whole_run --pictures 30000
"""

import argparse
import asyncio
import io
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import obstore
from obstore.store import S3Store
from PIL import Image

from benchmarks.scale import Tree, is_busy
from tests.doubles.s3.server import REGION, S3Server

HERE = Path(__file__).parent
BUCKET, RUN = "whole-run", "run"
IMAGES, OUTPUT = f"s3://{BUCKET}/pictures", f"s3://{BUCKET}/runs"
CLASSES = 8
# Pictures that differ, of as few pixels as make their features differ, too.
DRAWN, SIDE = 512, 8
IMAGE_SIZE, COMPONENTS = 32, 50
PUTS_AT_ONCE, PUTS_A_BATCH = 64, 4096
PREFIX = "orchard: "


def drawn() -> list[bytes]:
    """Tiny JPEGs of noise, the same each time."""
    source, made = random.Random(7), []  # noqa: S311  pictures, no secrets
    for _ in range(DRAWN):
        file = io.BytesIO()
        Image.frombytes("RGB", (SIDE, SIDE), source.randbytes(SIDE * SIDE * 3)).save(file, "JPEG")
        made.append(file.getvalue())
    return made


def key_of(number: int, pictures: int) -> str:
    """The key of a picture: its class, of which each has as many, and its number."""
    return f"pictures/class {number * CLASSES // pictures:02d}/{number:09d}.jpg"


def put_all(server: S3Server, pictures: int) -> float:
    """Put the pictures, many at once; the seconds that it took."""
    store = S3Store(
        BUCKET,
        endpoint=server.endpoint_url,
        region=REGION,
        access_key_id=server.keys.access_key_id,
        secret_access_key=server.keys.secret_access_key,
        client_options={"allow_http": True},
    )
    kinds = drawn()

    async def put() -> None:
        gate = asyncio.Semaphore(PUTS_AT_ONCE)

        async def one(number: int) -> None:
            async with gate:
                data = kinds[number % DRAWN]
                await obstore.put_async(store, key_of(number, pictures), data, use_multipart=False)

        for start in range(0, pictures, PUTS_A_BATCH):
            await asyncio.gather(*map(one, range(start, min(start + PUTS_A_BATCH, pictures))))
            print(f"\r{start:,} of {pictures:,} pictures put", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)

    started = time.perf_counter()
    asyncio.run(put())
    return time.perf_counter() - started


class Attempt:
    """The job as a process of its own session, its events, and the peak memory of its driver's two processes."""

    def __init__(self, tree: Tree, environment: dict[str, str], *more: str) -> None:
        words = ["run", "--images", IMAGES, "--output", OUTPUT, "--run-id", RUN, "--weights", "random", "--no-report"]
        words += ["--image-size", str(IMAGE_SIZE), "--components", str(COMPONENTS), *more]
        self.started = time.perf_counter()
        self.peaks: dict[str, int] = {}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", *words],
            cwd=tree.folder,
            env=environment,
            stderr=subprocess.PIPE,
            stdout=sys.stderr,
            text=True,
            start_new_session=True,
        )

    def events(self) -> Iterator[dict[str, Any]]:
        """What the job tells, as it comes."""
        assert self.process.stderr
        for line in self.process.stderr:
            print(line, end="", file=sys.stderr, flush=True)
            self._look()
            if line.startswith(PREFIX):
                yield json.loads(line.removeprefix(PREFIX))

    def _look(self) -> None:
        for pid, name in members(self.process.pid):
            role = "python" if pid == self.process.pid else name
            if role in ("python", "java"):
                self.peaks[role] = max(self.peaks.get(role, 0), peak_bytes(pid))

    def kill(self) -> None:
        """SIGKILL the driver and its JVM at once, and wait until all that they had begun is gone."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        while list(members(self.process.pid)):
            time.sleep(0.1)  # between two looks: who ends tells nobody but its parent

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A session of its own hears no Ctrl-C.
        self.kill()


def members(session: int) -> Iterator[tuple[int, str]]:
    """The processes of a session that still run, and their names."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, fields = stat.read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        state, _parent, _group, belongs = fields.split()[:4]
        if int(belongs) == session and state != "Z":
            yield int(stat.parent.name), name


def peak_bytes(pid: int) -> int:
    """The largest resident memory that a process has had; 0 where it has just gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def until_killed(attempt: Attempt, share: float) -> dict[str, Any]:
    """Follow the job, and end it once so much of its pictures is done."""
    for event in attempt.events():
        if event["event"] == "progress" and event["name"] == "features" and event["done"] >= share * event["total"]:
            attempt.kill()
            return {"seconds": time.perf_counter() - attempt.started, "done": event["done"]}
    raise SystemExit("The run ended before it could be killed: take more pictures, or a smaller --kill-at.")


def until_ended(attempt: Attempt) -> dict[str, Any]:
    """Follow the job to its end: seconds in all and of each phase, and what the phases say."""
    phases = {event["name"]: event for event in attempt.events() if event["event"] == "phase"}
    if attempt.process.wait():
        raise SystemExit(f"The run ended with {attempt.process.returncode}.")
    return {
        "seconds": time.perf_counter() - attempt.started,
        "phases": {name: event["seconds"] for name, event in phases.items()},
        "said": {name: event["text"] for name, event in phases.items()},
        "peak_bytes": attempt.peaks,
    }


def measure(options: argparse.Namespace, tree: Tree) -> dict[str, Any]:
    """Put, run, kill, go on, check."""
    load = os.getloadavg()[0]
    with S3Server() as server, tempfile.TemporaryDirectory() as cache:
        client = server.client()
        # No clean-up: the server takes its data with it, faster than anyone could delete it.
        client.create_bucket(Bucket=BUCKET)
        put_seconds = put_all(server, options.pictures)
        environment = {**os.environ, **server.environment(), "XDG_CACHE_HOME": cache}
        stub = [sys.executable, str(HERE / "stub_network.py"), cache, "--image-size", str(IMAGE_SIZE)]
        subprocess.run(stub, cwd=tree.folder, check=True, stdout=sys.stderr)
        with Attempt(tree, environment) as first:
            killed = until_killed(first, options.kill_at) | {"peak_bytes": first.peaks}
        with Attempt(tree, environment, "--resume") as second:
            resumed = until_ended(second)
        checked = time.perf_counter()
        check = [sys.executable, "-m", "pipeline", "check", f"{OUTPUT}/{RUN}"]
        is_whole = subprocess.run(check, cwd=tree.folder, env=environment, stdout=sys.stderr, check=False).returncode
        checked = time.perf_counter() - checked
        record = client.get_object(Bucket=BUCKET, Key=f"runs/{RUN}/run.json")["Body"].read()
        told = json.loads(record)
        return {
            "tree": tree.name,
            "pictures": options.pictures,
            "put_seconds": put_seconds,
            "killed": killed,
            "resumed": resumed,
            "check_exit": is_whole,
            "check_seconds": checked,
            "record_bytes": len(record),
            "counts": told["counts"],
            "tasks": tasks_of(client),
            "server_cpu_seconds": server.cpu_seconds(),
            "load": load,
        }


def tasks_of(client: Any) -> int:
    """How many feature parts the run has."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"runs/{RUN}/features/")
    return sum(page["KeyCount"] for page in pages)


def row(one: dict[str, Any]) -> str:
    """A line of the table."""
    killed, resumed = one["killed"], one["resumed"]
    peaks = {name: max(of["peak_bytes"].get(name, 0) for of in (killed, resumed)) for name in ("python", "java")}
    cells = [
        one["tree"],
        f"{one['pictures']:,}",
        f"{one['pictures'] / one['put_seconds']:,.0f}",
        f"{killed['done'] / one['pictures']:.0%} after {killed['seconds']:,.0f} s",
        f"{resumed['seconds']:,.0f}",
        "; ".join(f"{name} {seconds:,.1f}" for name, seconds in resumed["phases"].items()),
        f"{one['tasks']:,}",
        f"{one['record_bytes'] / 1000:,.0f}",
        *(f"{peaks[name] / 2**20:,.0f}" for name in ("python", "java")),
        f"{'whole' if not one['check_exit'] else 'NOT WHOLE'}, {one['check_seconds']:,.0f}",
        one["machine"] + (f"; **under load {one['load']:.1f}**" if is_busy(one["load"]) else ""),
    ]
    return f"| {' | '.join(cells)} |"


def page(figures: dict[str, dict[str, Any]]) -> str:
    """The table of all runs."""
    lines = [
        "# A whole run over very many pictures, killed on its way and gone on with",
        "",
        f"JPEGs of {SIDE} x {SIDE} pixels in {CLASSES} folders on SeaweedFS, which has the same cores; a stub in the",
        "network's place (benchmarks/stub_network.py), so these are no pictures a second of the job's. Made by",
        "`python -m benchmarks.whole_run`. The driver is two processes, Python and its JVM, which here, on one",
        "machine, is the executor, too.",
        "",
        "| tree | pictures | put, a second | SIGKILL at | resumed, s | its phases, s | tasks | run.json, kB "
        "| driver's Python, MiB | its JVM, MiB | `check`, s | machine and day |",
        "| --- | ---: | ---: | --- | ---: | --- | ---: | ---: | ---: | ---: | --- | --- |",
        *(row(one) for one in sorted(figures.values(), key=lambda one: (one["pictures"], one["tree"]))),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, keep and print."""
    from benchmarks.machine import machine

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=30_000)
    parser.add_argument("--kill-at", type=float, default=0.4, help="the share of the pictures at which SIGKILL comes")
    parser.add_argument(
        "--tree", default=str(HERE.parent), metavar="NAME=FOLDER", help="a checkout, this one unless told"
    )
    options = parser.parse_args()
    kept = HERE / "whole_run.json"
    figures = json.loads(kept.read_text()) if kept.exists() else {}
    tree = Tree.of(options.tree)
    figures[f"{tree.name}/{options.pictures}"] = {**measure(options, tree), "machine": machine()}
    kept.write_text(json.dumps(figures, indent=1) + "\n")
    (HERE / "whole_run.md").write_text(page(figures))
    print(page(figures))


if __name__ == "__main__":
    main()
