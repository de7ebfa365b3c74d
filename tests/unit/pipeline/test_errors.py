"""pipeline.errors: the exit codes are numbers that people write into their scripts."""

from pipeline.errors import (
    ExitCode,
    IncompleteTransferError,
    InputError,
    InterruptedRunError,
    OrchardError,
    OutageError,
    RefusedKeysError,
    SparkError,
    StorageError,
    TooManyBadPicturesError,
)


def test_each_error_has_its_number() -> None:
    assert {
        OrchardError: 1,
        InputError: 2,
        TooManyBadPicturesError: 20,
        SparkError: 21,
        StorageError: 22,
        OutageError: 22,
        IncompleteTransferError: 22,
        RefusedKeysError: 1,
        InterruptedRunError: 130,
    }.items() >= {kind: kind.exit_code for kind in (OrchardError, *OrchardError.__subclasses__())}.items()
    assert ExitCode.NOT_WHOLE == 23
