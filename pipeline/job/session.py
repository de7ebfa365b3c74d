"""The Spark session: settings that the job needs wherever it runs."""

import logging
import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlparse

from py4j.protocol import Py4JNetworkError

from pipeline.errors import InputError, SparkError
from pipeline.job.java import LOG4J, LOOPBACK, find_java
from pipeline.job.outage import outage_in
from pipeline.storage.base import is_local

Result = TypeVar("Result")

POLL_SECONDS = 0.2
PYTHON_DAEMON = "pipeline.process.daemon"
# One lost worker costs a task one attempt; locally, too, a task may be tried again.
TASK_ATTEMPTS = 4
# At bf16 two hosts with another processor may join, which refuse each task as often as they may have it (ELSEWHERE).
BF16_ATTEMPTS = TASK_ATTEMPTS + 2 * (TASK_ATTEMPTS - 1)
# What py4j raises where the JVM that it speaks to is no more: in the middle of an answer, or at the next question.
_JVM_GONE = (Py4JNetworkError, ConnectionError)
_DIED = ("Error: Could not create the Java Virtual Machine", "Error: A fatal exception has occurred")
# Spark's own words for a Python worker that is gone, and for the task whose last attempt ended the job: at the last of
# all that it may have, or where no host is left that may have another (ELSEWHERE).
_CRASHED = "Python worker exited unexpectedly"
_LOST = re.compile(
    r"(?:failed (\d+) times, m|cannot run anywhere .*\nM)ost recent failure:\s+"
    r"Lost task \S+ in stage \S+ \(TID \d+\) \((\S+) "
)
# A host that fails whatever it is given, as one with a full disk does, is free at once and would have every attempt:
# one of them is kept for another host. Stages are not kept from a host, for an outage of S3 is no host's fault.
ELSEWHERE = {
    "spark.excludeOnFailure.taskAndStage.enabled": "true",
    "spark.excludeOnFailure.task.maxTaskAttemptsPerExecutor": str(TASK_ATTEMPTS - 1),
    "spark.excludeOnFailure.task.maxTaskAttemptsPerNode": str(TASK_ATTEMPTS - 1),
    "spark.excludeOnFailure.stage.maxFailedTasksPerExecutor": "1000000",
    "spark.excludeOnFailure.stage.maxFailedExecutorsPerNode": "1000000",
}


def default_master() -> str:
    """Every core of this machine."""
    return f"local[{os.cpu_count() or 1},{TASK_ATTEMPTS}]"


def check_master(master: str, uris: dict[str, str]) -> None:
    """Raise InputError where a folder of this machine would be read or written by other machines."""
    if not master.startswith("spark://"):
        return
    if (urlparse(master).hostname or "") in ("localhost", "127.0.0.1", "::1"):
        return
    for option, uri in uris.items():
        if is_local(uri):
            raise InputError(
                f"{option} {uri} is a folder of this machine, which the workers of {master} do not see; "
                "upload it and give an s3:// address."
            )


@contextmanager
def jvm_ahead(
    master: str, name: str, attempts: int = TASK_ATTEMPTS, say: Callable[[str], None] = lambda _: None
) -> Iterator[Future[Any]]:
    """Spark's JVM, which starts beside what the block does; `spark_context` takes it. Raises InputError without Java.

    One that was not taken ends with the block. No host has heard of it: what the block refuses has started nothing.
    `say` hears where JAVA_HOME leads to none that Spark can use.
    """
    java = find_java()
    for sentence in java.unfit:
        if sentence.startswith("JAVA_HOME"):
            say(f"{sentence}: Java {java.version} of {java.home} is taken.")
    os.environ["JAVA_HOME"] = java.home
    # What it would say of a JVM that is gone, with a traceback, comes as a sentence.
    logging.getLogger("py4j").setLevel(logging.CRITICAL)
    # Meant for a person's own sessions (`make connect`): with it, Spark starts no driver.
    os.environ.pop("SPARK_REMOTE", None)
    if master.startswith("local"):
        os.environ["SPARK_LOCAL_IP"] = LOOPBACK
    with ThreadPoolExecutor(1) as thread:
        starting = thread.submit(_jvm, master, name, attempts)
        try:
            yield starting
        finally:
            _end_unless_taken(starting)


def _jvm(master: str, name: str, attempts: int) -> Any:
    from pyspark import SparkContext
    from pyspark.java_gateway import launch_gateway

    if SparkContext._gateway:
        return SparkContext._gateway
    conf = _conf(master, name, attempts)
    if not master.startswith("local"):
        return launch_gateway(conf)
    # On a laptop the JVM's warnings are nothing to act on; on a cluster they belong to the journal.
    with tempfile.TemporaryFile() as warnings:
        try:
            return launch_gateway(conf, popen_kwargs={"stderr": warnings})
        except Exception as error:  # pyspark raises many kinds
            warnings.seek(0)
            raise SparkError(
                f"Spark's Java does not start: {_last_words(warnings.read().decode(errors='replace'))}."
            ) from error


