"""The cluster's bucket, as the operator's side reads and writes it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.aws.bucket import Bucket, inputs_key, record_key
from scripts.errors import AwsError, InputError
from tests.unit.scripts.conftest import REGION

Aws = Callable[[str], Any]


@pytest.fixture
def bucket(aws: Aws) -> Bucket:
    """An empty bucket."""
    aws("s3").create_bucket(Bucket="fruits", CreateBucketConfiguration={"LocationConstraint": REGION})
    return Bucket("fruits", REGION)


def test_runs_are_the_folders_below_runs(bucket: Bucket) -> None:
    for key in (record_key("b"), inputs_key("a"), "runs/a/features/part-0.parquet", "pictures/Apple/0.jpg"):
        bucket.write_json(key, {})
    assert bucket.run_ids() == ["a", "b"]
    assert bucket.keys("runs/a/") == ["runs/a/features/part-0.parquet", "runs/a/inputs.parquet"]


def test_a_record_that_is_not_there_is_none(bucket: Bucket) -> None:
    bucket.write_json(record_key("a"), {"status": "complete"})
    assert bucket.read_many([record_key("a"), record_key("b")]) == [{"status": "complete"}, None]


def test_a_bucket_that_is_not_there_is_an_error_of_aws(aws: Aws) -> None:
    with pytest.raises(AwsError, match=r"AWS would not list s3://no-such-bucket/runs \(NoSuchBucket: ") as failure:
        Bucket("no-such-bucket", REGION).run_ids()
    assert failure.value.code == 4


@pytest.mark.parametrize("content", [b"no json", b"[" * 100_000, b"\xff"])
def test_content_that_is_no_json_is_none(bucket: Bucket, aws: Aws, content: bytes) -> None:
    aws("s3").put_object(Bucket="fruits", Key=record_key("a"), Body=content)
    assert bucket.read_json(record_key("a")) is None


def test_a_folder_whose_name_is_no_runs_is_no_run(bucket: Bucket, aws: Aws) -> None:
    for name in ("a", "..", ".", "", "-rf", "x\x1b]0;", "a b", "r" * 101):
        aws("s3").put_object(Bucket="fruits", Key=f"runs/{name}/run.json", Body=b"{}")
    assert bucket.run_ids() == ["a"]


def test_the_same_weights_are_sent_once(bucket: Bucket, aws: Aws, tmp_path: Path) -> None:
    file = tmp_path / "w.h5"
    file.write_bytes(b"weights")
    uri = bucket.send_weights(file)
    [key] = bucket.keys("weights/")
    assert uri == f"s3://fruits/{key}"
    sent = aws("s3").head_object(Bucket="fruits", Key=key)["LastModified"]
    assert bucket.send_weights(file) == uri
    assert aws("s3").head_object(Bucket="fruits", Key=key)["LastModified"] == sent
    file.write_bytes(b"other weights")
    assert bucket.send_weights(file) != uri


def test_weights_that_cannot_be_read_are_refused(bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read \(No such file or directory\): give WEIGHTS=file.h5"):
        bucket.send_weights(tmp_path / "none.h5")
