"""What proves a cluster at the end of `make up`: the hosts' own program, on workers of this one host."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Need
from tests.doubles.s3.server import S3Server
from tests.job import own_spark

PROGRAM = Path(__file__).resolve().parents[2] / "ansible" / "roles" / "spark" / "files" / "verify.py"


@pytest.fixture
def environment(s3_server: S3Server, need: Need, tmp_path: Path) -> dict[str, str]:
    return own_spark.environment(tmp_path, s3_server, need, **{"spark.master": "local-cluster[2,1,1024]"})


def verify(environment: dict[str, str], workers: int, bucket: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, PROGRAM, str(workers), f"s3a://{bucket}/orchard-verification"]
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_a_worker_writes_and_reads_and_nothing_is_left(environment: dict[str, str], s3_server: S3Server) -> None:
    with s3_server.bucket() as bucket:
        done = verify(environment, 1, bucket)
        assert done.stdout.splitlines() == ["1 of 1 workers wrote and read s3a://"], done.stderr
        assert "Contents" not in s3_server.client().list_objects_v2(Bucket=bucket)
        assert "Uploads" not in s3_server.client().list_multipart_uploads(Bucket=bucket)


def test_two_workers_on_one_host_are_not_two_hosts(environment: dict[str, str], s3_server: S3Server) -> None:
    with s3_server.bucket() as bucket:
        done = verify(environment, 2, bucket)
        assert done.returncode == 1
        sentence = "Only 1 of 2 workers ran a task: see `journalctl -u spark-worker` on the others."
        assert done.stderr.splitlines()[-1] == sentence, done.stderr
        assert "Contents" not in s3_server.client().list_objects_v2(Bucket=bucket)


def test_a_bucket_that_is_not_there_is_one_sentence(environment: dict[str, str]) -> None:
    done = verify(environment, 1, "there-is-none")
    assert done.returncode == 1
    sentence = done.stderr.splitlines()[-1]
    assert sentence.startswith("The workers do not write and read s3a://there-is-none/orchard-verification (")
    assert "bucket does not exist" in sentence
