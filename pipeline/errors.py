"""What can go wrong for a person, each with its exit code and one sentence that ends in the next step."""

import errno
from enum import IntEnum


class ExitCode(IntEnum):
    """Every code that the command line ends with. 1, 2 and 130 mean the same on the operator's side."""

    FINE = 0
    FAULT = 1
    INPUT = 2
    TOO_MANY_BAD = 20
    SPARK = 21
    STORAGE = 22
    NOT_WHOLE = 23
    INTERRUPTED = 130


class OrchardError(Exception):
    """Base of the errors that end the command with a sentence instead of a stack trace."""

    exit_code = ExitCode.FAULT


class InputError(OrchardError):
    """The command cannot start: an argument, a folder, the weights or a bucket is not as it must be."""

    exit_code = ExitCode.INPUT


class UnreachableError(InputError):
    """A store that nobody can ask as things are: there are no credentials, or no such bucket."""


class TooManyBadPicturesError(OrchardError):
    """More pictures than `--max-bad` allows could not be read; the run folder is kept."""

    exit_code = ExitCode.TOO_MANY_BAD


class SparkError(OrchardError):
    """Spark could not be started, or gave the job up; the run can be resumed."""

    exit_code = ExitCode.SPARK


class StorageError(OrchardError, OSError):
    """The store or the way to it failed, at every attempt. Also an OSError, so that a reader may go on without it."""

    exit_code = ExitCode.STORAGE

    def __init__(self, cause: str, uri: str = "") -> None:
        OSError.__init__(self, errno.EIO, cause, uri)

    def __str__(self) -> str:
        return f"{self._told()}; start the same command again later (a run goes on with --resume)."

    def _told(self) -> str:
        """Place and cause in one line, for it has to find its way out of Spark's account of a failed task."""
        return ": ".join(filter(None, [self.filename, self.strerror])).replace("\n", "\\n")


class DiskFullError(StorageError):
    """A disk of this machine has no room left for what is to be written there."""

    def __init__(self, where: str = "") -> None:
        OSError.__init__(self, errno.ENOSPC, "the disk is full", where)

    def __str__(self) -> str:
        return f"{self._told()}; make room and start the same command again (a run goes on with --resume)."


class OutageError(OrchardError):
    """A store or a disk failed in a task at every one of its attempts; the finished parts are kept."""

    exit_code = ExitCode.STORAGE


class IncompleteTransferError(OrchardError):
    """Single files could not be copied; the others were."""

    exit_code = ExitCode.STORAGE


class RefusedKeysError(OrchardError):
    """Names in the bucket that would become files elsewhere were not fetched; all else was."""

    exit_code = ExitCode.FAULT


class InterruptedRunError(OrchardError):
    """Ctrl-C or SIGTERM: nothing half is left behind, and `--resume` goes on from there."""

    exit_code = ExitCode.INTERRUPTED
