"""Seconds from nothing to a verified cluster: from Debian's image, and from a baked one (Linux, root, the sandbox).

    python -m benchmarks.from_image --workers 1

Both in one run, on the same machine and the same double of AWS; hosts share this machine's cores. From Debian's image
everything comes from the registries that this machine uses.
"""

import argparse
import tempfile
from pathlib import Path

from tests.cluster.operator import Operator
from tests.sandbox.cloud import ROLE_KEYS, Cloud
from tests.sandbox.sandbox import Sandbox


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description="What an image saves of `make up`.")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        Sandbox() as sandbox,
        Cloud(sandbox, credentials=lambda: ROLE_KEYS, memory=3 << 30, seen_by_hosts=True) as cloud,
    ):
        operator = Operator(Path(folder), cloud, "images", worker_count=arguments.workers)
        rows = [("up, Debian's image", operator.type("up", deadline=3600).seconds)]
        rows.append(("bake", operator.type("bake", deadline=3600).seconds))
        rows.append(("up again, nothing to do", operator.type("up", deadline=3600).seconds))
        operator.type("down", deadline=1800, YES="1")
        up = operator.type("up", deadline=3600)
        print(up.out)
        rows.append(("up, baked image", up.seconds))
        more = operator.type("scale", f"--workers={arguments.workers + 1}", deadline=3600)
        print(more.out)
        rows.append(("a worker more, baked image", more.seconds))
        operator.type("down", "--purge", deadline=1800, YES="1")
    for name, seconds in rows:
        print(f"| {name} | {seconds:.0f} s |")


if __name__ == "__main__":
    main()
