"""What so many pictures take and cost: on the cluster as it is set, and by type of worker, in words and as a table."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scripts import console
from scripts.errors import InputError
from scripts.money import prices, rates
from scripts.money.amounts import money
from scripts.money.measured import Measured
from scripts.money.rates import Photos, Rate

MOST_PICTURES = 10**11
MOST_MEGAPIXELS = 200  # of phones
MILLION = 1_000_000
HEADING = ("TYPE", "CORES", "PICTURES/S", "USD A MILLION", "RATE")
INT8 = "int8 is not offered, for features drift (docs/cluster-and-cost.md): take f32, or bf16 where it is good enough."

Known = Mapping[tuple[str, str], Measured]


@dataclass(frozen=True)
class Question:
    """How many pictures, at which precision of the network; and of how many megapixels, where they are photos."""

    pictures: int
    precision: str
    photos: Photos | None = None

    @property
    def what(self) -> str:
        """The pictures in words."""
        if self.photos is None:
            return f"{self.pictures:,} pictures at {self.precision}"
        size = f"{self.photos.megapixels:g} megapixels, decoded {self.photos.decode}"
        return f"{self.pictures:,} photos of {size}, at {self.precision}"


def asked(pictures: str, precision: str, megapixels: str = "", decode: str = "") -> Question | None:
    """What a person asks by PICTURES, PRECISION, MEGAPIXELS and DECODE; None where by none. Raises InputError."""
    given = {"PRECISION": precision, "MEGAPIXELS": megapixels, "DECODE": decode}
    if not pictures and not any(given.values()):
        return None
    if not pictures:
        name = next(name for name, value in given.items() if value)
        raise InputError(f"{name} says nothing without PICTURES: make plan PICTURES=1000000 {name}={given[name]}")
    # Any alphabet's digits are numbers to Python.
    if not re.fullmatch(r"[0-9]{1,12}", pictures) or not 0 < int(pictures) <= MOST_PICTURES:
        raise InputError(f"PICTURES is a whole number from 1 to {MOST_PICTURES}, such as 1000000, not {pictures}.")
    if precision == "int8":
        raise InputError(INT8)
    if precision and precision not in rates.PRECISIONS:
        raise InputError(f"PRECISION is {' or '.join(rates.PRECISIONS)}, not {precision}.")
    return Question(int(pictures), precision or rates.PRECISIONS[0], _photos(megapixels, decode))


def _photos(megapixels: str, decode: str) -> Photos | None:
    if decode and decode not in rates.DECODE_WAYS:
        raise InputError(f"DECODE is {' or '.join(rates.DECODE_WAYS)}, not {decode}.")
    if not megapixels:
        if decode:
            raise InputError(f"DECODE is for photos: say how large they are, MEGAPIXELS=12 DECODE={decode}.")
        return None
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3})?", megapixels) or not 0 < float(megapixels) <= MOST_MEGAPIXELS:
        raise InputError(f"MEGAPIXELS is a photo's size, from 0.1 to {MOST_MEGAPIXELS}, such as 12, not {megapixels}.")
    return Photos(float(megapixels), decode or rates.DECODE_WAYS[0])


def lines(settings: Mapping[str, Any], question: Question, known: Known, fixed_seconds: float) -> list[str]:
    """The answer for the cluster that a plan's variables lead to, then the table of types, then where rates are from.

    `fixed_seconds` are those that any run takes beside its pictures.
    """
    # What runs have measured was of pictures as large as theirs were.
    known = {} if question.photos else known
    shown = _table(str(settings["region"]), question, known)
    table = console.columns([HEADING, *(one.cells for one in shown)])
    return [_as_set(settings, question, known, fixed_seconds), *table, *_notes(question, shown)]


@dataclass(frozen=True)
class _Row:
    instance_type: str
    rate: Rate
    usd_a_million: float | None  # one worker's on demand, without disk and address; None without a price

    @property
    def cells(self) -> tuple[str, ...]:
        count, usd = rates.cores(self.instance_type), self.usd_a_million
        kind = f"{self.rate.kind}, {self.rate.source}" if self.rate.kind == rates.MEASURED else self.rate.kind
        return (
            self.instance_type,
            "-" if count is None else str(count),
            f"{self.rate.per_second:,.0f}",
            "-" if usd is None else f"{usd:.2f}",
            kind,
        )


def _rate(instance_type: str, question: Question, known: Known) -> Rate | None:
    own = known.get((instance_type, question.precision))
    return own.rate if own else rates.of_type(instance_type, question.precision, question.photos)


def _table(region: str, question: Question, known: Known) -> list[_Row]:
    """Types with a known rate, the cheapest first; those without a price last."""
    names = dict.fromkeys([*rates.types(), *(name for name, of in known if of == question.precision)])
    found = [_row(region, name, rate) for name in names if (rate := _rate(name, question, known))]
    # Sizes of a family cost the same a picture but for the last digit of their prices.
    return sorted(found, key=lambda row: (round(row.usd_a_million or math.inf, 2), row.rate.per_second))


def _row(region: str, instance_type: str, rate: Rate) -> _Row:
    price = prices.of_instance(region, instance_type)
    usd = None if price is None else price.per_hour / 3600 / rate.per_second * MILLION
    return _Row(instance_type, rate, usd)


def _as_set(settings: Mapping[str, Any], question: Question, known: Known, fixed_seconds: float) -> str:
    kind, workers = str(settings["worker_instance_type"]), int(settings["worker_count"])
    rate, found = _rate(kind, question, known), prices.rates_of_settings(settings)
    what = f"{question.what} on {workers} {kind}"
    if not workers:
        return f"{what}: never, for without a worker (worker_count is 0) nothing is computed."
    if rate is None:
        why = "nobody has measured it" if rates.has_precision(kind, question.precision) else "its processor has none"
        return f"{what}: not known, for {why}."
    per_second = workers * rate.per_second
    seconds = fixed_seconds + question.pictures / per_second
    if found is None:
        cost = ", at a price that is not known"
    else:
        gets = money(question.pictures / 1000 * found.s3_get_per_1000, found.currency)
        cost = f" and {money(found.price(workers).per_hour * seconds / 3600, found.currency)}"
        cost += f", and {gets} for S3's GETs where each lies alone"
    return f"{what}: about {math.ceil(seconds / 60):,} min{cost} ({per_second:,.0f} pictures a second, {_why(rate)})."


def _why(rate: Rate) -> str:
    return f"{rate.kind} by {rate.source}" if rate.kind == rates.MEASURED else rate.kind


def _notes(question: Question, shown: list[_Row]) -> list[str]:
    """Where the rates are from, and which types are not in the table."""
    told: dict[tuple[str, str], dict[str, str]] = {}
    for row in shown:
        if row.rate.kind != rates.MEASURED:
            told.setdefault((row.rate.kind, row.rate.source), {})[_family(row)] = row.rate.processor
    notes = [
        f"{kind}: {', '.join(f'{family} {processor}' for family, processor in of.items())}: {source}."
        for (kind, source), of in told.items()
    ]
    missing = [name for name in rates.without_rate() if name not in map(_family, shown)]
    if missing:
        no_bf16 = ", and OpenVINO has no bf16 on them" if question.precision == "bf16" else ""
        notes.append(f"Not in the table: {', '.join(missing)} (ARM), for nobody has measured them{no_bf16}.")
    return ["One worker, on demand, without disk and address.", *notes, *([rates.how(question.photos)] if told else [])]


def _family(row: _Row) -> str:
    return row.instance_type.partition(".")[0]
