"""The phases of a run: each does its part, says so, and returns what it came to with its wall-clock seconds."""

from collections import Counter
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import pairwise
from operator import add
from typing import Any

from pipeline.job.extract import FeatureJob, TaskResult
from pipeline.job.losses import LossWatch, SparkBooks
from pipeline.job.processors import ask_processors, check_same, one_for_bf16
from pipeline.job.request import RunRequest
from pipeline.job.session import BF16_ATTEMPTS, TASK_ATTEMPTS, jvm_ahead, spark_context
from pipeline.job.spark_jobs import FEATURES_GROUP, Projected, extract_features, project_features, sum_moments
from pipeline.network.keras_model import Network, prepare_network
from pipeline.pca import spark_ml
from pipeline.pca.fit import PcaModel, check_enough, fit
from pipeline.pictures.listing import PictureList, listed, passed_over_sentence
from pipeline.pictures.tasks import planned
from pipeline.progress import Narrator
from pipeline.run_folder.csv_files import csv_kind, delete_csv, write_csv
from pipeline.run_folder.errors_file import gather_errors
from pipeline.run_folder.inputs import StoredList, in_parts, write_list
from pipeline.settings import CSV_ONE, CSV_PARTS
from pipeline.storage.base import Pictures, Storage, left_out_sentence


@dataclass(frozen=True)
class Listing:
    """The pictures of the run: listed, or stored by an earlier attempt."""

    pictures: PictureList | None
    stored: StoredList | None
    seconds: float


@dataclass(frozen=True)
class Preparation:
    """The network, ready for the workers."""

    network: Network
    seconds: float


@dataclass(frozen=True)
class Session:
    """A SparkContext and the cores that it had when it began."""

    context: Any
    cores: int
    seconds: float


@dataclass(frozen=True)
class Extraction:
    """What became of every task, in the list's order."""

    results: tuple[TaskResult, ...]
    seconds: float

    @property
    def listed(self) -> int:
        """Pictures that are accounted for."""
        return sum(result.listed for result in self.results)

    @property
    def features(self) -> int:
        """Pictures with features."""
        return sum(result.features for result in self.results)

    @cached_property
    def computed(self) -> tuple[TaskResult, ...]:
        """The tasks whose part is this attempt's work."""
        return tuple(result for result in self.results if not result.kept)

    @property
    def images_per_second(self) -> float:
        """Pictures of this attempt over the phase's wall-clock seconds."""
        return sum(result.listed for result in self.computed) / max(self.seconds, 1e-9)

    @property
    def oom_kills(self) -> dict[str, int]:
        """On which hosts the kernel has ended how many processes for want of memory, meanwhile."""
        seen: dict[str, list[tuple[float, int]]] = {}
        for result in self.computed:
            began_at = result.first_picture_at - result.seconds.get("engine", 0.0)
            times = (began_at, result.ended_at)
            seen.setdefault(result.host, []).extend(zip(times, result.oom_kills, strict=True))
        killed = {host: _rises([count for _, count in sorted(counts)]) for host, counts in sorted(seen.items())}
        return {host: kills for host, kills in killed.items() if kills}

    @property
    def error_reasons(self) -> dict[str, int]:
        """How many pictures could not be read for which reason, the most frequent first."""
        reasons = reduce(add, (Counter(result.reasons) for result in self.results), Counter[str]())
        return dict(reasons.most_common())


def _rises(counts: list[int]) -> int:
    """By how much a counter has gone up that begins anew with its unit: what it falls by is nothing that it counted."""
    return sum(max(0, after - before) for before, after in pairwise(counts))


@dataclass(frozen=True)
class Reduction:
    """The fitted model and the projection part of every task, and which kind of CSV is written."""

    model: PcaModel
    parts: tuple[Projected, ...]
    csv: str
    fit_seconds: float
    projection_seconds: float


def list_phase(
    request: RunRequest, images: Pictures, stored: StoredList | None, stack: ExitStack, narrator: Narrator
) -> Listing:
    """List the pictures, until the stack ends, or take the stored list. Raises InputError where they are too few."""
    pictures = None
    with narrator.phase("list", "Listing the pictures") as phase:
        if stored is None:
            pictures = stack.enter_context(listed(images, request.settings))
            rows, classes = pictures.rows, len(pictures.counts)
        else:
            rows, classes = stored.rows, stored.classes
        phase.text = f"Listed {rows:,} pictures in {classes:,} classes"
    if images.left_out:
        narrator.say(left_out_sentence(images.left_out))
    if pictures is not None and pictures.passed_over:
        narrator.say(passed_over_sentence(pictures.passed_over))
    check_enough(rows, request.settings.components)
    return Listing(pictures, stored, phase.seconds)


