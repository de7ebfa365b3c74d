"""How far the driver's list and plan reach: keys by prefixes, against a server that makes up its keys.

Each line is one process of `python -m benchmarks.long_list`, taken from each `--tree` in turn, so that an older version
is measured beside this one: seconds of the list and of the plan, processor time, and the peak memory of the process and
its children. Figures are added to benchmarks/scale.json by what they are of, and benchmarks/scale.md is made of all.
The server is `tests.doubles.s3.many`; it runs on the same cores, and its own processor time is told.
"""

import argparse
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from tests.doubles.s3.many import ManyS3, many_s3
from tests.doubles.s3.many_keys import BUCKET, ROOT, ManyKeys

HERE = Path(__file__).parent
KEYS, PREFIXES = (1_000_000, 10_000_000), (1, 8)
# What the server is measured with alone, and the name that its figures are kept under.
ALONE_KEYS, ALONE_CONNECTIONS, ALONE = 1_000_000, 4, "server"
# Of the issue that asked for it: the driver's peak by keys, the plan's seconds, the list's rate over version 1's.
MOST_MIB = {10_000_000: 1024, 50_000_000: 1280}
MOST_PLAN_SECONDS = 60
TIMES_VERSION_1 = 5


@dataclass(frozen=True)
class Tree:
    """A checkout whose code is measured, under the name that the table has for it."""

    name: str
    folder: Path

    @classmethod
    def of(cls, told: str) -> "Tree":
        """`NAME=FOLDER`, or a folder of that name."""
        name, _, folder = told.rpartition("=")
        return cls(name or Path(folder).resolve().name, Path(folder).resolve())


def is_busy(load: float) -> bool:
    """Whether others were at work on these cores when it began: by the load of the last minute, in processes."""
    return load > 1.0


def measured(tree: Tree, server: ManyS3) -> dict[str, Any]:
    """One process's list and plan: what it prints, and what the kernel says of it."""
    load, before, started = os.getloadavg()[0], server.cpu_seconds(), time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.long_list", f"s3://{BUCKET}/{ROOT.rstrip('/')}", "--plan"]
    environment = {**os.environ, **server.environment(), "PYTHONPATH": ""}
    process = subprocess.Popen(command, cwd=tree.folder, env=environment, stdout=subprocess.PIPE)
    assert process.stdout
    printed = process.stdout.read()
    # Of the process and of those that it waited for: the largest, not their sum.
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"long_list of {tree.name} ended with {process.returncode}.")
    return {
        **json.loads(printed.splitlines()[-1]),
        "wall_seconds": time.perf_counter() - started,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "server_cpu_seconds": server.cpu_seconds() - before,
        "peak_bytes": usage.ru_maxrss * 1024,
        "load": load,
    }


