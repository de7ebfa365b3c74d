"""One run, from the list of pictures to run.json. What can refuse does so before Spark starts; features are kept."""

import re
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.errors import InputError, TooManyBadPicturesError
from pipeline.job.extract import FETCHES, FeatureJob, TaskResult
from pipeline.job.session import check_master, spark_context
from pipeline.job.spark_jobs import extract_features, project_features, sum_moments
from pipeline.network.keras_model import prepare_network
from pipeline.network.weights import Weights
from pipeline.pca import spark_ml
from pipeline.pca.fit import PcaModel, check_enough, fit
from pipeline.pictures.listing import list_pictures, plan_tasks
from pipeline.pictures.opening import open_pictures
from pipeline.progress import Narrator
from pipeline.run_folder.outputs import read_inputs, write_csv, write_errors, write_inputs
from pipeline.run_folder.record import COMPLETE, TOO_MANY_BAD, RunRecord, cpu_name, installed_versions, read_record
from pipeline.run_folder.report import write_report
from pipeline.settings import RunSettings
from pipeline.storage import retries
from pipeline.storage.base import Storage, join
from pipeline.storage.opening import open_storage

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass
class RunRequest:
    """A run as the command line asks for it."""

    settings: RunSettings
    weights: Weights
    output: str
    run_id: str
    master: str
    resume: bool = False
    max_bad: float = 0.01
    fetches: int = FETCHES
    report: bool = True
    notes: list[str] = field(default_factory=list)
    process_started_at: float = field(default_factory=time.time)


def new_run_id() -> str:
    """A name that sorts by time."""
    return datetime.now(UTC).strftime("%Y%m%d-%H%M%S")


def run(request: RunRequest, narrator: Narrator) -> RunRecord:
    """Do the run, or what is left of it. Raises the errors of `pipeline.errors`."""
    started_at = datetime.now(UTC)
    settings = request.settings
    check_master(request.master, {"--images": settings.images, "--output": request.output})
    images, storage = open_pictures(settings.images), _open_run(request)
    if request.resume and (ended := _ended(storage)):
        narrator.say(f"Run {request.run_id} is complete already; nothing is left to do.")
        return ended
    stored = _stored_list(request, storage)
    with narrator.phase("list", "Listing the pictures") as said:
        pictures = stored or list_pictures(images, settings)
        said.append(f"Listed {pictures.num_rows:,} pictures in {len(pictures['label'].unique()):,} classes")
    check_enough(pictures.num_rows, settings.components)
    with narrator.phase("network", "Preparing the network"):
        network = prepare_network(request.weights, settings.engine, settings.precision, settings.image_size)
    with ExitStack() as stack:
        with narrator.phase("spark", "Starting Spark") as said:
            context = stack.enter_context(spark_context(request.master, f"orchard {request.run_id}"))
            said.append(f"Started Spark on {request.master} with {context.defaultParallelism} cores")
        if stored is None:
            pictures = plan_tasks(pictures, context.defaultParallelism)
            write_inputs(storage, pictures, settings)
        with narrator.pictures("features", "Features", pictures.num_rows) as report:
            job = FeatureJob(images, storage, network, request.resume, request.fetches)
            results = extract_features(context, job, pictures, report)
        record = _record(request, results, narrator.seconds, context.defaultParallelism)
        record.started_at = started_at.isoformat(timespec="seconds")
        record.error_reasons = write_errors(storage, [error for result in results for error in result.errors])
        _check_bad(request, record, storage)
        check_enough(record.counts["features"], settings.components)
        model = _reduce(context, settings, storage, record, narrator)
    with narrator.phase("csv", "Writing pca.csv"):
        write_csv(storage, len(results), model.components.shape[1])
    _end(request, record, storage, narrator)
    return record


def _open_run(request: RunRequest) -> Storage:
    if not _RUN_ID.fullmatch(request.run_id):
        raise InputError(f"The run id {request.run_id!r} may hold letters, digits, '.', '_' and '-' only.")
    storage = open_storage(join(request.output, request.run_id))
    there = next((True for batch in storage.list() if batch.num_rows), False) if _is_there(storage) else False
    if there and not request.resume:
        raise InputError(
            f"A run {request.run_id} exists in {request.output}; go on with it by --resume or choose another --run-id."
        )
    storage.check_writable()
    return storage


def _is_there(storage: Storage) -> bool:
    try:
        next(iter(storage.list()), None)
    except InputError:
        return False
    return True


