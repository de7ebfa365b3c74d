"""run.json made of what the phases returned, all at once when they have ended."""

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pipeline.errors import ExitCode
from pipeline.job.losses import Loss
from pipeline.job.phases import Extraction, Listing, Preparation, Reduction, Session
from pipeline.job.processors import by_name
from pipeline.job.request import RunRequest
from pipeline.run_folder.record import COMPLETE, TOO_MANY_BAD, RunRecord, cpu_name, installed_versions
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
        hosts=sorted({result.host for result in computed}),
        processors=by_name((result.processor, result.host) for result in computed),
        out_of_memory=extraction.oom_kills,
        losses=[loss.as_json() for loss in phases.losses],
        cpu=cpu_name(),
        cores=phases.session.cores,
        fetches=request.options.fetches,
        versions=installed_versions(),
        notes=list(request.notes),
        parts=_parts(extraction, reduction),
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


def _parts(extraction: Extraction, reduction: Reduction | None) -> list[dict[str, Any]]:
    projected = [{"pca": checksum} for checksum in reduction.checksums] if reduction else [{}] * len(extraction.results)
    return [
        {"task": result.number, "rows": result.features, "errors": len(result.errors), "features": result.sha256, **pca}
        for result, pca in zip(extraction.results, projected, strict=True)
    ]
