"""run.json: what a run was, was asked, and came to."""

import json
import platform
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pipeline import __version__
from pipeline.run_folder.layout import FORMAT, RECORD_KEY
from pipeline.settings import CSV_ONE, FAST, RANDOM, STORED
from pipeline.storage.base import Storage

COMPLETE = "complete"
RANDOM_ALARM = "Random weights (a fixed seed), not ImageNet's: the features mean nothing."
TOO_MANY_BAD = "too many bad pictures"
# Together with 1,280 ratios and names as long as EC2 gives them, these keep run.json below 100 KB.
MOST_NAMED = 250
MOST_LOSSES = 25
MOST_PROCESSORS = 8
MOST_OF_A_PROCESSOR = MOST_NAMED // MOST_PROCESSORS
_OF_PIXELS = {
    ("decode", FAST): "Large JPEGs were decoded at a smaller scale of their own (--decode fast).",
    ("orientation", STORED): "Photos were taken as they are stored, whatever EXIF says (--orientation stored).",
}
_PACKAGES = ("pyspark", "openvino", "tensorflow-cpu", "tensorflow", "keras", "numpy", "pyarrow", "pillow", "obstore")


@dataclass(frozen=True)
class RunRecord:
    """The content of run.json. Seconds are wall-clock, sizes bytes.

    `format` is 2 where the list and the tasks' checksums are files of their own (`inputs/`, parts.parquet); a record of
    before has no format, and `parts` in it. `tasks` is how many there are, `csv` which kind of CSV was written.
    Lists have at most MOST_NAMED entries, `hosts` and the like, or MOST_LOSSES: `more` says of which name how many more
    there were.
    `images_per_second` are the pictures that were computed over the feature phase's seconds, all its waiting included.
    `losses` are the last attempt's, each with the host, when and how it was lost (`told` to go, or `silent`), Spark's
    reason, and how many pictures were done again for it.
    `fetches` is how many pictures a task read at once, `attempts` how often the run was begun or gone on with; seconds
    are the last attempt's. `processors` are the workers', each with its hosts; `cpu` is the driver's. `out_of_memory`
    says on which hosts the kernel has ended how many processes for want of memory.
    """

    run_id: str
    status: str
    exit_status: int
    settings: dict[str, Any]
    weights: str
    master: str
    counts: dict[str, int]
    error_reasons: dict[str, int] = field(default_factory=dict)
    components: int = 0
    explained_variance: float = 0.0
    explained_variance_ratio: list[float] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    worker_seconds: dict[str, float] = field(default_factory=dict)
    images_per_second: float = 0.0
    worker_peak_bytes: int = 0
    retries: int = 0
    attempts: int = 1
    started_at: str = ""
    ended_at: str = ""
    hosts: list[str] = field(default_factory=list)
    processors: dict[str, list[str]] = field(default_factory=dict)
    out_of_memory: dict[str, int] = field(default_factory=dict)
    losses: list[dict[str, Any]] = field(default_factory=list)
    cpu: str = ""
    cores: int = 0
    fetches: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    parts: list[dict[str, Any]] = field(default_factory=list)
    format: int = 1
    tasks: int = 0
    csv: str = CSV_ONE
    more: dict[str, int] = field(default_factory=dict)

    @property
    def alarms(self) -> list[str]:
        """What nobody may overlook who looks at the numbers."""
        return [RANDOM_ALARM] if self.weights == RANDOM else []

    @property
    def of_pixels(self) -> list[str]:
        """How its pictures were looked at, where that is not as by default."""
        return [said for (name, value), said in _OF_PIXELS.items() if self.settings.get(name) == value]

    def write(self, run: Storage) -> None:
        """Put run.json: the run counts as ended from here on."""
        content = asdict(self)
        if self.format > 1:
            del content["parts"]
        run.write(RECORD_KEY, (json.dumps(content, indent=1) + "\n").encode())


def read_record(run: Storage) -> RunRecord:
    """The record of an ended run. Raises FileNotFoundError, ValueError or TypeError."""
    record = RunRecord(**json.loads(run.read(RECORD_KEY)))
    if record.format > FORMAT:
        raise ValueError(f"it is of format {record.format}, and this version of Orchard knows {FORMAT} at most")
    return record if record.tasks else replace(record, tasks=len(record.parts))


def installed_versions() -> dict[str, str]:
    """Versions of Python, Orchard and the packages that the numbers depend on."""
    found = {"python": platform.python_version(), "orchard": __version__}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def cpu_name() -> str:
    """The processor's name as the kernel gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    first: dict[str, str] = {}
    for name, _, value in (line.partition(":") for line in lines):
        first.setdefault(name.strip(), value.strip())
    # Where the kernel gives no name, as on ARM, it gives numbers: without them every Graviton would be the same.
    numbers = [first[name] for name in ("CPU implementer", "CPU part") if name in first]
    return first.get("model name") or " ".join([platform.machine(), *numbers])
