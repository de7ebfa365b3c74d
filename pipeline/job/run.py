"""One run, from the list of pictures to run.json. What can refuse does so before Spark has begun; features are kept."""

from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime

from pipeline.errors import TooManyBadPicturesError
from pipeline.features import advice
from pipeline.job.extract import FeatureJob
from pipeline.job.phases import (
    Extraction,
    Listing,
    csv_phase,
    feature_phase,
    java_phase,
    list_phase,
    loss_watch,
    network_phase,
    processor_for,
    reduction_phases,
    spark_phase,
    stored_phase,
)
from pipeline.job.recording import Attempt, Phases, build_record, closed, part_records
from pipeline.job.request import RunRequest, complete_record, open_run_folder, stored_list
from pipeline.job.session import check_master
from pipeline.pictures.opening import open_pictures
from pipeline.progress import Narrator
from pipeline.run_folder.attempts import count_attempt
from pipeline.run_folder.inputs import StoredList
from pipeline.run_folder.layout import ERRORS_KEY
from pipeline.run_folder.part_records import write_parts
from pipeline.run_folder.record import RunRecord
from pipeline.run_folder.report import write_report
from pipeline.run_folder.thumbnails import Shown
from pipeline.storage.base import Pictures, Storage, join


def run(request: RunRequest, narrator: Narrator) -> RunRecord:
    """Do the run, or what is left of it. Raises the errors of `pipeline.errors`."""
    began_at = datetime.now(UTC)
    check_master(request.master, {"--images": request.settings.images, "--output": request.output})
    images, folder = open_pictures(request.settings.images), open_run_folder(request)
    stored = stored_list(request, folder) if request.options.resume else None
    if stored is not None:
        request = _going_on(request, stored, narrator)
    if stored is not None and (complete := complete_record(folder)):
        narrator.say(f"Run {request.run_id} is complete already; nothing is left to do.")
        return complete
    attempt = Attempt(1 if stored is None else count_attempt(folder), began_at)
    with ExitStack() as stack:
        jvm = java_phase(request, stack, narrator)
        with ExitStack() as until_stored:
            listing = list_phase(request, images, stored, until_stored, narrator)
            preparation = network_phase(request, narrator)
            session = spark_phase(request, jvm, stack, narrator)
            processor = processor_for(request, session)
            inputs = stored_phase(request, folder, listing, session, processor)
        _advise(request, images, listing, inputs, narrator)
        options = request.options
        job = FeatureJob(
            images,
            folder,
            preparation.network,
            options.resume,
            options.fetches,
            processor,
            inputs.witnesses,
            request.settings.decode,
            request.settings.orientation,
            Shown.of(inputs.rows, len(inputs.tasks)),
        )
        watch = loss_watch(session.context, inputs, narrator)
        extraction = feature_phase(session.context, job, inputs, narrator, watch)
        if _has_too_many_bad(request, extraction):
            phases = Phases(listing, preparation, session, extraction, losses=watch.losses())
            write_parts(folder, part_records(extraction, None))
            closed(build_record(request, attempt, phases), request, phases).write(folder)
            raise _too_many_bad(request, extraction, folder)
        reduction = reduction_phases(request, session.context, folder, extraction, narrator, watch)
        losses = watch.losses()
    csv_seconds = csv_phase(folder, reduction, attempt.number, narrator)
    phases = Phases(listing, preparation, session, extraction, reduction, csv_seconds, losses)
    return _conclude(request, attempt, phases, folder, narrator)


def _advise(request: RunRequest, images: Pictures, listing: Listing, inputs: StoredList, narrator: Narrator) -> None:
    """Say what a new run could be asked otherwise."""
    if listing.pictures is None:
        return
    mean_bytes = listing.pictures.bytes / inputs.rows
    if sentence := advice.of_decoding(images, request.settings, inputs.witnesses, mean_bytes):
        narrator.say(sentence)


def _going_on(request: RunRequest, stored: StoredList, narrator: Narrator) -> RunRequest:
    settings = request.settings.going_on(stored.settings)
    if settings != request.settings:
        narrator.say(f"Run {request.run_id} was begun by an earlier version: its photos are taken as they are stored.")
    return replace(request, settings=settings)


def _has_too_many_bad(request: RunRequest, extraction: Extraction) -> bool:
    return extraction.listed - extraction.features > request.options.max_bad * extraction.listed


def _too_many_bad(request: RunRequest, extraction: Extraction, folder: Storage) -> TooManyBadPicturesError:
    leading = ", ".join(f"{count:,} {reason}" for reason, count in list(extraction.error_reasons.items())[:3])
    return TooManyBadPicturesError(
        f"{extraction.listed - extraction.features:,} of {extraction.listed:,} pictures could not be read ({leading}), "
        f"more than --max-bad {request.options.max_bad:g} allows; "
        f"see {join(folder.uri, ERRORS_KEY)}, then resume the run with a higher --max-bad, or mend the pictures and "
        "begin another."
    )


def _conclude(request: RunRequest, attempt: Attempt, phases: Phases, folder: Storage, narrator: Narrator) -> RunRecord:
    """Write parts.parquet, the report where one is wanted, and run.json last of all."""
    write_parts(folder, part_records(phases.extraction, phases.reduction))
    record, report_seconds = build_record(request, attempt, phases), None
    if request.options.report:
        with narrator.phase("report", "Writing report.html") as phase:
            write_report(folder, record)
        report_seconds = phase.seconds
    record = closed(record, request, phases, report_seconds)
    record.write(folder)
    return record
