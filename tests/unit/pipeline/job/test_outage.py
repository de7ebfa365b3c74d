"""pipeline.job.outage: a store's failure finds its way past Spark."""

import errno
import shutil
import traceback
from pickle import PicklingError
from types import SimpleNamespace
from typing import NoReturn

import pytest

from pipeline.errors import (
    DiskFullError,
    ExitCode,
    InputError,
    OrchardError,
    OutageError,
    SparkError,
    StorageError,
    UnreachableError,
)
from pipeline.job.outage import as_outage, broadcast, outage_in
from pipeline.job.session import run_job

# As PySpark gives it, shortened: a worker's traceback as Python prints it, within Java's words.
ACCOUNT = """An error occurred while calling z:org.apache.spark.api.python.PythonRDD.collectAndServe.
: org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 0.0 failed 4 times, most recent \
failure: Lost task 0.3 in stage 0.0 (TID 3) (10.0.0.5 executor driver): org.apache.spark.api.python.PythonException: \
{traceback}
\tat org.apache.spark.api.python.BasePythonRunner$ReaderIterator.handlePythonException(PythonRunner.scala:581)
Driver stacktrace:
"""


def account_of(error: Exception, cause: Exception | None = None) -> str:
    """Of a task that this error ended."""
    try:
        raise error from cause
    except type(error):
        return ACCOUNT.format(traceback=traceback.format_exc())


@pytest.mark.parametrize("error", [StorageError("S3 is silent", "s3://a/b: odd.jpg"), DiskFullError("/data/part")])
def test_a_task_s_last_word_on_the_store_is_the_command_s(error: StorageError) -> None:
    outage = outage_in(account_of(error, StorageError("an earlier one", "s3://c")))
    assert outage
    assert (str(outage), outage.exit_code) == (str(error), 22)


def test_a_name_with_a_line_s_end_does_not_cut_the_sentence() -> None:
    error = StorageError("S3 is silent", "s3://a/two\nlines.jpg")
    assert str(outage_in(account_of(error))) == str(error)


def test_a_disk_that_is_full_for_spark_itself_is_told_as_such() -> None:
    outage = outage_in("java.io.IOException: No space left on device\n\tat java.base/java.io.FileOutputStream")
    assert outage
    assert str(outage).startswith("The disk of a host that the job runs on is full; make room there")


def test_another_failure_is_spark_s() -> None:
    assert outage_in(account_of(ValueError("operands could not be broadcast"))) is None

    def collect(error: Exception) -> NoReturn:
        raise RuntimeError(account_of(error))

    with pytest.raises(SparkError, match="operands could not be broadcast"):
        run_job(None, lambda: collect(ValueError("operands could not be broadcast")))
    with pytest.raises(OutageError, match="s3://a: S3 is silent; start the same command again later"):
        run_job(None, lambda: collect(StorageError("S3 is silent", "s3://a")))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (UnreachableError("s3://a cannot be reached: there are no AWS credentials."), "there are no AWS credentials"),
        (PermissionError(errno.EACCES, "access denied by the bucket", "s3://a/part"), "s3://a/part: access denied"),
        (FileNotFoundError(errno.ENOENT, "no such object", "s3://a/part"), "s3://a/part: no such object"),
    ],
    ids=["no credentials", "refused", "gone"],
)
def test_what_a_task_meets_beside_pictures_is_the_store_s(error: Exception, said: str) -> None:
    with pytest.raises(StorageError, match=said), as_outage():
        raise error


def test_what_a_worker_cannot_do_is_no_failure_of_the_store() -> None:
    with pytest.raises(InputError, match="has no bf16 arithmetic"), as_outage():
        raise InputError("The processor of worker-2 has no bf16 arithmetic; take f32 as precision.")


def test_the_host_whose_disk_is_full_is_named_where_spark_names_it() -> None:
    outage = outage_in(
        "Job aborted due to stage failure: Task 1 in stage 1.0 failed 4 times, most recent failure: Lost task 1.3 in "
        "stage 1.0 (TID 20) (10.20.0.12 executor 1): java.io.IOException: No space left on device"
    )
    assert str(outage).startswith("The disk of a host that the job runs on is full (10.20.0.12); make room there")


@pytest.mark.parametrize(
    ("free", "code", "sentence"),
    [
        (3 << 20, ExitCode.STORAGE, "/scratch: the disk is full; make room"),
        (1 << 40, ExitCode.SPARK, "Spark did not take what its tasks need (Connection reset by peer)"),
    ],
)
def test_a_broadcast_for_which_the_driver_s_disk_has_no_room_is_told_as_such(
    monkeypatch: pytest.MonkeyPatch, free: int, code: ExitCode, sentence: str
) -> None:
    def hangs_up(_: object) -> None:
        raise PicklingError("Connection reset by peer")

    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    with pytest.raises(OrchardError) as raised:
        broadcast(SimpleNamespace(broadcast=hangs_up, _temp_dir="/scratch"), b"job")
    assert raised.value.exit_code == code
    assert str(raised.value).startswith(sentence)
