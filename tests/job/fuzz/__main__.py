"""`make fuzz SECONDS=600`: as long as you like, on every core, with a new seed each time or the one you give."""

import argparse
import os
import secrets
import sys
from pathlib import Path

from tests.job.fuzz.fuzzing import fuzz, keep

ESCAPED = Path("runs/fuzz")


def main() -> int:
    """Fuzz and say what came of it; 1 when something escaped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.seconds:g} s", flush=True)
    found = fuzz(options.seed, options.seconds, os.cpu_count() or 1)
    shares = ", ".join(f"{kind} {count / found.cases:.1%}" for kind, count in found.kinds.most_common())
    worst = f"slowest {found.slowest_seconds:.2f} s, {found.peak_bytes >> 20} MiB at most"
    print(f"{found.cases:,} mutations: {shares}; {worst}")
    for escape in found.escapes[:20]:
        print(f"escaped: {escape}")
    if found.escapes:
        keep(found.escapes, options.seed, ESCAPED)
        print(f"{len(found.escapes):,} escaped; their bytes are in {ESCAPED}.")
    return 1 if found.escapes else 0


if __name__ == "__main__":
    sys.exit(main())
