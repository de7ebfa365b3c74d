"""A person's own program on s3a://: writes that go well, that fail half-way, and one that is given up.

python s3a_program.py    into the bucket OWN_BUCKET; prints what it read back as one JSON object
"""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pyarrow as pa
from pyspark import TaskContext
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

ROWS = 2_000
PARTS = 4
FILLING = 1024  # bytes a row
Batches = Iterator[pa.RecordBatch]


def rows(spark: SparkSession, fail: Callable[[], None]) -> DataFrame:
    """Numbers from 0 to ROWS, each with filling; the task of one partition calls `fail` in the middle of its rows."""

    def fill(batches: Batches) -> Batches:
        for batch in batches:
            half = batch.num_rows // 2
            yield filled(batch.slice(0, half))
            if TaskContext.get().partitionId() == 1:  # type: ignore[union-attr]
                fail()
            yield filled(batch.slice(half))

    def filled(batch: pa.RecordBatch) -> pa.RecordBatch:
        filling = [os.urandom(FILLING) for _ in range(batch.num_rows)]
        return pa.RecordBatch.from_arrays([batch.column(0), pa.array(filling, pa.binary())], names=["id", "filling"])

    return spark.range(0, ROWS, 1, PARTS).mapInArrow(fill, "id long, filling binary")


def nothing() -> None:
    """It goes well."""


def wait_until_an_upload_is_begun() -> None:
    """What this task has yielded has reached S3."""
    client, bucket = boto3.client("s3"), os.environ["OWN_BUCKET"]
    while not any(
        "part-00001" in upload["Key"] for upload in client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    ):
        time.sleep(0.1)


def first_attempt_fails() -> None:
    """As when a picture or a library misbehaves once."""
    if TaskContext.get().attemptNumber() == 0:  # type: ignore[union-attr]
        wait_until_an_upload_is_begun()
        raise RuntimeError("failed half-way")


def first_executor_dies() -> None:
    """As when a spot instance goes: nobody is left there to clean up."""
    if TaskContext.get().attemptNumber() == 0:  # type: ignore[union-attr]
        wait_until_an_upload_is_begun()
        # This worker's parent is Python's daemon, whose parent is the executor.
        with open(f"/proc/{os.getppid()}/stat") as stat:  # noqa: PTH123
            os.kill(int(stat.read().rpartition(")")[2].split()[1]), signal.SIGKILL)
        signal.pause()


def every_attempt_fails() -> None:
    """As a program with a fault."""
    raise RuntimeError("failed for good")


def main(bucket: str) -> dict[str, Any]:
    """Write below s3a://BUCKET, one folder a case; gives what was read back of each."""
    spark = SparkSession.builder.master("local-cluster[2,1,1024]").appName("own").getOrCreate()
    cases = {"well": nothing, "retried": first_attempt_fails, "died": first_executor_dies, "again": nothing}
    for name, fail in cases.items():
        rows(spark, fail).write.parquet(f"s3a://{bucket}/{name}")
    rows(spark, nothing).write.mode("overwrite").parquet(f"s3a://{bucket}/again")
    spark.range(100).write.csv(f"s3a://{bucket}/text")
    spark.range(100).selectExpr("id", "id % 3 as third").write.partitionBy("third").orc(f"s3a://{bucket}/by")
    said = ""
    try:
        rows(spark, every_attempt_fails).write.parquet(f"s3a://{bucket}/given-up")
    except PySparkException as error:
        said = str(error)
    read = {}
    for name in cases:
        ids = [row.id for row in spark.read.parquet(f"s3a://{bucket}/{name}").select("id").collect()]
        read[name] = sorted(ids) == list(range(ROWS))
    read["text"] = spark.read.csv(f"s3a://{bucket}/text").count() == 100
    read["by"] = spark.read.orc(f"s3a://{bucket}/by").count() == 100
    spark.stop()
    return {"read": read, "given_up": "failed for good" in said}


if __name__ == "__main__":
    print(json.dumps(main(os.environ["OWN_BUCKET"])))
