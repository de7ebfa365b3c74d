"""What a page is about: the cluster, or its bucket alone; and which run."""

from collections.abc import Callable
from typing import Any

import pytest

from scripts.aws import clients
from scripts.aws.bucket import Bucket, inputs_key, record_key
from scripts.cluster import Cluster
from scripts.errors import InputError, NoClusterError
from scripts.handin.subject import run_of, subject
from scripts.kept import place
from tests.unit.scripts.handin.conftest import BUCKET, RUN, TAGS


def test_a_cluster_that_is_up_is_told_by_terraform(cluster: Cluster, bucket: Bucket) -> None:
    assert (subject().cluster, subject().bucket) == (cluster, bucket)


def test_once_it_is_down_its_bucket_is_found_by_its_tags(bucket: Bucket, down: None) -> None:
    found = subject()
    assert (found.name, found.bucket.name, found.cluster) == ("fruits", BUCKET, None)


def test_where_nothing_is_left_the_next_step_is_named(aws: Callable[[str], Any], down: None) -> None:
    with pytest.raises(
        NoClusterError, match=r"^There is no cluster fruits and no bucket of it in eu-west-1: run `make up`\.$"
    ):
        subject()


def test_of_buckets_in_two_regions_the_one_of_the_settings_is_taken(
    request: pytest.FixtureRequest, aws: Callable[[str], Any], down: None
) -> None:
    # The other comes first in the list.
    other, there = "orchard-fruits-1-ap-south-1", {"LocationConstraint": "ap-south-1"}
    clients.client("s3", "ap-south-1").create_bucket(Bucket=other, CreateBucketConfiguration=there)
    aws("s3").put_bucket_tagging(Bucket=other, Tagging={"TagSet": TAGS})
    bucket = request.getfixturevalue("bucket")
    assert subject().bucket == bucket
    assert place.bucket(None) == bucket


def test_without_a_name_the_run_is_the_one_that_ended_last(bucket: Bucket) -> None:
    assert run_of(bucket, "").run_id == RUN


def test_a_run_that_is_not_there_or_has_no_record_is_named(bucket: Bucket) -> None:
    with pytest.raises(NoClusterError, match=rf"^There is no run none in s3://{BUCKET}/runs: `make runs` lists"):
        run_of(bucket, "none")
    bucket.write_json(inputs_key("begun"), {})
    bucket.write_json(inputs_key("forged"), {})
    bucket.write_json(record_key("forged"), {"status": "complete"})
    for run_id in ("begun", "forged"):
        with pytest.raises(InputError, match=rf"^Run {run_id} has no record yet: "):
            run_of(bucket, run_id)


@pytest.mark.parametrize("run_id", ["..", "a/b", "-x", "x\x1b[2J"])
def test_a_name_that_is_no_runs_is_refused(bucket: Bucket, run_id: str) -> None:
    with pytest.raises(InputError, match="may hold letters, digits"):
        run_of(bucket, run_id)
