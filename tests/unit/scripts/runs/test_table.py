"""The list of runs: what bucket and master say together."""

from collections.abc import Callable
from typing import Any

import pytest

from scripts.aws.bucket import bucket_of, record_key
from scripts.money.amounts import money
from scripts.runs import table as table_of_runs
from scripts.runs.own_job import JobRecord, OwnJob
from scripts.runs.progress import Progress
from scripts.runs.submission import Submission
from scripts.runs.systemd_unit import Unit
from scripts.runs.table import Row, job_row, read_records, row, table
from tests.doubles.fake_hosts import cluster_of
from tests.unit.scripts.conftest import REGION

SUBMISSION = Submission("r", "mini", ("--limit", "300"), "imagenet", "2026-01-01T00:00:00+00:00", 0.9, "USD")
RUNNING = Unit("r", True, None, 1000.0, None)
RECORD: dict[str, Any] = {
    "status": "complete",
    "counts": {"listed": 300, "features": 298, "errors": 2},
    "seconds": {"total": 40.0},
}


def ended(code: int) -> Unit:
    return Unit("r", False, code, 1000.0, 1060.0)


@pytest.mark.parametrize(
    ("amount", "words"), [(0, "0.00 USD"), (0.004, "less than 0.01 USD"), (1234.5, "1,234.50 USD")]
)
def test_money_is_given_in_cents(amount: float, words: str) -> None:
    assert money(amount, "USD") == words


@pytest.mark.parametrize(
    ("record", "known", "state"),
    [
        (None, RUNNING, "running"),
        (RECORD, ended(0), "complete"),
        (RECORD, None, "complete"),
        (RECORD | {"status": "too many bad pictures"}, ended(20), "too many bad pictures"),
        # A run that is resumed has the record of its last attempt until its end.
        (RECORD | {"status": "too many bad pictures"}, RUNNING, "running"),
        (None, ended(130), "stopped"),
        (None, ended(21), "failed (21)"),
        (None, None, "cut off"),
        # It ended well, and somebody has emptied its folder since.
        (None, ended(0), "deleted"),
    ],
)
def test_a_runs_state_is_what_bucket_and_master_say_together(
    record: dict[str, Any] | None, known: Unit | None, state: str
) -> None:
    assert row("r", SUBMISSION, record, known, None, 1040.0).state == state


def test_a_run_costs_its_time_at_the_price_it_was_begun_at() -> None:
    assert row("r", SUBMISSION, None, RUNNING, None, 1000.0 + 1800).cost == pytest.approx(0.45)
    assert row("r", SUBMISSION, RECORD, None, None, 0.0).cost == pytest.approx(0.9 * 40 / 3600)
    # Asked for once more when it was complete already: that took no time of its own.
    assert row("r", SUBMISSION, RECORD, Unit("r", False, 0, 1000.0, 1001.0), None, 1040.0).seconds == 40.0
    assert row("r", None, RECORD, None, None, 0.0).cost is None


def test_a_run_under_way_shows_how_far_it_is() -> None:
    progress = Progress("Features", 120, 300, "pictures", 30, "images/s", 6)
    shown = row("r", SUBMISSION, None, RUNNING, progress, 1040.0)
    assert (shown.done, shown.total, shown.bad) == (120, 300, None)


OWN = OwnJob("j", "my.py", ("5",), ("my.py",), (), "2026-01-01T00:00:00+00:00", 0.9, "USD")


@pytest.mark.parametrize(
    ("record", "known", "state", "seconds"),
    [
        (None, Unit("j", True, None, 1000.0, None), "running", 40.0),
        (JobRecord("out of memory", 137, 60.0), ended(137), "out of memory", 60.0),
        (JobRecord("complete", 0, 61.0), None, "complete", 61.0),
        (None, ended(9), "failed (9)", 60.0),
        (None, None, "cut off", None),
    ],
)
def test_a_job_of_the_person_s_own_has_its_program_in_a_size_s_place_and_no_pictures(
    record: JobRecord | None, known: Unit | None, state: str, seconds: float | None
) -> None:
    shown = job_row("j", OWN, record, known, 1040.0)
    assert (shown.state, shown.size, shown.seconds, shown.done) == (state, "my.py", seconds, None)
    assert shown.cost == (None if seconds is None else pytest.approx(0.9 * seconds / 3600))


def test_the_list_is_aligned_and_leaves_out_what_is_not_known() -> None:
    lines = table(
        [
            Row("20260101-120000", "complete", "full", 67_690, 67_692, 2, 830.0, 0.2, "USD"),
            Row("r", "cut off", "", None, None, None, None, None, ""),
        ]
    )
    assert lines == [
        "RUN              STATE     SIZE  PICTURES          UNREADABLE  TIME         COST",
        "20260101-120000  complete  full  67,690 of 67,692  2           13 min 50 s  0.20 USD",
        "r                cut off   -     -                 -           -            -",
    ]


def test_a_long_name_is_neither_cut_nor_wrapped_nor_taken_for_markup() -> None:
    name = "[red]" + "r" * 200
    [_, line] = table([Row(name, "complete", ":apple:", 1, 1, 0, 1.0, None, "")])
    assert line.startswith(f"{name}  complete  :apple:  1 of 1")


class OneRecord:
    """A bucket with one record."""

    def __init__(self, record: Any) -> None:
        self.record = record

    def read_many(self, keys: list[str]) -> list[Any]:
        return [self.record for _ in keys]


@pytest.mark.parametrize(
    "forged",
    [
        None, [], "x", 7, {}, {"status": "complete"},
        RECORD | {"ended_at": "2026-01-01T00:00:00+00:00", "seconds": {"total": float("inf")}},
        RECORD | {"ended_at": "2026-01-01T00:00:00+00:00", "seconds": {"total": float("nan")}},
        RECORD | {"ended_at": "2026-01-01T00:00:00+00:00", "seconds": [1]},
        RECORD | {"ended_at": "2026-01-01T00:00:00+00:00", "counts": {"listed": 1e400}},
        RECORD | {"ended_at": "soon"}, RECORD | {"ended_at": 7},
    ],
)  # fmt: skip
def test_a_record_that_somebody_forged_is_none(forged: Any) -> None:
    assert read_records(OneRecord(forged), ["r"]) == [None]


def test_of_a_cluster_that_has_stopped_the_bucket_alone_is_asked(
    aws: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = cluster_of()
    aws("s3").create_bucket(Bucket=cluster.bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    SUBMISSION.store(bucket_of(cluster))
    record = RECORD | {"ended_at": "2026-01-02T03:04:05+00:00"}
    bucket_of(cluster).write_json(record_key("r"), record)
    monkeypatch.setattr(table_of_runs, "Hosts", lambda _: pytest.fail("a host was asked"))
    OWN.store(bucket_of(cluster))
    bucket_of(cluster).write_json("jobs/j/record.json", {"state": "complete", "code": 0, "seconds": 60})
    bucket_of(cluster).write_json("jobs/\x1b[2J/record.json", {})
    own, listed = table_of_runs.every(cluster)
    assert (own.run_id, own.state, own.size) == ("j", "complete", "my.py")
    assert (listed.run_id, listed.state, listed.done) == ("r", "complete", 298)
    # The master, where it is up, knows of the job, too: it is listed once.
    monkeypatch.setattr(table_of_runs.readiness, "runs", lambda _: True)
    monkeypatch.setattr(table_of_runs, "_on_master", lambda _: ([Unit("j", True, None, 1000.0, None)], {}))
    assert [(found.run_id, found.state) for found in table_of_runs.every(cluster)] == [
        ("j", "running"),
        ("r", "complete"),
    ]
