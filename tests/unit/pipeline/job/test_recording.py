"""pipeline.job.recording: run.json from what the phases returned."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from pipeline.job.extract import TaskResult
from pipeline.job.losses import Loss
from pipeline.job.phases import Extraction, Listing, Preparation, Reduction, Session
from pipeline.job.recording import Attempt, Phases, build_record, closed, part_records
from pipeline.job.request import RunRequest
from pipeline.job.spark_jobs import Projected
from pipeline.network.keras_model import Network
from pipeline.network.weights import find_weights
from pipeline.pca.fit import PcaModel
from pipeline.run_folder.part_records import Part
from pipeline.run_folder.record import MOST_NAMED, read_record
from pipeline.settings import RunOptions, RunSettings
from pipeline.storage.local import LocalStorage

REQUEST = RunRequest(
    settings=RunSettings("/pictures", "f00", components=2),
    options=RunOptions(fetches=8),
    weights=find_weights("random"),
    output="/runs",
    run_id="mine",
    master="local[2]",
    process_started_at=1000.0,
    notes=("a note",),
)
ATTEMPT = Attempt(2, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
KEPT = TaskResult(0, 500, {"truncated": 1}, "s0", 50, kept=True)
COMPUTED = TaskResult(
    1, 300, {"empty": 2}, "s1", 30, first_picture_at=1004.5, ended_at=1007.0,
    seconds={"network": 2.0, "wait": 0.5}, peak_bytes=7, host="worker-1", processor="Xeon", oom_kills=(2, 3), retries=3,
)  # fmt: skip
MODEL = PcaModel(np.zeros(4), np.zeros((4, 2)), np.array([0.5, 0.25]))
PHASES = Phases(
    Listing(None, None, 1.0),
    Preparation(Network("openvino", "f32", 224), 2.0),
    Session(None, 4, 3.0),
    Extraction((KEPT, COMPUTED), 60.0),
    Reduction(MODEL, (Projected("p0", 5), Projected("p1", 3)), "one", 5.0, 6.0),
    7.0,
)


def test_pictures_a_second_are_those_of_this_attempt_by_the_phase_s_wall_clock() -> None:
    """A phase that waited a minute for lost workers had five pictures a second, whatever its tasks say."""
    assert build_record(REQUEST, ATTEMPT, PHASES).images_per_second == 5.0
    kept_alone = replace(PHASES, extraction=Extraction((KEPT,), 0.1), reduction=None)
    assert build_record(REQUEST, ATTEMPT, kept_alone).images_per_second == 0.0


def test_counts_reasons_and_parts_are_those_of_every_task() -> None:
    record = build_record(REQUEST, ATTEMPT, PHASES)
    assert (record.status, record.exit_status) == ("complete", 0)
    assert record.counts == {"listed": 800, "features": 797, "errors": 3, "kept": 500}
    assert list(record.error_reasons.items()) == [("empty", 2), ("truncated", 1)]
    assert (record.format, record.tasks, record.csv, record.parts) == (2, 2, "one", [])
    assert part_records(PHASES.extraction, PHASES.reduction) == [
        Part(0, 499, 1, "s0", 50, "p0", 5),
        Part(1, 298, 2, "s1", 30, "p1", 3),
    ]
    assert (record.components, record.explained_variance) == (2, 0.75)
    assert (record.attempts, record.started_at) == (2, "2026-01-02T03:04:05+00:00")
    assert (record.processors, record.out_of_memory) == ({"Xeon": ["worker-1"]}, {"worker-1": 1})
    assert (record.hosts, record.cores, record.fetches, record.notes) == (["worker-1"], 4, 8, ["a note"])


def test_every_phase_has_its_seconds_in_their_order() -> None:
    record = closed(build_record(REQUEST, ATTEMPT, PHASES), REQUEST, PHASES, report_seconds=8.0)
    total = record.seconds.pop("total")
    assert total > 1000
    assert list(record.seconds.items()) == [
        ("list", 1.0), ("network", 2.0), ("spark", 3.0), ("features", 60.0), ("before_first_picture", 4.5),
        ("pca_fit", 5.0), ("projection", 6.0), ("csv", 7.0), ("report", 8.0),
    ]  # fmt: skip
    assert record.worker_seconds == {"network": 2.0, "wait": 0.5}


def test_requests_that_were_tried_again_are_the_tasks_and_the_driver_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.storage.retries.count", lambda: 4)
    assert closed(build_record(REQUEST, ATTEMPT, PHASES), REQUEST, PHASES).retries == 7


def test_too_many_bad_pictures_leave_a_record_without_what_was_not_done(tmp_path: Path) -> None:
    undone = replace(PHASES, reduction=None, csv_seconds=None)
    folder = LocalStorage.at(str(tmp_path))
    closed(build_record(REQUEST, ATTEMPT, undone), REQUEST, undone).write(folder)
    record = read_record(folder)
    assert (record.status, record.exit_status) == ("too many bad pictures", 20)
    assert part_records(undone.extraction, None)[0] == Part(0, 499, 1, "s0", 50)
    assert record.csv == "none"
    assert record.components == 0
    assert set(record.seconds) == {"list", "network", "spark", "features", "before_first_picture", "total"}


def test_a_record_of_before_attempts_were_counted_and_processors_told_apart_can_be_read(tmp_path: Path) -> None:
    folder = LocalStorage.at(str(tmp_path))
    build_record(REQUEST, ATTEMPT, PHASES).write(folder)
    content = json.loads((tmp_path / "run.json").read_text())
    for later in ("attempts", "processors", "out_of_memory"):
        del content[later]
    (tmp_path / "run.json").write_text(json.dumps(content))
    assert read_record(folder).attempts == 1


def test_a_record_is_small_however_large_the_run_was(tmp_path: Path) -> None:
    results = tuple(
        TaskResult(
            task, 5000, {"not an image": 5}, "0" * 64, 10**7, first_picture_at=1.0, ended_at=2.0,
            seconds={"network": 1.0}, host=f"ip-10-77-{task % 2000:04d}.eu-west-3.compute.internal",
            processor=f"AMD EPYC 9R{task % 9} Processor", oom_kills=(task, task + 1),
        )
        for task in range(20_000)
    )  # fmt: skip
    losses = tuple(Loss(f"worker-{number}", 1.0, "silent", "x" * 200, 5000) for number in range(2000))
    model = PcaModel(np.zeros(1280), np.zeros((1280, 1280)), np.random.default_rng(1).random(1280))
    reduction = Reduction(model, (Projected("0" * 64, 10**6),) * len(results), "parts", 5.0, 6.0)
    phases = replace(PHASES, extraction=Extraction(results, 60.0), reduction=reduction, losses=losses)
    closed(build_record(REQUEST, ATTEMPT, phases), REQUEST, phases).write(LocalStorage.at(str(tmp_path)))
    assert (tmp_path / "run.json").stat().st_size < 100_000
    record = read_record(LocalStorage.at(str(tmp_path)))
    assert (len(record.hosts), record.more["hosts"], record.more["losses"]) == (MOST_NAMED, 2000 - MOST_NAMED, 1975)
