"""A cluster `fruits` with a run in its bucket, in an AWS in this process; Terraform says what it is told to."""

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scripts import tfvars
from scripts.aws import clients
from scripts.aws.bucket import Bucket, bucket_of, inputs_key, record_key
from scripts.cluster import Cluster
from scripts.errors import NoClusterError
from scripts.terraform import outputs
from tests.doubles.fake_hosts import cluster_of
from tests.unit.scripts.conftest import REGION

Aws = Callable[[str], Any]

NAME = "fruits"
BUCKET = f"orchard-fruits-1-{REGION}"
RUN = "first"
TAGS = [{"Key": "Project", "Value": "orchard"}, {"Key": "Cluster", "Value": NAME}]
CLASSES = ("Apple", "Banana", "Cherry")


def record(**more: Any) -> dict[str, Any]:
    """A run.json of a whole run on two workers."""
    return {
        "status": "complete",
        "settings": {"images": f"s3://{BUCKET}/pictures", "limit": 300},
        "weights": "imagenet",
        "counts": {"listed": 300, "features": 298, "errors": 2},
        "seconds": {"list": 1.0, "features": 10.0, "total": 30.0},
        "images_per_second": 29.8,
        "components": 50,
        "explained_variance": 0.9,
        "attempts": 1,
        "started_at": "2026-01-01T00:00:00+00:00",
        "ended_at": "2026-01-01T00:00:30+00:00",
        "hosts": ["a", "b"],
        "cpu": "a processor",
        "cores": 16,
        **more,
    }


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cluster:
    """The cluster, which is up, and its settings."""
    folder = tmp_path / "terraform"
    folder.mkdir()
    (folder / "variables.tf").write_text((tfvars.CHECKOUT / "terraform" / "variables.tf").read_text())
    (folder / "terraform.tfvars").write_text(f'cluster_name = "{NAME}"\nowner = "me"\n')
    monkeypatch.setenv("ORCHARD_TERRAFORM", str(folder))
    cluster = replace(cluster_of(workers=2), bucket=BUCKET)
    monkeypatch.setattr(outputs, "current", lambda: cluster)
    return cluster


@pytest.fixture
def down(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cluster is no more."""

    def gone() -> Cluster:
        raise NoClusterError(f"No cluster is up by the name {NAME}: run `make up`.")

    monkeypatch.setattr(outputs, "current", gone)


@pytest.fixture
def bucket(cluster: Cluster, aws: Aws) -> Bucket:
    """The cluster's bucket, tagged, with a whole run in it and the pictures that the run read."""
    s3 = aws("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_tagging(Bucket=BUCKET, Tagging={"TagSet": TAGS})
    s3.put_object(Bucket=BUCKET, Key=record_key(RUN), Body=json.dumps(record()).encode())
    paths = [f"{name}/{number}.jpg" for name in CLASSES for number in range(100)]
    s3.put_object(Bucket=BUCKET, Key=inputs_key(RUN), Body=listed(paths))
    for path in paths[12::25]:
        s3.put_object(Bucket=BUCKET, Key=f"pictures/{path}", Body=b"a picture")
    names = ("report.html", "pca.csv", "errors.parquet", "pca/part-00000.parquet", "pca_model/mean.json")
    for name in (*names, "features/part-00000.parquet", "attempts.json"):
        s3.put_object(Bucket=BUCKET, Key=f"runs/{RUN}/{name}", Body=name.encode())
    return bucket_of(cluster)


def listed(paths: list[str]) -> bytes:
    """A run's list."""
    table = pa.table({"path": paths, "label": [path.split("/")[-2] for path in paths], "bytes": [1] * len(paths)})
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=7)
    return sink.getvalue()


@pytest.fixture
def temporary(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[datetime | None], None]]:
    """Lets the person's credentials be temporary, with this end."""

    def let(ends: datetime | None) -> None:
        for name, value in {"ACCESS_KEY_ID": "ASIAX", "SECRET_ACCESS_KEY": "x", "SESSION_TOKEN": "x"}.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        if ends:
            monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", ends.isoformat())
        clients.forget()

    yield let
    clients.forget()
