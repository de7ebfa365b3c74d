"""pipeline.job.extract on S3: what becomes an error row there."""

from pathlib import Path

from pipeline.job.extract import FeatureJob, FeatureTask, extract
from pipeline.network.keras_model import prepare_network
from pipeline.network.weights import find_weights
from pipeline.run_folder.parts import read_features
from pipeline.storage.local import LocalStorage
from pipeline.storage.s3 import S3Storage
from tests.doubles.s3.faulty import Fault, FaultyS3
from tests.pictures import encoded


def test_an_object_that_vanished_or_is_forbidden_becomes_an_error_row(
    pictures: S3Storage, faulty_s3: FaultyS3, tmp_path: Path
) -> None:
    for number in range(3):
        pictures.write(f"{number}.jpg", encoded())
    network = prepare_network(find_weights("random"), "openvino", "f32", 32)
    job = FeatureJob(pictures, LocalStorage.at(str(tmp_path)), network, resume=False)
    task = FeatureTask(3, ["0.jpg", "1.jpg", "gone.jpg", "2.jpg"], ["fruit"] * 4, [1] * 4)
    denied = Fault("status", key="1.jpg", status=403, code="AccessDenied", times=9)
    with faulty_s3.spoiling(denied, Fault("status", key="2.jpg")):
        result = extract(job, task)
    assert [(error.path, error.reason, error.detail) for error in result.errors] == [
        ("1.jpg", "unreadable", "access denied by the bucket"),
        ("gone.jpg", "vanished", "listed, but no longer there"),
    ]
    assert read_features(job.run, 3).table["path"].to_pylist() == ["0.jpg", "2.jpg"]
    assert result.retries == 1
