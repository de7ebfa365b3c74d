"""A host that fails every task at once, as one with a full disk does, does not end a job that another host can do."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyspark
import pytest

from pipeline.job.java import find_java_home
from tests.job.conftest import JAVA_OPTIONS, ROOT
from tests.waiting import wait_until

WELL, BROKEN = "127.0.0.1", "127.0.0.2"
# Tasks that last a moment where they go well: whoever fails is free for the next one long before.
PROGRAM = f"""
import errno, os, sys, time
from pipeline.job.session import run_job, spark_context

master, failed = sys.argv[1:]

def where(_):
    time.sleep(0.3)  # what a task takes
    return os.environ["SPARK_LOCAL_IP"]

def work(number):
    if os.environ["SPARK_LOCAL_IP"] == "{BROKEN}":
        open(failed, "a").write("x")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    time.sleep(0.3)  # what a task takes
    return number

with spark_context(master, "broken host") as context:
    while len(set(context.parallelize(range(8), 8).map(where).collect())) < 2:
        pass
    print(sum(run_job(context, lambda: context.parallelize(range(12), 12).map(work).collect())))
"""


def daemon(address: str, folder: Path, name: str, *words: str) -> subprocess.Popen[bytes]:
    """A daemon of Spark's standalone mode at this address."""
    settings = {
        "SPARK_LOCAL_IP": address,
        "SPARK_WORKER_DIR": str(folder / address),
        "SPARK_NO_DAEMONIZE": "1",
        "JAVA_HOME": find_java_home(),
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),
    }
    command = [Path(pyspark.__file__).parent / "bin" / "spark-class", f"org.apache.spark.deploy.{name}", *words]
    with (folder / f"{name}-{address}.log").open("w") as log:
        return subprocess.Popen(command, env=os.environ | JAVA_OPTIONS | settings, stdout=log, stderr=log)


@pytest.fixture
def master(tmp_path: Path) -> Iterator[str]:
    """A cluster of two workers, each at an address of its own."""
    with socket.socket() as free:
        free.bind((WELL, 0))
        port = str(free.getsockname()[1])
    url = f"spark://{WELL}:{port}"
    started = [daemon(WELL, tmp_path, "master.Master", "--host", WELL, "--port", port, "--webui-port", "0")]
    for address in (WELL, BROKEN):
        words = ["--host", address, "--cores", "2", "--memory", "1g", "--webui-port", "0", url]
        started.append(daemon(address, tmp_path, "worker.Worker", *words))
    try:
        for address in (WELL, BROKEN):
            log = tmp_path / f"worker.Worker-{address}.log"
            wait_until(lambda log=log: "Successfully registered" in log.read_text(), f"{address} to be a worker", 60)  # type: ignore[misc]  # a default binds it
        yield url
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_its_tasks_are_done_elsewhere(master: str, tmp_path: Path) -> None:
    failed = tmp_path / "failed"
    environment = os.environ | JAVA_OPTIONS | {"SPARK_LOCAL_IP": WELL}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, master, failed],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == "66\n", done.stderr[-3000:]
    assert failed.exists(), "the broken host was given no task"
