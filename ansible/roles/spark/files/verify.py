"""Runs one task on each worker and fails unless every worker took part.

python - WORKERS < verify.py
"""

import os
import sys
from collections.abc import Iterator

from pyspark import BarrierTaskContext, SparkConf, SparkContext


def host(_: Iterator[int]) -> Iterator[str]:
    """The address of the host that this task runs on, once all the others run too."""
    BarrierTaskContext.get().barrier()
    yield os.environ["SPARK_LOCAL_IP"]


def main(workers: int) -> str:
    """Raises SystemExit with one sentence when fewer hosts took part than there are workers."""
    conf = SparkConf().setAppName("verification")
    # One core an executor and one executor a worker: the master deals executors out evenly.
    conf.set("spark.executor.cores", "1").set("spark.cores.max", str(workers)).set("spark.ui.enabled", "false")
    # What makes the driver's Java start quickly, and no page in the history of jobs.
    conf.set("spark.executor.extraJavaOptions", os.environ["JDK_JAVA_OPTIONS"]).set("spark.eventLog.enabled", "false")
    # Asked again when the executors have arrived; the default is to ask every 15 s.
    conf.set("spark.scheduler.barrier.maxConcurrentTasksCheck.interval", "1s")
    with SparkContext(conf=conf) as context:
        seen = set(context.parallelize(range(workers), workers).barrier().mapPartitions(host).collect())
    if len(seen) < workers:
        sys.exit(f"Only {len(seen)} of {workers} workers ran a task: see `journalctl -u spark-worker` on the others.")
    return f"{len(seen)} of {workers} workers ran a task"


if __name__ == "__main__":
    print(main(int(sys.argv[1])))
