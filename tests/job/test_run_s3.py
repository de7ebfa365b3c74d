"""The whole job from S3 to S3: the same as on a disk, through a busy server."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.doubles.s3.faulty import Fault
from tests.job.conftest import GOOD, SMALL, Bucket, Ended, FinishedRun, Orchard
from tests.job.run_folders import assert_same_rows, fetched, record

BUSY = 40


@pytest.fixture(scope="module")
def run_on_s3(bucket: Bucket, orchard: Orchard, tmp_path_factory: Any) -> Path:
    """A run from S3 to S3 while the server was busy now and then, downloaded."""
    busy = [
        Fault("status", key="pictures/", times=BUSY // 2),
        Fault("status", key="pictures/", times=BUSY // 4, status=500, code="InternalError"),
        Fault("reset", key="pictures/", times=BUSY // 8),
        Fault("half", operation="PUT", key="/features/part-", times=BUSY // 8),
    ]
    with bucket.proxy.spoiling(*busy):
        ended = orchard(
            "run", "--images", f"{bucket.uri}/pictures", "--output", f"{bucket.uri}/runs", "--run-id", "whole", *SMALL,
            **bucket.environment,
        )  # fmt: skip
    assert ended.code == 0, ended.err
    assert [fault.applied for fault in busy] == [fault.times for fault in busy]
    assert ended.out.splitlines()[-1] == f"Report: {bucket.uri}/runs/whole/report.html"
    return fetched(bucket, "whole", orchard, tmp_path_factory.mktemp("from-s3"))


def test_the_run_on_s3_equals_the_one_on_a_disk(run_on_s3: Path, finished_run: FinishedRun) -> None:
    assert_same_rows(run_on_s3, finished_run.folder)
    inputs = (pq.read_table(folder / "inputs") for folder in (run_on_s3, finished_run.folder))
    assert next(inputs).equals(next(inputs))
    assert record(run_on_s3)["counts"] == record(finished_run.folder)["counts"]


def test_every_request_that_was_tried_again_is_counted_in_run_json(run_on_s3: Path, finished_run: FinishedRun) -> None:
    assert record(run_on_s3)["retries"] == BUSY
    assert record(finished_run.folder)["retries"] == 0


def test_the_report_has_thumbnails_from_s3(run_on_s3: Path) -> None:
    assert "data:image/jpeg;base64," in (run_on_s3 / "report.html").read_text()


def test_check_reads_a_run_on_s3(run_on_s3: Path, bucket: Bucket, orchard: Orchard) -> None:
    uri = f"{bucket.uri}/runs/whole"
    assert orchard("check", uri, **bucket.environment) == Ended(0, f"{uri} is whole.\n", "")


def test_a_bucket_that_is_closed_ends_the_run_with_22_and_it_goes_on_where_it_is_opened(
    bucket: Bucket, orchard: Orchard, finished_run: FinishedRun, tmp_path: Path
) -> None:
    words = (
        "run", "--images", f"{bucket.uri}/pictures", "--output", f"{bucket.uri}/runs", "--run-id", "closed", *SMALL,
        "--no-report",
    )  # fmt: skip
    closed = Fault("status", key="pictures/", status=403, code="AccessDenied", after=GOOD // 2, times=9_999)
    with bucket.proxy.spoiling(closed):
        ended = orchard(*words, **bucket.environment)
    sentence = ended.err.splitlines()[-1]
    assert (ended.code, "Traceback" in ended.err) == (22, False), ended.err
    assert sentence.startswith(f"orchard: {bucket.uri}/pictures: ")
    assert sentence.endswith("; start the same command again later (a run goes on with --resume).")
    resumed = orchard(*words, "--resume", **bucket.environment)
    assert resumed.code == 0, resumed.err
    assert_same_rows(fetched(bucket, "closed", orchard, tmp_path), finished_run.folder)
