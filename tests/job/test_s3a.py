"""People's own programs write s3a:// with the magic committer, by the locked jars and with a cluster's settings."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Need
from tests.doubles.s3.server import S3Server
from tests.job import own_spark

PROGRAM = Path(__file__).with_name("s3a_program.py")
PARTS = 4


@dataclass(frozen=True)
class Written:
    """What the program said, and the bucket it left."""

    said: dict[str, Any]
    keys: list[str]
    uploads: list[str]
    success: dict[str, Any]

    def parts(self, case: str) -> list[str]:
        return [key for key in self.keys if key.startswith(f"{case}/") and key.endswith(".parquet")]


@pytest.fixture(scope="module")
def written(s3_server: S3Server, need: Need, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    """All cases by one program: Spark starts once."""
    environment = own_spark.environment(tmp_path_factory.mktemp("s3a"), s3_server, need)
    with s3_server.bucket() as bucket:
        done = subprocess.run(
            [sys.executable, PROGRAM],
            env=environment | {"OWN_BUCKET": bucket},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-5000:]
        client = s3_server.client()
        keys = [found["Key"] for found in client.list_objects_v2(Bucket=bucket).get("Contents", [])]
        pending = client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        success = json.loads(client.get_object(Bucket=bucket, Key="well/_SUCCESS")["Body"].read())
        yield Written(json.loads(done.stdout), keys, [upload["Key"] for upload in pending], success)


def test_rows_are_read_back_once_by_the_committer_that_renames_nothing(written: Written) -> None:
    assert written.said["read"]["well"]
    assert len(written.parts("well")) == PARTS
    assert written.success["committer"] == "magic"


def test_a_task_that_fails_in_mid_write_is_done_again_and_its_rows_are_there_once(written: Written) -> None:
    assert written.said["read"]["retried"]
    assert len(written.parts("retried")) == PARTS


def test_so_is_one_whose_executor_is_gone(written: Written) -> None:
    assert written.said["read"]["died"]
    assert len(written.parts("died")) == PARTS


def test_an_overwrite_leaves_the_new_rows_only(written: Written) -> None:
    assert written.said["read"]["again"]
    assert len(written.parts("again")) == PARTS


def test_text_and_partitions_go_the_same_way(written: Written) -> None:
    assert written.said["read"]["text"]
    assert written.said["read"]["by"]


def test_a_job_that_is_given_up_leaves_an_empty_folder(written: Written) -> None:
    assert written.said["given_up"]
    # S3A's mark of a folder, of no bytes.
    assert [key for key in written.keys if key.startswith("given-up/")] == ["given-up/"]


def test_no_temporary_folder_and_no_upload_that_nobody_ends_is_left(written: Written) -> None:
    assert [key for key in written.keys if "_temporary" in key or "__magic" in key] == []
    assert written.uploads == []