def stored_phase(
    request: RunRequest, folder: Storage, listing: Listing, session: Session, processor: str
) -> StoredList:
    """Share the list out into tasks and store it: the run has begun. A stored one stays as it is."""
    if listing.stored is not None:
        check_same(request.run_id, listing.stored.processor, processor)
        return in_parts(folder, listing.stored)
    assert listing.pictures is not None  # it is one of both
    pictures, tasks = listing.pictures, planned(listing.pictures, session.cores)
    return write_list(folder, tasks, pictures.rows, pictures.counts, request.settings, processor)


def network_phase(request: RunRequest, narrator: Narrator) -> Preparation:
    """Have the network converted. Raises InputError for weights that are not its own."""
    settings = request.settings
    with narrator.phase("network", "Preparing the network") as phase:
        network = prepare_network(request.weights, settings.engine, settings.precision, settings.image_size)
    return Preparation(network, phase.seconds)


def application_name(run_id: str) -> str:
    """What Spark's pages call a run."""
    return f"orchard {run_id}"


def java_phase(request: RunRequest, stack: ExitStack, narrator: Narrator) -> Future[Any]:
    """Have Spark's JVM start beside the phases until `spark_phase`. Raises InputError without Java."""
    name, attempts = application_name(request.run_id), _attempts(request)
    return stack.enter_context(jvm_ahead(request.master, name, attempts, narrator.say))


def spark_phase(request: RunRequest, jvm: Future[Any], stack: ExitStack, narrator: Narrator) -> Session:
    """Start Spark in this JVM; the stack will stop it. Raises SparkError."""
    name, attempts = application_name(request.run_id), _attempts(request)
    with narrator.phase("spark", "Starting Spark") as phase:
        context = stack.enter_context(spark_context(request.master, name, attempts, jvm))
        cores = context.defaultParallelism
        phase.text = f"Started Spark on {request.master} with {cores} cores"
    return Session(context, cores, phase.seconds)


def _attempts(request: RunRequest) -> int:
    return BF16_ATTEMPTS if request.settings.precision == "bf16" else TASK_ATTEMPTS


def processor_for(request: RunRequest, session: Session) -> str:
    """The one processor that the run is done on; empty where any will do. Raises InputError, SparkError."""
    if request.settings.precision != "bf16":
        return ""
    return one_for_bf16(ask_processors(session.context, session.cores))


def loss_watch(context: Any, inputs: StoredList, narrator: Narrator) -> LossWatch:
    """Watches for hosts that are lost while the phases on Spark go on, and says so."""
    rows = [task.rows for task in inputs.tasks]
    return LossWatch(SparkBooks(context, FEATURES_GROUP), lambda loss: narrator.lost(loss.host, loss.text), rows)


def feature_phase(
    context: Any, job: FeatureJob, inputs: StoredList, narrator: Narrator, watch: LossWatch
) -> Extraction:
    """Have every task's part and errors.parquet written. Raises SparkError."""
    with narrator.pictures("features", "Features", inputs.rows) as phase:
        results = extract_features(context, job, inputs.tasks, phase.report, watch.look)
        phase.earlier = sum(result.listed for result in results if result.kept)
        phase.bad = sum(result.errors for result in results)
    gather_errors(job.run, [(result.number, result.bytes) for result in results if result.errors])
    extraction = Extraction(tuple(results), phase.seconds)
    for host, kills in extraction.oom_kills.items():
        narrator.say(
            f"Memory ran out on {host}: the kernel ended {kills:,} of Spark's processes; their work is redone."
        )
    return extraction


def reduction_phases(
    request: RunRequest,
    context: Any,
    folder: Storage,
    extraction: Extraction,
    narrator: Narrator,
    watch: LossWatch,
) -> Reduction:
    """Fit the PCA on all features, save the model and write the projections.

    Raises InputError where too few pictures have features, SparkError.
    """
    settings, tasks = request.settings, len(extraction.results)
    check_enough(extraction.features, settings.components)
    with narrator.phase("pca_fit", "Fitting the PCA") as fitting:
        model = fit(sum_moments(context, folder, tasks, watch.look), settings.components, settings.variance)
        spark_ml.save(model, folder, context.version)
        width, explained = model.components.shape[1], model.explained_variance_ratio.sum()
        fitting.text = f"PCA: {width} components explain {explained:.2%} of the variance"
    with narrator.phase("projection", "Projecting the features") as projecting:
        kind = csv_kind(request.options.csv, extraction.features)
        parts = project_features(context, folder, model, tasks, watch.look, with_csv=kind == CSV_PARTS)
    return Reduction(model, tuple(parts), kind, fitting.seconds, projecting.seconds)


def csv_phase(folder: Storage, reduction: Reduction, attempt: int, narrator: Narrator) -> float | None:
    """Write pca.csv where that is wanted; returns the seconds."""
    if attempt > 1:
        delete_csv(folder, reduction.csv)
    if reduction.csv != CSV_ONE:
        return None
    with narrator.phase("csv", "Writing pca.csv") as phase:
        write_csv(folder, len(reduction.parts), reduction.model.components.shape[1])
    return phase.seconds
