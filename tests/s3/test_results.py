"""`make results` against a bucket whose writers mean ill: nothing is written but below its own folder."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from invoke.exceptions import Exit

from scripts.aws import clients
from scripts.cluster import Cluster
from scripts.errors import InputError, NoClusterError
from scripts.runs import results
from tests.doubles.aws.double import AwsDouble
from tests.doubles.fake_hosts import cluster_of

RECORD = {"status": "complete", "counts": {"listed": 1, "features": 1, "errors": 0}, "seconds": {"total": 1.0}}


@pytest.fixture
def cluster(moto_bucket: str, aws_double: AwsDouble) -> Iterator[Cluster]:
    """A cluster whose bucket keys can be anything in, as in S3."""
    clients.forget()
    yield replace(cluster_of(), bucket=moto_bucket, region=aws_double.region)
    clients.forget()


def put(aws: AwsDouble, cluster: Cluster, **objects: bytes) -> None:
    for key, data in objects.items():
        aws.client("s3").put_object(Bucket=cluster.bucket, Key=key, Body=data)


def record(ended_at: str) -> bytes:
    return json.dumps({**RECORD, "ended_at": ended_at}).encode()


def test_a_key_that_leads_elsewhere_is_named_and_the_rest_is_fetched(
    cluster: Cluster, aws_double: AwsDouble, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    hostile = ["../../out.txt", f"/{home}/.bashrc", "a/../../../up.txt", "b\\c", "x\x1b]0;owned\x07/.."]
    put(aws_double, cluster, **{f"runs/mine/{key}": b"evil" for key in hostile})
    put(aws_double, cluster, **{"runs/mine/run.json": record("2026-01-01T00:00:00+00:00"), "runs/mine/pca.csv": b"1"})
    put(aws_double, cluster, **{"runs/mine/features/part-00000.parquet": b"large"})
    with pytest.raises(Exit) as ended:
        results.fetch(cluster, "", str(tmp_path / "results"))
    assert ended.value.code == 1
    assert {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()} == {
        "results/mine/run.json",
        "results/mine/pca.csv",
    }
    printed = capfd.readouterr()
    assert f"Record           {tmp_path}/results/mine/run.json\n" in printed.out
    assert "5 of 7 objects were refused, for their names lead out of the folder ('../../out.txt', " in printed.err
    assert "\x1b" not in printed.out + printed.err


def test_a_link_in_the_persons_own_folder_is_not_followed(
    cluster: Cluster, aws_double: AwsDouble, tmp_path: Path
) -> None:
    put(aws_double, cluster, **{"runs/mine/run.json": record("2026-01-01T00:00:00+00:00"), "runs/mine/pca/a": b"x"})
    (tmp_path / "mine").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "mine" / "pca").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Exit):
        results.fetch(cluster, "mine", str(tmp_path))
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_record_cannot_make_its_run_the_newest_by_a_time_to_come_or_by_nonsense(
    cluster: Cluster, aws_double: AwsDouble
) -> None:
    ended = {
        "..": "2026-03-01T00:00:00+00:00",
        "future": "2999-01-01T00:00:00+00:00",
        "honest": "2026-01-01T00:00:00+00:00",
        "older": "2025-01-01T00:00:00+00:00",
        "words": "zzzz",
    }
    put(aws_double, cluster, **{f"runs/{run_id}/run.json": record(at) for run_id, at in ended.items()})
    put(aws_double, cluster, **{"runs/list/run.json": b"[]", "runs/broken/run.json": b"{"})
    assert results.newest(results.bucket_of(cluster)) == "honest"


@pytest.mark.parametrize("run_id", ["..", "../..", "a/b", "/etc", "-x", "x\x1b[2J"])
def test_a_name_that_is_no_runs_is_refused(cluster: Cluster, tmp_path: Path, run_id: str) -> None:
    with pytest.raises(InputError, match=r"may hold letters, digits, '\.', '_' and '-' only\.$"):
        results.fetch(cluster, run_id, str(tmp_path))


def test_of_a_job_of_ones_own_log_record_and_output_are_fetched_and_its_code_is_left(
    cluster: Cluster, aws_double: AwsDouble, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    kept = {
        "log.txt": b"said",
        "record.json": b"{}",
        "job.json": b"{}",
        "output/words/part-0.csv": b"1",
        "code.zip": b"z",
    }
    put(aws_double, cluster, **{f"jobs/mine/{key}": content for key, content in kept.items()})
    put(aws_double, cluster, **{"jobs/mine/output/../../../out.txt": b"evil"})
    with pytest.raises(Exit) as ended:
        results.fetch_job(cluster, "mine", str(tmp_path))
    assert ended.value.code == 1
    fetched = {str(file.relative_to(tmp_path / "mine")) for file in tmp_path.rglob("*") if file.is_file()}
    assert fetched == set(kept) - {"code.zip"}
    said = capfd.readouterr().out
    assert f"Output           {tmp_path}/mine/output\n" in said
    assert f"Log              {tmp_path}/mine/log.txt\n" in said
    with pytest.raises(NoClusterError, match=r"^There is no job none in s3://.*/jobs: `make runs` lists what there is"):
        results.fetch_job(cluster, "none", str(tmp_path))
    with pytest.raises(InputError):
        results.fetch_job(cluster, "../mine", str(tmp_path))
