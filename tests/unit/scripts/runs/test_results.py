"""Whose results are meant: a run's, or a job's of the person's own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.aws.bucket import bucket_of
from scripts.errors import InputError
from scripts.runs import results
from tests.doubles.fake_hosts import cluster_of
from tests.unit.scripts.conftest import REGION


def test_a_job_that_is_asked_for_as_a_run_is_called_one(aws: Callable[[str], Any], tmp_path: Path) -> None:
    cluster = cluster_of()
    aws("s3").create_bucket(Bucket=cluster.bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    bucket_of(cluster).write_json("jobs/mine/job.json", {})
    with pytest.raises(InputError) as refused:
        results.fetch(cluster, "mine", str(tmp_path))
    assert str(refused.value) == "mine is a job of your own: `make results JOB=mine` fetches what it wrote."
