"""The machine and the day of a measurement."""

import os
from datetime import UTC, datetime

from pipeline.record import cpu_name


def machine() -> str:
    """The processor, its cores and today's date."""
    return f"{cpu_name()}, {os.cpu_count()} cores, {datetime.now(UTC):%Y-%m-%d}"
