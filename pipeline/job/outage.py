"""A store's failure on its way from a worker's task to the exit code, past Spark, which hands on text alone."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.errors import DiskFullError, OutageError, SparkError, StorageError, UnreachableError

_TOLD = re.compile(
    rf"^{StorageError.__module__}\.(?:{StorageError.__name__}|{DiskFullError.__name__}): (.+)$", re.MULTILINE
)
# In the words of the kernel, as Java hands them on: Spark's own files.
_NO_ROOM = re.compile(r"No space left on device|Disk quota exceeded")
_HOST = re.compile(r"\bLost task \S+ in stage \S+ \(TID \d+\) \((\S+) executor ")
# Bytes that a broadcast of the job fits into, with much to spare.
ROOM = 64 << 20


@contextmanager
def as_outage() -> Iterator[None]:
    """Around a task: whatever of a store leaves it, is no picture's fault, and goes out as a StorageError.

    Other errors go out as they are.
    """
    try:
        yield
    except StorageError:
        raise
    except UnreachableError as error:  # credentials, say, that are no longer to be had
        raise StorageError(str(error).rstrip(".")) from error
    except (FileNotFoundError, PermissionError) as error:
        raise StorageError(error.strerror or str(error), error.filename or "") from error


def outage_in(account: str) -> OutageError | None:
    """The outage that Spark's account of a failed job tells of; None where something else made it fail."""
    if told := _TOLD.findall(account):
        return OutageError(told[-1])
    if _NO_ROOM.search(account):
        host = next((f" ({found})" for found in _HOST.findall(account)), "")
        return OutageError(
            f"The disk of a host that the job runs on is full{host}; make room there and start the same command again "
            "(a run goes on with --resume)."
        )
    return None


def broadcast(context: Any, value: Any) -> Any:
    """Spark's broadcast of a value. Raises DiskFullError where the driver's disk has no room for it, else SparkError.

    With encryption on, the JVM writes it, and hangs up without a word where it cannot.
    """
    try:
        return context.broadcast(value)
    except Exception as error:  # py4j and pyspark raise many kinds
        if shutil.disk_usage(context._temp_dir).free < ROOM:
            raise DiskFullError(context._temp_dir) from error
        raise SparkError(f"Spark did not take what its tasks need ({error}); go on with --resume.") from error
