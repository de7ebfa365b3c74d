"""Has each worker write and read s3a:// with the settings of people's own programs; fails unless every one took part.

python - WORKERS FOLDER < verify.py    FOLDER is of a bucket, s3a://BUCKET/NAME, and nothing of it is left
"""

import os
import re
import sys
from collections.abc import Iterator

import pyarrow as pa
from pyspark import BarrierTaskContext, SparkConf
from pyspark.sql import SparkSession

Batches = Iterator[pa.RecordBatch]


def write(batches: Batches) -> Batches:
    """The address of the host that this task runs on, once all the others run too."""
    list(batches)
    BarrierTaskContext.get().barrier()
    yield pa.RecordBatch.from_pydict({"writer": [os.environ["SPARK_LOCAL_IP"]]})


def read(batches: Batches) -> Batches:
    """What it reads, and the address of its own host, once all the others run too."""
    rows = [row for batch in batches for row in batch.to_pylist()]
    BarrierTaskContext.get().barrier()
    yield pa.RecordBatch.from_pylist([row | {"reader": os.environ["SPARK_LOCAL_IP"]} for row in rows])


def start(workers: int) -> SparkSession:
    """A session with one core on each worker."""
    conf = SparkConf().setAppName("verification")
    # One core an executor and one executor a worker: the master deals executors out evenly.
    conf.set("spark.executor.cores", "1").set("spark.cores.max", str(workers)).set("spark.ui.enabled", "false")
    # What makes the driver's Java start quickly, and no page in the history of jobs.
    conf.set("spark.executor.extraJavaOptions", os.environ["JDK_JAVA_OPTIONS"]).set("spark.eventLog.enabled", "false")
    # Asked again when the executors have arrived; the default is to ask every 15 s.
    conf.set("spark.scheduler.barrier.maxConcurrentTasksCheck.interval", "1s")
    # Two tiny jobs: what pays for large ones only is left out.
    conf.set("spark.sql.codegen.wholeStage", "false").set("spark.sql.adaptive.enabled", "false")
    # As much as Spark reckons for a file's opening: each file is a task of its own.
    conf.set("spark.sql.files.maxPartitionBytes", "4194304").set("spark.sql.files.openCostInBytes", "4194304")
    return SparkSession.builder.config(conf=conf).getOrCreate()


def prove(spark: SparkSession, workers: int, folder: str) -> tuple[set[str], set[str]]:
    """The hosts that wrote, as the files say that were committed, and those that read them. The folder is gone then."""
    rows = spark.range(0, workers, 1, workers).mapInArrow(write, "writer string", barrier=True)
    rows.write.mode("overwrite").parquet(folder)
    # With its schema, for Spark would have a job of its own ask for that.
    written = spark.read.schema("writer string").parquet(folder)
    seen = written.mapInArrow(read, "writer string, reader string", barrier=True).collect()
    java = spark.sparkContext._jvm.org.apache.hadoop.fs.Path(folder)
    files = java.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    if not files.delete(java, True):
        raise OSError("what was written cannot be deleted")
    return {row.writer for row in seen}, {row.reader for row in seen}


def main(workers: int, folder: str) -> str:
    """Raises SystemExit with one sentence when fewer hosts took part than there are workers, or S3 is out of reach."""
    with start(workers) as spark:
        try:
            writers, readers = prove(spark, workers, folder)
        except Exception as error:  # whatever Spark, Java or S3 raises
            sys.exit(
                f"The workers do not write and read {folder} ({reason(error)}): see that the hosts' role may use the "
                "bucket and, on a worker, `journalctl -u spark-worker`."
            )
    seen = writers & readers
    if len(seen) < workers:
        sys.exit(f"Only {len(seen)} of {workers} workers ran a task: see `journalctl -u spark-worker` on the others.")
    return f"{len(seen)} of {workers} workers wrote and read s3a://"


def reason(error: Exception) -> str:
    """What lies deepest in a stack of Java's, in one line."""
    causes = re.findall(r"Caused by: ([^\n]+)", str(error)) or str(error).splitlines() or [type(error).__name__]
    return "".join(char for char in causes[-1] if char.isprintable())[:200].strip(" :.")


if __name__ == "__main__":
    print(main(int(sys.argv[1]), sys.argv[2]))
