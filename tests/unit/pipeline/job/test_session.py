"""pipeline.job.session: what is said of a job that Spark gave up."""

import re

import pytest

from pipeline.errors import SparkError
from pipeline.job import session
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
