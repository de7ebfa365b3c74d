"""Pictures a second of a worker, by its type: the table rates.toml, where each rate has its kind and its source.

A run's own rate, which comes before any of these, is in `measured`.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("rates.toml")
MEASURED, PUBLISHED, DERIVED = "measured", "published", "derived"
PRECISIONS = ("f32", "bf16")
DECODE_WAYS = ("exact", "fast")


@dataclass(frozen=True)
class Photos:
    """Pictures that are photos: their megapixels, and the way in which they are decoded."""

    megapixels: float
    decode: str


@dataclass(frozen=True)
class Rate:
    """Pictures a second of one worker, from S3 to features; `kind` is measured, published or derived, `source` why.

    A published rate is the network's alone, by others: what the job has of it is reckoned. `processor` says whose it
    was, where that was none of the type's own.
    """

    per_second: float
    kind: str
    source: str
    processor: str = ""


def types() -> list[str]:
    """Every type that is in the table, whether or not its rate is known."""
    return [f"{family}.{size}" for family in _table()["families"] for size in _table()["sizes"]]


def without_rate() -> list[str]:
    """Families of which nobody has measured anything."""
    return [name for name, family in _table()["families"].items() if not set(PRECISIONS) & set(family)]


def has_precision(instance_type: str, precision: str) -> bool:
    """Whether its processor has that arithmetic; so it is where the table tells no rate of it at any precision."""
    family = _table()["families"].get(instance_type.partition(".")[0], {})
    return precision in family or not set(PRECISIONS) & set(family)


def cores(instance_type: str) -> int | None:
    """Physical cores of a type; None for one that is not in the table."""
    family, _, size = instance_type.partition(".")
    known, processors = _table()["families"].get(family), _table()["sizes"].get(size)
    return int(processors) // int(known["threads_per_core"]) if known and processors else None


def of_type(instance_type: str, precision: str, photos: Photos | None = None) -> Rate | None:
    """The table's rate of one worker, of pictures like Fruits-360's or of photos; None where it has none.

    So it is at bf16 on a processor without.
    """
    count = cores(instance_type)
    told = _table()["families"].get(instance_type.partition(".")[0], {}).get(precision)
    if count is None or told is None:
        return None
    clocks = f" by the clocks ({told['ghz']:g} to {told['of_ghz']:g} GHz)" if "ghz" in told else ""
    return Rate(
        count * _per_core(told, photos), told["kind"], _table()["sources"][told["source"]], f"by {told['of']}{clocks}"
    )


def how(photos: Photos | None = None) -> str:
    """How the job's rate is reckoned of the network's, in one sentence."""
    job = _table()["job"]
    if photos:
        return (
            f"Reckoned as cores * {job['share']:g} / (1 / network + {_seconds(photos):.3f} s for decoding), the "
            f"network's rate a core by these, the rest by {job['photos']['source']}."
        )
    return (
        f"Reckoned as cores * {job['share']:g} / (1 / network + 1 / {job['decode']:,}), the network's rate a core by "
        f"these, the rest by {job['source']}. Pictures larger than Fruits-360's (100 x 100) take longer."
    )


def _seconds(photos: Photos) -> float:
    """Seconds of one core that decoding one of these takes."""
    return float(photos.megapixels * _table()["job"]["photos"][photos.decode])


def _per_core(told: dict[str, Any], photos: Photos | None) -> float:
    job = _table()["job"]
    network = told["pictures"] / told["on_cores"] * told.get("ghz", 1) / told.get("of_ghz", 1)
    return float(job["share"] / (1 / network + (_seconds(photos) if photos else 1 / job["decode"])))


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(TABLE.read_text())
