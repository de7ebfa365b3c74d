"""run.json made of what the phases returned, all at once when they have ended."""

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pipeline.errors import ExitCode
from pipeline.job.losses import Loss
from pipeline.job.phases import Extraction, Listing, Preparation, Reduction, Session
from pipeline.job.processors import by_name
from pipeline.job.request import RunRequest
from pipeline.run_folder.layout import FORMAT
from pipeline.run_folder.part_records import Part
from pipeline.run_folder.record import (
    COMPLETE,
    MOST_LOSSES,
    MOST_NAMED,
    MOST_OF_A_PROCESSOR,
    MOST_PROCESSORS,
    TOO_MANY_BAD,
    RunRecord,
    cpu_name,
    installed_versions,
)
from pipeline.settings import CSV_NONE
from pipeline.storage import retries


@dataclass(frozen=True)
class Attempt:
    """Which attempt at the run this is, the first being 1, and when it began."""

    number: int
    began_at: datetime


@dataclass(frozen=True)
class Phases:
    """What the phases of an attempt returned; None for those that too many bad pictures left undone."""

    listing: Listing
    preparation: Preparation
    session: Session
    extraction: Extraction
    reduction: Reduction | None = None
    csv_seconds: float | None = None
    losses: tuple[Loss, ...] = ()


def build_record(request: RunRequest, attempt: Attempt, phases: Phases) -> RunRecord:
    """The record of an attempt that has come to this point; `closed` adds what only its very end knows."""
    extraction, reduction = phases.extraction, phases.reduction
    listed, features, computed = extraction.listed, extraction.features, extraction.computed
    ratios = reduction.model.explained_variance_ratio.tolist() if reduction else []
    hosts, kills = sorted({result.host for result in computed}), extraction.oom_kills
    processors = by_name((result.processor, result.host) for result in computed)
    more = {
        "hosts": len(hosts) - MOST_NAMED,
        "losses": len(phases.losses) - MOST_LOSSES,
        "processors": len(processors) - MOST_PROCESSORS,
    }
    return RunRecord(
        run_id=request.run_id,
        status=COMPLETE if reduction else TOO_MANY_BAD,
        exit_status=ExitCode.FINE if reduction else ExitCode.TOO_MANY_BAD,
        settings=request.settings.as_json(),
        weights=request.weights.name,
        master=request.master,
        counts={
            "listed": listed,
            "features": features,
            "errors": listed - features,
            "kept": listed - sum(result.listed for result in computed),
        },
        error_reasons=extraction.error_reasons,
        components=len(ratios),
        explained_variance=sum(ratios),
        explained_variance_ratio=ratios,
        seconds=_seconds(request, phases),
        worker_seconds=_worker_seconds(extraction),
        images_per_second=extraction.images_per_second,
        worker_peak_bytes=max((result.peak_bytes for result in computed), default=0),
        attempts=attempt.number,
        started_at=attempt.began_at.isoformat(timespec="seconds"),
        ended_at=datetime.now(UTC).isoformat(timespec="seconds"),
        hosts=hosts[:MOST_NAMED],
        processors={name: on[:MOST_OF_A_PROCESSOR] for name, on in list(processors.items())[:MOST_PROCESSORS]},
        out_of_memory=dict(list(kills.items())[:MOST_NAMED]),
        losses=[loss.as_json() for loss in phases.losses[:MOST_LOSSES]],
        cpu=cpu_name(),
        cores=phases.session.cores,
        fetches=request.options.fetches,
        versions=installed_versions(),
        notes=list(request.notes),
        format=FORMAT,
        tasks=len(extraction.results),
        csv=reduction.csv if reduction else CSV_NONE,
        more={name: count for name, count in more.items() if count > 0},
    )


def closed(record: RunRecord, request: RunRequest, phases: Phases, report_seconds: float | None = None) -> RunRecord:
    """The record with what is known when nothing is left to do: all seconds, and requests that were tried again."""
    seconds = dict(record.seconds)
    if report_seconds is not None:
        seconds["report"] = report_seconds
    seconds["total"] = time.time() - request.process_started_at
    tried_again = sum(result.retries for result in phases.extraction.results) + retries.count()
    return replace(record, seconds=seconds, retries=tried_again)


def _seconds(request: RunRequest, phases: Phases) -> dict[str, float]:
    began = request.process_started_at
    first = min((result.first_picture_at for result in phases.extraction.computed), default=began)
    seconds = {
        "list": phases.listing.seconds,
        "network": phases.preparation.seconds,
        "spark": phases.session.seconds,
        "features": phases.extraction.seconds,
        "before_first_picture": first - began,
    }
    if phases.reduction:
        seconds |= {"pca_fit": phases.reduction.fit_seconds, "projection": phases.reduction.projection_seconds}
    return seconds | ({} if phases.csv_seconds is None else {"csv": phases.csv_seconds})


def _worker_seconds(extraction: Extraction) -> dict[str, float]:
    names = sorted({name for result in extraction.computed for name in result.seconds})
    return {name: sum(result.seconds[name] for result in extraction.computed) for name in names}


def part_records(extraction: Extraction, reduction: Reduction | None) -> list[Part]:
    """What parts.parquet says of each task."""
    parts = [
        Part(result.number, result.features, result.errors, result.sha256, result.bytes)
        for result in extraction.results
    ]
    if reduction is None:
        return parts
    pairs = zip(parts, reduction.parts, strict=True)
    return [replace(part, pca=projected.sha256, pca_bytes=projected.bytes) for part, projected in pairs]
