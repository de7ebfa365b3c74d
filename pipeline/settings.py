"""What a run is asked to do, as it travels from the command line to the run record: the owner of every default."""

import re
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

ENGINES = ("openvino", "tensorflow")
PRECISIONS = ("f32", "bf16")
# Width and height at which the published ImageNet weights were trained.
IMAGENET_PIXELS = 224
# Weights by this name are drawn, for tries where no numbers are meant.
RANDOM = "random"
MOST_FETCHES = 64
# What becomes of the components beside their Parquet parts.
CSV_KINDS = CSV_ONE, CSV_PARTS, CSV_NONE = "one", "parts", "none"
# How a JPEG is decoded: as its pixels are, or at a smaller scale of its own, which takes a fraction of the time.
DECODE_WAYS = EXACT, FAST = "exact", "fast"
# Phones store photos as the sensor lay and say in EXIF how to turn them.
ORIENTATIONS = UPRIGHT, STORED = "upright", "stored"
# Of a run that says nothing of it: the version of then knew nothing else.
_BEFORE = {"decode": EXACT, "orientation": STORED}
# A run's name is a folder's, a key's and a systemd unit's.
RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class RunSettings:
    """All that decides a run's numbers. `resume` refuses a run whose settings differ in any of these."""

    images: str
    weights_sha256: str
    engine: str = ENGINES[0]
    precision: str = PRECISIONS[0]
    image_size: int = IMAGENET_PIXELS
    components: int | None = 200
    variance: float | None = None
    classes: tuple[str, ...] = ()
    limit: int | None = None
    sample_seed: int = 0
    decode: str = EXACT
    orientation: str = UPRIGHT

    def as_json(self) -> dict[str, Any]:
        """The settings as JSON can hold them (tuples become lists)."""
        return {**asdict(self), "classes": list(self.classes)}

    def going_on(self, stored: dict[str, Any]) -> "RunSettings":
        """These for a run that was begun with `stored`: one of before any photo was turned goes on as it began."""
        return self if "orientation" in stored else replace(self, orientation=_BEFORE["orientation"])

    def differences(self, stored: dict[str, Any]) -> list[str]:
        """Names of the settings that differ from those of an earlier start, as `as_json` wrote them."""
        return sorted(name for name, value in self.as_json().items() if {**_BEFORE, **stored}.get(name) != value)


@dataclass(frozen=True)
class RunOptions:
    """How a run is carried out, which may change from attempt to attempt: its numbers stay the same.

    `csv` is one of CSV_KINDS, or none of them: one file as long as it is not too long. `max_bad` is a share of the
    pictures, `fetches` the pictures that a task reads at once: with answers 30 ms late, as from S3 within its region,
    more than the default did not make a task faster beyond the noise (benchmarks/s3_clients.md).
    """

    max_bad: float = 0.01
    fetches: int = 16
    resume: bool = False
    report: bool = True
    csv: str = ""


def new_run_id() -> str:
    """A name that sorts by time."""
    return datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
