"""Rates that runs of this account have measured, by type of worker: kept in the clusters' buckets, one object each.

Others may write there, too: what has not an entry's form is left out, and there is no end of a run in a time to come.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from scripts.aws.bucket import RATES_KEY, RUN_ID, Bucket
from scripts.money.ledger import CLOCKS_DIFFER, EARLIEST
from scripts.money.rates import MEASURED, PRECISIONS, Rate

TYPE = re.compile(r"[a-z0-9-]{2,24}\.[a-z0-9-]{2,24}")
MOST_ENTRIES = 200  # in one bucket: the newest stay
MOST_PER_SECOND = 1e6  # of one worker: whatever is more is none
# Below it a run is mostly its beginning and its end.
LEAST_PICTURES = 5_000
# A run that waits for its pictures longer tells of them and not of its processors.
LEAST_NETWORK = 0.75
# The settings that the table's rates are for; the pictures' size in the network is the job's own default.
ENGINE, IMAGE_SIZE, COMPLETE = "openvino", 224, "complete"


@dataclass(frozen=True)
class Measured:
    """Pictures a second of one worker of this type, as a run had them that ended `at` that time."""

    instance_type: str
    precision: str
    per_second: float
    pictures: int
    run_id: str
    at: datetime

    @property
    def rate(self) -> Rate:
        """It beside the table's."""
        return Rate(self.per_second, MEASURED, f"run {self.run_id}, {self.at:%Y-%m-%d}")


def of_run(run_id: str, record: Mapping[str, Any], instance_type: str, workers: int) -> Measured | None:
    """What a run tells of its workers' type, by its record as `table.read_records` gives it; None where nothing.

    Only a whole run tells something: in one go, over enough pictures, on all workers and on one kind of processor,
    none lost, and with the network at work most of the time.
    """
    is_whole = (record["status"], record["attempts"], record["losses"]) == (COMPLETE, 1, 0)
    is_even = (record["hosts"], record["processors"]) == (workers, 1)
    is_usual = (record["engine"], record["image_size"]) == (ENGINE, IMAGE_SIZE) and record["precision"] in PRECISIONS
    pictures, rate = record["counts"]["features"], record["images_per_second"]
    if not (is_whole and is_even and is_usual and pictures >= LEAST_PICTURES and rate > 0):
        return None
    if record["network_share"] < LEAST_NETWORK:
        return None
    found = Measured(instance_type, record["precision"], rate / workers, pictures, run_id, record["ended_at"])
    return _parse(_as_object(found))


def keep(bucket: Bucket, found: Measured) -> None:
    """Put it in the place of the older one of its type and precision, at once. Raises AwsError or MissingError."""
    entries = {_key(one): one for one in [*_in_bucket(bucket), found]}
    newest = sorted(entries.values(), key=lambda one: one.at)[-MOST_ENTRIES:]
    bucket.write_json(RATES_KEY, {"version": 1, "rates": [_as_object(one) for one in newest]})


def read(buckets: Iterable[Bucket]) -> dict[tuple[str, str], Measured]:
    """The newest of each type and precision, of all these buckets. Raises AwsError or MissingError."""
    found = [one for bucket in buckets for one in _in_bucket(bucket)]
    return {_key(one): one for one in sorted(found, key=lambda one: one.at)}


def _in_bucket(bucket: Bucket) -> list[Measured]:
    content = bucket.read_json(RATES_KEY)
    listed = content.get("rates") if isinstance(content, dict) else None
    rates = listed[:MOST_ENTRIES] if isinstance(listed, list) else []
    return [one for one in map(_parse, rates) if one]


def _parse(found: Any) -> Measured | None:
    try:
        rate, at = float(found["per_second"]), datetime.fromisoformat(found["at"])
        one = Measured(
            instance_type=found["instance_type"],
            precision=found["precision"],
            per_second=rate,
            pictures=int(found["pictures"]),
            run_id=found["run_id"],
            at=at.astimezone(UTC),
        )
        is_named = TYPE.fullmatch(one.instance_type) and RUN_ID.fullmatch(one.run_id) and one.precision in PRECISIONS
        is_in_time = at.tzinfo is not None and EARLIEST <= one.at <= datetime.now(UTC) + CLOCKS_DIFFER
    except (TypeError, KeyError, ValueError, OverflowError):
        return None
    is_rate = math.isfinite(rate) and 0 < rate <= MOST_PER_SECOND and one.pictures >= LEAST_PICTURES
    return one if is_named and is_in_time and is_rate else None


def _as_object(one: Measured) -> dict[str, Any]:
    return vars(one) | {"at": one.at.isoformat(timespec="seconds"), "per_second": round(one.per_second, 2)}


def _key(one: Measured) -> tuple[str, str]:
    return one.instance_type, one.precision