def _last_words(printed: str) -> str:
    """The last line by which a JVM that died says why; it puts two after it that say that it died."""
    lines = [line.strip() for line in printed.splitlines() if line.strip() and not line.startswith(_DIED)]
    return lines[-1].rstrip(".") if lines else "it said nothing"


def _end_unless_taken(starting: Future[Any]) -> None:
    from pyspark import SparkContext

    # What was not taken may have failed, too, and then nobody asks.
    gateway = starting.result() if starting.exception() is None else None
    if gateway is not None and gateway is not SparkContext._gateway:
        with suppress(*_JVM_GONE):
            gateway.shutdown()
        # It ends where its standard input does.
        gateway.proc.stdin.close()
        gateway.proc.wait()


def _conf(master: str, name: str, attempts: int) -> Any:
    from pyspark import SparkConf

    conf = SparkConf().setMaster(master).setAppName(name)
    for key, value in _settings(master, attempts).items():
        conf.setIfMissing(key, value)
    return conf


@contextmanager
def spark_context(
    master: str, name: str, attempts: int = TASK_ATTEMPTS, jvm: Future[Any] | None = None
) -> Iterator[Any]:
    """A SparkContext on this master, stopped at the end. Raises InputError without Java, SparkError without Spark.

    On a cluster a task has so many attempts before the job is given up. `jvm` is one of `jvm_ahead`.
    """
    with ExitStack() as stack:
        jvm = jvm or stack.enter_context(jvm_ahead(master, name, attempts))
        with _spark_context(master, _conf(master, name, attempts), jvm) as context:
            yield context


@contextmanager
def _spark_context(master: str, conf: Any, jvm: Future[Any]) -> Iterator[Any]:
    os.environ["PYSPARK_PYTHON"] = os.environ.get("PYSPARK_PYTHON", sys.executable)
    from pyspark import SparkContext

    try:
        context = SparkContext(conf=conf, gateway=jvm.result())
    except SparkError:
        raise
    except Exception as error:  # py4j and pyspark raise many kinds
        raise SparkError(
            f"Spark did not start on {master} ({_first_line(error)}); is the master up and its address right?"
        ) from error
    # PySpark's own handler would cancel the jobs from inside whatever call it interrupts; `run_job` does it better.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Where the JVM is gone, each thing that is still asked of it would say so in lines of its own.
    context._accumulatorServer.handle_error = lambda *_: None
    try:
        yield context
    finally:
        with suppress(*_JVM_GONE):
            context.stop()


def _settings(master: str, attempts: int) -> dict[str, str]:
    room = Path(__file__).parent
    settings = {
        "spark.driver.extraJavaOptions": LOG4J,
        # Progress is Orchard's own bar.
        "spark.ui.showConsoleProgress": "false",
        "spark.python.worker.reuse": "true",
        # Where a host's memory ends, Python goes before the JVM that has all its tasks.
        "spark.python.daemon.module": PYTHON_DAEMON,
        "spark.task.maxFailures": str(attempts),
    }
    if master.startswith("local"):
        # From a checkout the package lies beside the caller's folder, not in site-packages.
        path = os.pathsep.join([str(room.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
        settings |= {
            "spark.ui.enabled": "false",
            "spark.driver.host": LOOPBACK,
            "spark.driver.bindAddress": LOOPBACK,
            "spark.executorEnv.PYTHONPATH": path,
        }
    else:
        settings |= ELSEWHERE
    return settings


def run_job(context: Any, action: Callable[[], Result], poll: Callable[[], None] = lambda: None) -> Result:
    """The result of a Spark action; `poll` is called now and then while it runs, and once at its end.

    The action runs in a thread of its own, so that an interrupt finds the main thread at rest and not inside the
    connection to the JVM. Raises SparkError where Spark gives the job up, OutageError where that is for a store's or a
    disk's failure, KeyboardInterrupt once the job is cancelled.
    """
    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(action)
        try:
            while not wait([future], POLL_SECONDS).done:
                poll()
        except KeyboardInterrupt:
            context.cancelAllJobs()
            wait([future])
            raise
    poll()
    try:
        return future.result()
    except Exception as error:  # py4j and pyspark raise many kinds
        raise outage_in(str(error)) or SparkError(
            f"Spark gave the job up ({_cause(error)}); the finished parts are kept, go on with --resume."
        ) from error


def _cause(error: Exception) -> str:
    """The Python error of the task that failed last, where the JVM's account names one; else its first line."""
    if isinstance(error, _JVM_GONE):
        return "Spark's own process here has ended, as by the kernel where the host's memory is at an end"
    if _CRASHED in str(error) and (lost := _LOST.search(str(error))):
        # What ends a process from outside says nothing to Spark; Orchard's watchman does so to the worker's log.
        times = lost[1] or TASK_ATTEMPTS - 1
        return (
            f"a Python worker on {lost[2]} was ended from outside {times} times, as by the kernel where the host's "
            "memory is at an end"
        )
    named = re.findall(r"^(?:\w+\.)*(\w*(?:Error|Exception): .+)$", str(error), re.MULTILINE)
    own = [line for line in named if not line.startswith(("SparkException", "Py4J", "PythonException"))]
    return own[0].rstrip(".") if own else _first_line(error)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
