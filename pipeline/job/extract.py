"""The feature phase: each task reads, decodes and runs its pictures and writes one part."""

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import BoundedSemaphore

import pyarrow as pa

from pipeline.errors import InputError
from pipeline.features.running import DECODERS, LOOKAHEAD, Decoded, Featured, run_through
from pipeline.features.timing import timed
from pipeline.job.processors import other_processor
from pipeline.network.engine import Engine, engine_for
from pipeline.network.keras_model import Network
from pipeline.parallel import run_ahead
from pipeline.pictures.pack_reader import bytes_to_read
from pipeline.pictures.reading import NotHadError, check_store, read_failure
from pipeline.pixels import memory
from pipeline.pixels.bad_pictures import BadPictureError, Reason
from pipeline.pixels.decode import check_file, decode
from pipeline.process.memory import oom_kills, peak_bytes
from pipeline.run_folder.layout import feature_key
from pipeline.run_folder.parts import (
    FeaturePart,
    PictureError,
    encode_features,
    sha256,
    vector_table,
    whole_part,
)
from pipeline.run_folder.record import cpu_name
from pipeline.run_folder.thumbnails import Shown, thumbnail
from pipeline.settings import RunOptions, RunSettings
from pipeline.storage import retries
from pipeline.storage.base import Pictures, Storage

# Of the threads that fetch, those that may decode.
_TURNS = BoundedSemaphore(DECODERS)
_NOT_READ = {Reason.UNREADABLE, Reason.VANISHED, Reason.TOO_LARGE}


@dataclass(frozen=True)
class FeatureJob:
    """What all tasks of a run share. `processor` is the only one that may do them, where that is not all the same.

    `decode` and `orientation` are those of RunSettings, `shown` says whose thumbnails are kept, `witnesses` are
    pictures from all over the list, to be tried where none of a task's can be had.
    """

    images: Pictures
    run: Storage
    network: Network
    resume: bool
    fetches: int = RunOptions.fetches
    processor: str = ""
    witnesses: tuple[str, ...] = ()
    decode: str = RunSettings.decode
    orientation: str = RunSettings.orientation
    shown: Shown = field(default_factory=Shown)


@dataclass(frozen=True)
class FeatureTask:
    """One task's share of the list: paths, labels and the bytes that were listed, row by row."""

    number: int
    paths: list[str]
    labels: list[str]
    sizes: list[int]

    @classmethod
    def of(cls, number: int, rows: pa.Table) -> "FeatureTask":
        """The task of these rows of the list."""
        return cls(number, *(rows[name].to_pylist() for name in ("path", "label", "bytes")))


@dataclass(frozen=True)
class TaskResult:
    """What a task returns to the driver: counts, for the pictures' names stay in its part.

    `reasons` says how many pictures could not be read for which reason, `sha256` and `bytes` are the part's. Seconds
    are the task's own; `peak_bytes` is its process's resident peak. `oom_kills` is how often the kernel had ended
    processes of its unit when it began, and when it ended.
    """

    number: int
    listed: int
    reasons: dict[str, int]
    sha256: str
    bytes: int = 0
    kept: bool = False
    first_picture_at: float = 0.0
    ended_at: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    peak_bytes: int = 0
    host: str = ""
    processor: str = ""
    oom_kills: tuple[int, int] = (0, 0)
    retries: int = 0

    @property
    def errors(self) -> int:
        """Pictures without features."""
        return sum(self.reasons.values())

    @property
    def features(self) -> int:
        """Pictures with features."""
        return self.listed - self.errors


def check_processor(job: FeatureJob) -> None:
    """Raise InputError on a processor that may do none of the run's tasks."""
    if job.processor not in ("", found := cpu_name()):
        raise InputError(other_processor(job.processor, socket.gethostname(), found))


