"""pipeline.job.extract on S3: what becomes an error row there."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import StorageError, UnreachableError
from pipeline.job.extract import FeatureJob, FeatureTask, extract
from pipeline.network.keras_model import FEATURES
from pipeline.run_folder.parts import read_features
from pipeline.storage.local import LocalStorage
from pipeline.storage.s3 import S3Storage
from tests.doubles.s3.faulty import Fault, FaultyS3
from tests.pictures import encoded
from tests.unit.pipeline.without_spark import made_network


@pytest.fixture
def job(pictures: S3Storage, tmp_path: Path) -> FeatureJob:
    """A job over three pictures, `0.jpg` to `2.jpg`."""
    for number in range(3):
        pictures.write(f"{number}.jpg", encoded())
    network = made_network(FEATURES, tmp_path)
    return FeatureJob(pictures, LocalStorage.at(str(tmp_path / "run")), network, resume=False)


def task_of(*names: str) -> FeatureTask:
    return FeatureTask(3, list(names), ["fruit"] * len(names), [1] * len(names))


def refused(key: str, code: str, status: int = 403) -> Fault:
    return Fault("status", key=key, status=status, code=code, times=99)


def test_an_object_that_vanished_or_is_forbidden_becomes_an_error_row(job: FeatureJob, faulty_s3: FaultyS3) -> None:
    with faulty_s3.spoiling(refused("1.jpg", "AccessDenied"), Fault("status", key="2.jpg")):
        result = extract(job, task_of("0.jpg", "1.jpg", "gone.jpg", "2.jpg"))
    assert [(error.path, error.reason, error.detail) for error in read_features(job.run, 3).errors] == [
        ("1.jpg", "unreadable", "access denied by the bucket"),
        ("gone.jpg", "vanished", "listed, but no longer there"),
    ]
    assert read_features(job.run, 3).table["path"].to_pylist() == ["0.jpg", "2.jpg"]
    assert result.retries == 1


def test_an_archived_object_says_so_in_its_row(job: FeatureJob, faulty_s3: FaultyS3) -> None:
    with faulty_s3.spoiling(refused("1.jpg", "InvalidObjectState")):
        extract(job, task_of("0.jpg", "1.jpg"))
    assert [error.detail for error in read_features(job.run, 3).errors] == [
        "access denied by the bucket (InvalidObjectState)"
    ]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", key="1.jpg", times=99),
        Fault("reset", key="1.jpg", times=99),
        Fault("short", key="1.jpg", times=99),
        refused("1.jpg", "ExpiredToken", 400),
        refused("1.jpg", "AccountProblem"),
        refused("1.jpg", "Unauthorized", 401),
    ],
    ids=lambda fault: fault.code if fault.kind == "status" else fault.kind,
)
def test_a_failing_store_fails_the_task_for_one_picture_and_nothing_is_written(
    job: FeatureJob, faulty_s3: FaultyS3, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.storage.s3_errors.LONGEST_PAUSE_SECONDS", 0.01)
    with faulty_s3.spoiling(fault), pytest.raises(StorageError):
        extract(job, task_of("0.jpg", "1.jpg", "2.jpg"))
    assert not Path(job.run.uri).exists()


def test_a_bucket_that_refuses_all_pictures_fails_the_task(job: FeatureJob, faulty_s3: FaultyS3) -> None:
    with (
        faulty_s3.spoiling(refused(".jpg", "AccessDenied")),
        pytest.raises(StorageError, match=r"not one picture .* 3 were refused \(access denied by the bucket\)"),
    ):
        extract(job, task_of("0.jpg", "1.jpg", "2.jpg"))
    assert not Path(job.run.uri).exists()


def test_a_bucket_that_is_closed_in_the_middle_of_a_task_fails_it(job: FeatureJob, faulty_s3: FaultyS3) -> None:
    with (
        faulty_s3.spoiling(replace(refused(".jpg", "AccessDenied"), after=1)),
        pytest.raises(StorageError, match="pictures could be read there, and now none can"),
    ):
        extract(replace(job, fetches=1), task_of("0.jpg", "1.jpg", "2.jpg"))


def test_a_bucket_that_is_gone_fails_the_task(job: FeatureJob, faulty_s3: FaultyS3) -> None:
    with (
        faulty_s3.spoiling(refused(".jpg", "NoSuchBucket", 404)),
        pytest.raises(UnreachableError, match="no such bucket"),
    ):
        extract(job, task_of("0.jpg", "1.jpg"))
    assert not Path(job.run.uri).exists()
