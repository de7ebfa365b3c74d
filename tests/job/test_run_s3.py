"""The whole job from S3 to S3: the same as on a disk, through a busy server, and after a SIGKILL."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.run_folder.parts import vectors_of
from tests.doubles.faulty_s3 import Fault, FaultyS3
from tests.doubles.s3_server import S3Server
from tests.job.conftest import Ended, FinishedRun, Orchard, begin, kill

BUSY = 40


@dataclass(frozen=True)
class Bucket:
    """A bucket behind a proxy, with the mixed pictures under `pictures`; `environment` leads a command there."""

    uri: str
    name: str
    proxy: FaultyS3
    environment: dict[str, str]


@pytest.fixture(scope="module")
def bucket(s3_server: S3Server, mixed_pictures: Path, orchard: Orchard) -> Iterator[Bucket]:
    """The pictures uploaded by the command line."""
    with FaultyS3(s3_server) as proxy, s3_server.bucket() as name:
        made = Bucket(f"s3://{name}", name, proxy, proxy.environment())
        ended = orchard("upload", mixed_pictures, f"{made.uri}/pictures", **made.environment)
        assert ended.code == 0, ended.err
        yield made


def words(bucket: Bucket, images: str, run_id: str, weights: Path, *more: object) -> tuple[object, ...]:
    return (
        "run", "--images", f"{bucket.uri}/{images}", "--output", f"{bucket.uri}/runs", "--run-id", run_id,
        "--weights", weights, "--max-bad", "0.05", "--components", "50", *more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def run_on_s3(bucket: Bucket, imagenet_weights: Path, orchard: Orchard, tmp_path_factory: Any) -> Path:
    """A run from S3 to S3 while the server was busy now and then, downloaded."""
    busy = [
        Fault("status", key="pictures/", times=BUSY // 2),
        Fault("status", key="pictures/", times=BUSY // 4, status=500, code="InternalError"),
        Fault("reset", key="pictures/", times=BUSY // 8),
        Fault("half", operation="PUT", key="/features/part-", times=BUSY // 8),
    ]
    with bucket.proxy.spoiling(*busy):
        ended = orchard(*words(bucket, "pictures", "whole", imagenet_weights), **bucket.environment)
    assert ended.code == 0, ended.err
    assert [fault.applied for fault in busy] == [fault.times for fault in busy]
    assert ended.out.splitlines()[-1] == f"Report: {bucket.uri}/runs/whole/report.html"
    return fetched(bucket, "whole", orchard, tmp_path_factory.mktemp("from-s3"))


def fetched(bucket: Bucket, run_id: str, orchard: Orchard, folder: Path) -> Path:
    ended = orchard("download", f"{bucket.uri}/runs/{run_id}", folder, **bucket.environment)
    assert ended.code == 0, ended.err
    return folder


def record(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return content


def assert_same_rows(folder: Path, local: Path) -> None:
    """Features bit by bit, errors, and projections but for the order in which sums were taken."""
    assert pq.read_table(folder / "features").equals(pq.read_table(local / "features"))
    assert pq.read_table(folder / "errors.parquet").equals(pq.read_table(local / "errors.parquet"))
    ours, theirs = (pq.read_table(run / "pca") for run in (folder, local))
    assert ours.select(["path", "label"]).equals(theirs.select(["path", "label"]))
    assert np.abs(vectors_of(ours, "pca") - vectors_of(theirs, "pca")).max() < 1e-4
    assert len((folder / "pca.csv").read_text().splitlines()) == ours.num_rows + 1


def test_the_run_on_s3_equals_the_one_on_a_disk(run_on_s3: Path, finished_run: FinishedRun) -> None:
    assert_same_rows(run_on_s3, finished_run.folder)
    inputs = (pq.read_table(folder / "inputs.parquet") for folder in (run_on_s3, finished_run.folder))
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


def test_a_killed_run_over_packed_pictures_resumes_to_the_same_rows_and_bit_equal_features(
    bucket: Bucket, finished_run: FinishedRun, imagenet_weights: Path, orchard: Orchard, tmp_path: Path
) -> None:
    packed = orchard("pack", f"{bucket.uri}/pictures", f"{bucket.uri}/packed", **bucket.environment)
    assert packed.code == 0, packed.err
    run = words(bucket, "packed", "killed", imagenet_weights, "--no-report")
    process = begin(*run, **bucket.environment)
    deadline = time.monotonic() + 120
    while not bucket.proxy.count("PUT", "runs/killed/features/"):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "no part came"
        time.sleep(0.01)
    kill(process)
    bucket.proxy.seen.clear()
    ended = orchard(*run, "--resume", **bucket.environment)
    assert ended.code == 0, ended.err
    folder = fetched(bucket, "killed", orchard, tmp_path)
    assert_same_rows(folder, finished_run.folder)
    counts, parts = record(folder)["counts"], len(record(folder)["parts"])
    assert 0 < counts["kept"] < counts["listed"]
    assert 0 < bucket.proxy.count("PUT", "runs/killed/features/") < parts
    assert not bucket.proxy.count("GET", "pictures/"), "packed pictures are read from the shards alone"