def extract(job: FeatureJob, task: FeatureTask, alive: Callable[[], None] = memory.nothing) -> TaskResult:
    """Write the task's part, or find it there already when resuming; `alive` is called after each picture,
    and while a large one waits for others of the host.

    Raises StorageError, OSError.
    """
    if job.resume and (kept := _kept_part(job, task)):
        return kept
    processor, killed, retried = cpu_name(), oom_kills(), retries.count()
    seconds = dict.fromkeys(("engine", "wait", "network", "write"), 0.0)
    with timed(seconds, "engine"):
        engine = engine_for(job.network)
    first_picture_at = time.time()
    part = _features_of(job, task, engine, seconds, alive)
    data = encode_features(part)
    with timed(seconds, "write"):
        job.run.write(feature_key(task.number), data)
    peak = peak_bytes()
    return TaskResult(
        task.number,
        part.listed,
        _reasons(part),
        sha256(data),
        len(data),
        first_picture_at=first_picture_at,
        ended_at=time.time(),
        seconds=seconds,
        peak_bytes=peak,
        host=socket.gethostname(),
        processor=processor,
        oom_kills=(killed, oom_kills()),
        retries=retries.count() - retried,
    )


def _kept_part(job: FeatureJob, task: FeatureTask) -> TaskResult | None:
    try:
        data = job.run.read(feature_key(task.number))
    except (FileNotFoundError, PermissionError):  # S3 refuses what is not there to who may not list
        return None
    part = whole_part(data, task.paths)
    return TaskResult(task.number, part.listed, _reasons(part), sha256(data), len(data), kept=True) if part else None


def _reasons(part: FeaturePart) -> dict[str, int]:
    return dict(Counter(error.reason for error in part.errors))


def _features_of(
    job: FeatureJob, task: FeatureTask, engine: Engine, seconds: dict[str, float], alive: Callable[[], None]
) -> FeaturePart:
    thumbnails: dict[str, bytes] = {}
    decoded = _telling(_read_ahead(job, task, alive), alive)
    featured = run_through(engine, _keeping(job, task, decoded, thumbnails), len(task.paths), seconds)
    _check_store(job, task, featured)
    errors = [PictureError(task.paths[row], bad.reason.value, bad.detail) for row, bad in featured.bad.items()]
    paths, labels = [task.paths[row] for row in featured.kept], [task.labels[row] for row in featured.kept]
    return FeaturePart(vector_table(paths, labels, "features", featured.vectors), errors, len(task.paths), thumbnails)


def _check_store(job: FeatureJob, task: FeatureTask, featured: Featured) -> None:
    not_had = [bad for bad in featured.bad.values() if isinstance(bad, NotHadError)]
    # What was read and is no picture is as good a witness as one that is.
    read = (row for row, bad in featured.bad.items() if bad.reason not in _NOT_READ)
    witness = next((task.paths[row] for row in (*featured.kept[-1:], *read)), None)
    check_store(job.images, not_had, witness, job.witnesses)


def _read_ahead(job: FeatureJob, task: FeatureTask, alive: Callable[[], None] = memory.nothing) -> Iterator[Decoded]:
    """The decoded pictures in the list's order, at most LOOKAHEAD of them waiting, or as many as are read at once."""
    listed = zip(task.paths, task.sizes, strict=True)
    return run_ahead(lambda one: _read_and_decode(job, *one, alive), listed, job.fetches, max(LOOKAHEAD, job.fetches))


def _telling(decoded: Iterator[Decoded], alive: Callable[[], None]) -> Iterator[Decoded]:
    for one in decoded:
        alive()
        yield one


def _keeping(
    job: FeatureJob, task: FeatureTask, decoded: Iterator[Decoded], kept: dict[str, bytes]
) -> Iterator[Decoded]:
    """The same pictures; of those that the report shows, `kept` gains the thumbnails."""
    for path, one in zip(task.paths, decoded, strict=True):
        if not isinstance(one, BadPictureError) and job.shown.has(task.number, path):
            kept[path] = thumbnail(one)
        yield one


def _read_and_decode(job: FeatureJob, path: str, size: int, alive: Callable[[], None]) -> Decoded:
    try:
        check_file(size)
        with memory.files.taken(bytes_to_read(job.images, path, size)):
            data = job.images.read(path, size)
            with _TURNS:
                return decode(data, job.network.image_size, alive=alive, orientation=job.orientation, way=job.decode)
    except BadPictureError as error:
        return error.kept()
    except OSError as error:
        return read_failure(error)