def _ended(storage: Storage) -> RunRecord | None:
    try:
        record = read_record(storage)
    except FileNotFoundError:
        return None
    return record if record.status == COMPLETE else None


def _stored_list(request: RunRequest, storage: Storage) -> pa.Table | None:
    """The list of the run that is resumed: it never changes. None where the run is new."""
    if not request.resume:
        return None
    try:
        inputs, settings = read_inputs(storage)
    except FileNotFoundError:
        raise InputError(
            f"There is no run {request.run_id} in {request.output} to resume; leave out --resume to begin it."
        ) from None
    different = request.settings.differences(settings)
    if different:
        raise InputError(
            f"Run {request.run_id} was begun with other settings ({', '.join(different)}); "
            "resume it with the same ones or choose another --run-id."
        )
    return inputs


def _record(request: RunRequest, results: list[TaskResult], seconds: dict[str, float], cores: int) -> RunRecord:
    listed, errors = sum(result.listed for result in results), sum(len(result.errors) for result in results)
    computed = [result for result in results if not result.kept]
    pictures = sum(result.listed for result in computed)
    spent = sorted({name for result in computed for name in result.seconds})
    first = min((result.first_picture_at for result in computed), default=request.process_started_at)
    last = max((result.ended_at for result in computed), default=first)
    # Shared on purpose: the phases that are still to come appear in the record, too.
    seconds["before_first_picture"] = first - request.process_started_at
    return RunRecord(
        run_id=request.run_id,
        status=COMPLETE,
        exit_status=0,
        settings=request.settings.as_json(),
        weights=request.weights.name,
        master=request.master,
        counts={"listed": listed, "features": listed - errors, "errors": errors, "kept": listed - pictures},
        seconds=seconds,
        worker_seconds={name: sum(result.seconds[name] for result in computed) for name in spent},
        images_per_second=pictures / max(last - first, 1e-9),
        worker_peak_bytes=max((result.peak_bytes for result in computed), default=0),
        retries=sum(result.retries for result in computed),
        hosts=sorted({result.host for result in computed}),
        cpu=cpu_name(),
        cores=cores,
        fetches=request.fetches,
        versions=installed_versions(),
        notes=request.notes,
        parts=[
            {"task": result.number, "rows": result.features, "errors": len(result.errors), "features": result.sha256}
            for result in results
        ],
    )


def _check_bad(request: RunRequest, record: RunRecord, storage: Storage) -> None:
    bad, listed = record.counts["errors"], record.counts["listed"]
    if bad <= request.max_bad * listed:
        return
    leading = ", ".join(f"{count:,} {reason}" for reason, count in list(record.error_reasons.items())[:3])
    error = TooManyBadPicturesError(
        f"{bad:,} of {listed:,} pictures could not be read ({leading}), "
        f"more than --max-bad {request.max_bad:g} allows; "
        f"see {join(storage.uri, 'errors.parquet')}, then resume the run with a higher --max-bad or mend the pictures."
    )
    record.status, record.exit_status = TOO_MANY_BAD, error.exit_code
    record.ended_at = datetime.now(UTC).isoformat(timespec="seconds")
    record.write(storage)
    raise error


def _reduce(context: Any, settings: RunSettings, storage: Storage, record: RunRecord, narrator: Narrator) -> PcaModel:
    with narrator.phase("pca_fit", "Fitting the PCA") as said:
        model = fit(sum_moments(context, storage, len(record.parts)), settings.components, settings.variance)
        spark_ml.save(model, storage, context.version)
        record.components = model.components.shape[1]
        record.explained_variance_ratio = model.explained_variance_ratio.tolist()
        record.explained_variance = float(np.sum(model.explained_variance_ratio))
        said.append(f"PCA: {record.components} components explain {record.explained_variance:.2%} of the variance")
    with narrator.phase("projection", "Projecting the features"):
        for part, checksum in zip(
            record.parts, project_features(context, storage, model, len(record.parts)), strict=True
        ):
            part["pca"] = checksum
    return model


def _end(request: RunRequest, record: RunRecord, storage: Storage, narrator: Narrator) -> None:
    record.ended_at = datetime.now(UTC).isoformat(timespec="seconds")
    if request.report:
        with narrator.phase("report", "Writing report.html"):
            write_report(storage, record)
    record.retries += retries.count()
    record.seconds["total"] = time.time() - request.process_started_at
    record.write(storage)
