"""Executors that are lost under a job on real Spark: what its books say of them, and that none of it costs a row."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.job.conftest import JAVA_OPTIONS, ROOT

# Two workers of one core each. The first task of each executor waits until both have one; then one executor is told to
# go, as by the worker's watch, and the other is killed.
PROGRAM = """
import json, os, signal, sys, threading, time
from pathlib import Path

import pyspark
from pipeline.job.losses import LossWatch, SparkBooks
from pipeline.job.session import run_job

os.environ["SPARK_HOME"] = str(Path(pyspark.__file__).parent)
folder = Path(sys.argv[1])
conf = pyspark.SparkConf().setMaster("local-cluster[2,1,600]").setAppName("losses")
for name, value in {
    "spark.executor.memory": "500m", "spark.ui.enabled": "false", "spark.decommission.enabled": "true",
    "spark.storage.decommission.enabled": "true", "spark.storage.decommission.rddBlocks.enabled": "true",
    "spark.storage.decommission.shuffleBlocks.enabled": "true", "spark.task.maxFailures": "2",
    "spark.storage.decommission.replicationReattemptInterval": "2s",
    "spark.executorEnv.PYTHONPATH": os.getcwd(),
}.items():
    conf.set(name, value)
context = pyspark.SparkContext(conf=conf)
told, killed = folder / "told", folder / "killed"


def work(number):
    from pyspark import SparkFiles, TaskContext
    executor = os.path.basename(os.getcwd())
    mine = folder / f"{executor} {TaskContext.get().attemptNumber()} {number}"
    mine.write_text(str(os.getpid()))
    while len({file.name.split()[0] for file in folder.glob("* * *")}) < 2:
        time.sleep(0.05)  # between two looks at the files
    while number in (0, 1) and TaskContext.get().attemptNumber() == 0 and not (folder / "go on").exists():
        time.sleep(0.05)  # between two looks at the files
    return number


def executor_of(python_worker):
    # Its Python worker is a fork of a daemon, which is the executor's own child.
    for _ in range(2):
        python_worker = int(Path(f"/proc/{python_worker}/stat").read_text().rpartition(")")[2].split()[1])
    return python_worker


def strike():
    while len(begun := sorted(folder.glob("* 0 [01]"))) < 2:
        time.sleep(0.05)  # between two looks at the files
    (first, told), (second, killed) = [(file.name.split(), executor_of(int(file.read_text()))) for file in begun]
    os.kill(told, signal.SIGPWR)
    os.kill(killed, signal.SIGKILL)
    print("struck", json.dumps({"told": first[0], "killed": second[0], "again": int(second[2])}), flush=True)
    while not any(file.name.split()[1] == "1" for file in folder.glob("* * *")):
        time.sleep(0.05)  # between two looks at the files
    (folder / "go on").touch()


threading.Thread(target=strike, daemon=True).start()
said = []
watch = LossWatch(SparkBooks(context, "features"), lambda loss: said.append(loss.text), [10, 11, *[1] * 10])
rdd = context.parallelize(range(12), 12).map(work)


def collect():
    context.setJobGroup("features", "Features")
    return rdd.collect()


rows = run_job(context, collect, watch.look)
context.setJobGroup("others", "Others")
losses = watch.losses()
print("ended", json.dumps({"rows": rows, "said": said, "losses": [loss.as_json() for loss in losses]}), flush=True)
context.stop()
"""


def test_one_that_was_told_to_go_and_one_that_was_killed_are_told_apart_and_cost_no_row(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path],
        cwd=ROOT,
        env={**os.environ, **JAVA_OPTIONS, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    struck, ended = (json.loads(line.partition(" ")[2]) for line in done.stdout.splitlines())
    assert ended["rows"] == list(range(12))
    told, silent = sorted(ended["losses"], key=lambda loss: loss["how"], reverse=True)
    assert (told["how"], told["pictures_redone"]) == ("told", 0), ended
    assert (silent["how"], silent["pictures_redone"]) == ("silent", 10 + struck["again"]), ended
    assert sorted(ended["said"]) == sorted(loss["text"] for loss in (told, silent))
