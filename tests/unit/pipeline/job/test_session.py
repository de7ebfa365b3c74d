"""pipeline.job.session: what is said of a job that Spark gave up."""

import re
import subprocess
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.errors import SparkError
from pipeline.job import session
from pipeline.job.java import Found
from pipeline.job.session import TASK_ATTEMPTS, run_job
from tests.unit.pipeline.without_spark import Context

# As Spark 4.3 tells it by way of py4j, a Python worker having been killed at each of four attempts.
KILLED = """An error occurred while calling z:org.apache.spark.api.python.PythonRDD.collectAndServe.
: org.apache.spark.SparkException: Job aborted due to stage failure: Task 1 in stage 0.0 failed 4 times, most recent \
failure: Lost task 1.3 in stage 0.0 (TID 9) (10.0.0.7 executor 1): org.apache.spark.SparkException: Python worker \
exited unexpectedly (crashed)
Caused by: java.io.EOFException
"""
# The same where no other worker may have the fourth attempt.
ALONE = """An error occurred while calling z:org.apache.spark.api.python.PythonRDD.collectAndServe.
: org.apache.spark.SparkException: Job aborted due to stage failure: \

Aborting TaskSet 0.0 because task 1 (partition 1)
cannot run anywhere due to node and executor excludeOnFailure.
Most recent failure:
Lost task 1.2 in stage 0.0 (TID 5) (10.0.0.7 executor 1): org.apache.spark.SparkException: Python worker exited \
unexpectedly (crashed)
Caused by: java.io.EOFException
"""
RAISED = """An error occurred while calling z:org.apache.spark.api.python.PythonRDD.collectAndServe.
: org.apache.spark.SparkException: Job aborted due to stage failure: Task 1 in stage 0.0 failed 4 times, most recent \
failure: Lost task 1.3 in stage 0.0 (TID 9) (10.0.0.7 executor 1): org.apache.spark.api.python.PythonException:
pipeline.errors.InputError: there is another processor.
"""


@pytest.mark.parametrize(
    ("told", "cause"),
    [
        (
            KILLED,
            "a Python worker on 10.0.0.7 was ended from outside 4 times, as by the kernel where the host's memory is "
            "at an end",
        ),
        (
            ALONE,
            "a Python worker on 10.0.0.7 was ended from outside 3 times, as by the kernel where the host's memory is "
            "at an end",
        ),
        (RAISED, "InputError: there is another processor"),
    ],
)
def test_a_job_that_was_given_up_names_its_cause(told: str, cause: str) -> None:
    def collect() -> None:
        raise RuntimeError(told)

    sentence = f"Spark gave the job up ({cause}); the finished parts are kept, go on with --resume."
    with pytest.raises(SparkError, match=f"^{re.escape(sentence)}$"):
        run_job(Context(), collect)


def test_at_bf16_two_hosts_that_refuse_every_task_leave_it_as_many_attempts_as_it_has_without_them() -> None:
    settings = session._settings("spark://m:7077", session.BF16_ATTEMPTS)
    refused = 2 * int(settings["spark.excludeOnFailure.task.maxTaskAttemptsPerNode"])
    assert int(settings["spark.task.maxFailures"]) - refused == TASK_ATTEMPTS


class Gateway(SimpleNamespace):
    """Stands in a JVM's place: a process that ends where its standard input does."""

    def __init__(self) -> None:
        super().__init__(proc=subprocess.Popen(["cat"], stdin=subprocess.PIPE), shutdown=lambda: None)


@pytest.fixture
def java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "find_java", lambda: Found("/java", "21"))
    monkeypatch.setenv("JAVA_HOME", "/before")


@pytest.mark.usefixtures("java")
def test_the_jvm_starts_while_the_pictures_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    listed, made = threading.Event(), Gateway()
    # It is not there before the block has done its part.
    monkeypatch.setattr(session, "_jvm", lambda *_: listed.wait() and made)
    with session.jvm_ahead("local[1]", "a run") as jvm:
        assert not jvm.done()
        listed.set()
        assert jvm.result() is made


@pytest.mark.usefixtures("java")
def test_a_jvm_that_no_context_has_taken_ends_with_what_was_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Gateway()
    monkeypatch.setattr(session, "_jvm", lambda *_: made)
    with pytest.raises(ValueError, match="no picture"), session.jvm_ahead("local[1]", "a run"):
        raise ValueError("no picture")
    assert made.proc.returncode == 0


@pytest.mark.usefixtures("java")
def test_a_jvm_that_a_context_has_taken_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Gateway()
    monkeypatch.setattr(session, "_jvm", lambda *_: made)
    monkeypatch.setattr("pyspark.SparkContext._gateway", made)
    with session.jvm_ahead("local[1]", "a run"):
        pass
    assert made.proc.poll() is None
    made.proc.kill()
    made.proc.wait()


@pytest.mark.usefixtures("java")
def test_a_jvm_that_does_not_start_is_said_where_spark_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("Java gateway process exited before sending its port number.")

    monkeypatch.setattr(session, "_jvm", fails)
    sentence = "Spark did not start on local[1] (Java gateway process exited before sending its port number); "
    with (
        session.jvm_ahead("local[1]", "a run") as jvm,
        pytest.raises(SparkError, match=re.escape(sentence)),
        session.spark_context("local[1]", "a run", jvm=jvm),
    ):
        pytest.fail("it has started")


def gateway_that_says(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A JVM that writes this and dies."""

    def launch(_: object, popen_kwargs: dict[str, Any]) -> None:
        popen_kwargs["stderr"].write(words.encode())
        raise RuntimeError("Java gateway process exited before sending its port number.")

    monkeypatch.setattr("pyspark.java_gateway.launch_gateway", launch)
    monkeypatch.setattr("pyspark.SparkContext._gateway", None)


@pytest.mark.usefixtures("java")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "Error occurred during initialization of VM\nCould not reserve enough space for 1048576KB object heap\n"
            "Error: Could not create the Java Virtual Machine.\n"
            "Error: A fatal exception has occurred. Program will exit.\n",
            "Could not reserve enough space for 1048576KB object heap",
        ),
        ("", "it said nothing"),
    ],
)
def test_of_a_jvm_that_dies_at_its_start_the_last_line_is_shown(
    words: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway_that_says(words, monkeypatch)
    with (
        session.jvm_ahead("local[1]", "a run") as jvm,
        pytest.raises(SparkError, match=f"^Spark's Java does not start: {re.escape(said)}\\.$"),
        session.spark_context("local[1]", "a run", jvm=jvm),
    ):
        pytest.fail("it has started")


@pytest.mark.usefixtures("java")
def test_of_a_java_home_that_spark_cannot_use_a_sentence_says_what_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    unfit = ("JAVA_HOME (/old) is Java 11.0.2, and Spark needs 17 to 25", "/usr/bin/java is no Java that runs")
    monkeypatch.setattr(session, "find_java", lambda: Found("/new", "21.0.8", unfit))
    monkeypatch.setattr(session, "_jvm", lambda *_: Gateway())
    said: list[str] = []
    with session.jvm_ahead("local[1]", "a run", say=said.append):
        pass
    assert said == ["JAVA_HOME (/old) is Java 11.0.2, and Spark needs 17 to 25: Java 21.0.8 of /new is taken."]
