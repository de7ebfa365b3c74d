"""The machine and the day of a measurement."""

import os
from datetime import UTC, datetime
from pathlib import Path

from pipeline.run_folder.record import cpu_name

# By Linux's names, the widest first: how fast a network is depends on them more than on the clock.
VECTORS = {"avx512_bf16": "AVX-512 with bf16", "avx512f": "AVX-512", "avx2": "AVX2"}


def machine() -> str:
    """The processor, its vector unit, its cores and today's date."""
    vectors = next((name for flag, name in VECTORS.items() if has(flag)), "no AVX2")
    return f"{cpu_name()} ({vectors}), {os.cpu_count()} cores, {datetime.now(UTC):%Y-%m-%d}"


def has(flag: str) -> bool:
    """Whether this processor says so of itself."""
    return flag in Path("/proc/cpuinfo").read_text().split()