def measure(options: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """What each line is kept under, and its figures."""
    from benchmarks.machine import machine

    trees = [Tree.of(told) for told in options.tree or [str(HERE.parent)]]
    for keys in options.keys:
        for prefixes in options.prefixes:
            bucket = ManyKeys(keys, prefixes, largest=options.largest)
            with many_s3(bucket, options.processes, options.late) as server:
                for tree in trees:
                    figures = measured(tree, server)
                    assert figures["pictures"] == keys, f"{tree.name} listed {figures['pictures']:,} of {keys:,} keys"
                    what = {"tree": tree.name, "keys": keys, "prefixes": prefixes}
                    shape = {"largest": options.largest, "late": options.late}
                    name = "/".join(map(str, [*what.values(), *shape.values()]))
                    yield name, {**what, **shape, **figures, "machine": machine()}


def server_alone(processes: int) -> dict[str, Any]:
    """Keys a second that the server gives to whoever does nothing with them, and of its own processor's second."""
    from benchmarks.machine import machine

    bucket, load = ManyKeys(ALONE_KEYS, ALONE_CONNECTIONS), os.getloadavg()[0]
    with many_s3(bucket, processes) as server, ThreadPoolExecutor(ALONE_CONNECTIONS) as pool:
        before, started = server.cpu_seconds(), time.perf_counter()
        prefixes = [folder.prefix for folder in bucket.all_folders]
        assert sum(pool.map(lambda prefix: pulled(server, prefix), prefixes)) == ALONE_KEYS
        seconds, cpu = time.perf_counter() - started, server.cpu_seconds() - before
    rates = {"keys_per_second": ALONE_KEYS / seconds, "keys_per_cpu_second": ALONE_KEYS / cpu}
    return {**rates, "processes": processes, "load": load, "machine": machine()}


def pulled(server: ManyS3, prefix: str) -> int:
    """How many keys the pages of a prefix have, read over one connection."""
    connection, count, token = http.client.HTTPConnection(urlsplit(server.endpoint_url).netloc), 0, ""
    while True:
        more = f"&continuation-token={token}" if token else ""
        connection.request("GET", f"/{BUCKET}?list-type=2&prefix={quote(prefix)}{more}")
        body = connection.getresponse().read()
        count += body.count(b"<Contents>")
        _, _, rest = body[:2000].partition(b"<NextContinuationToken>")
        if not rest:
            connection.close()
            return count
        token = rest.partition(b"<")[0].decode()


def row(one: dict[str, Any]) -> str:
    """A line of the table."""
    shape = f"{one['prefixes']}" + (f", one of {one['largest']:.0%}" if one["largest"] else "")
    cells = [
        one["tree"],
        f"{one['keys']:,}",
        shape,
        f"{one['late'] * 1000:.0f}",
        f"{one['keys'] / one['list_seconds']:,.0f}",
        f"{one['list_seconds']:.1f}",
        f"{one['plan_seconds']:.1f}",
        f"{one['tasks']:,}",
        f"{one['cpu_seconds']:.1f}",
        f"{one['server_cpu_seconds']:.1f}",
        f"{one['peak_bytes'] / 2**20:,.0f}",
        f"{one['machine']}" + (f"; **under load {one['load']:.1f}**" if is_busy(one["load"]) else ""),
    ]
    return f"| {' | '.join(cells)} |"


def page(figures: dict[str, dict[str, Any]]) -> str:
    """The table of all that was measured."""
    alone = figures.get(ALONE)
    memory = ", ".join(f"{most:,} at {keys:,} keys" for keys, most in MOST_MIB.items())
    lines = [
        "# The driver's list and plan, by keys and prefixes",
        "",
        "Against a server of made-up keys on the same cores (`tests/doubles/s3/many.py`). Made by",
        "`python -m benchmarks.scale`, which says how. A line that was measured while others were at work on these",
        "cores says so: its seconds are too many, its processor time and memory are about right.",
        "",
        f"Wanted: at most {memory}, in MiB; a plan in {MOST_PLAN_SECONDS} s at 10,000,000 keys; with 8 prefixes",
        f"{TIMES_VERSION_1} times as many keys a second as version 1 (13f5d0b) in the same run.",
        "",
        *([*server_sentence(alone), ""] if alone else []),
        "| tree | keys | prefixes | answers late by, ms | keys/s | list, s | plan, s | tasks | processor, s "
        "| the server's, s | peak, MiB | machine and day |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
        *(row(one) for one in sorted(listed(figures), key=_order)),
    ]
    return "\n".join(lines) + "\n"


def server_sentence(alone: dict[str, Any]) -> list[str]:
    """What the server can do by itself."""
    load = f"; **under load {alone['load']:.1f}**" if is_busy(alone["load"]) else ""
    return [
        f"The server alone, {alone['processes']} processes: {alone['keys_per_second']:,.0f} keys a second to",
        f"{ALONE_CONNECTIONS} connections, {alone['keys_per_cpu_second']:,.0f} a second of its own processor time",
        f"({alone['machine']}{load}).",
    ]


def listed(figures: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The figures of lists, without the server's own."""
    return [one for name, one in figures.items() if name != ALONE]


def _order(one: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(one[name] for name in ("keys", "late", "largest", "prefixes", "tree"))


def main() -> None:
    """Measure, keep and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, nargs="+", default=KEYS)
    parser.add_argument("--prefixes", type=int, nargs="+", default=PREFIXES)
    parser.add_argument("--largest", type=float, default=0.0, help="the share of all keys that the last prefix has")
    parser.add_argument("--late", type=float, default=0.0, help="seconds that each answer comes late, as S3's do")
    parser.add_argument("--tree", nargs="+", metavar="NAME=FOLDER", help="checkouts, this one unless told")
    parser.add_argument("--alone", action="store_true", help="measure the server by itself, and nothing else")
    parser.add_argument("--processes", type=int, default=2, help="of the server")
    options = parser.parse_args()
    kept = HERE / "scale.json"
    figures = json.loads(kept.read_text()) if kept.exists() else {}
    measured_now = [(ALONE, server_alone(options.processes))] if options.alone else measure(options)
    for name, one in measured_now:
        print(one, file=sys.stderr, flush=True)
        figures[name] = one
        kept.write_text(json.dumps(figures, indent=1) + "\n")
    (HERE / "scale.md").write_text(page(figures))
    print(page(figures))


if __name__ == "__main__":
    main()
