"""What every Fabric task has in common: `-v`, a log file, one sentence for whatever goes wrong, an exit code."""

import errno
import functools
import inspect
import signal
import traceback
from collections.abc import Callable
from typing import Any

import invoke

from scripts import console
from scripts.errors import FullDiskError, OperatorError, StoppedError

_FULL = (errno.ENOSPC, errno.EDQUOT)


def task(help: dict[str, str] | None = None) -> Callable[[Callable[..., None]], Any]:  # noqa: A002  as invoke names it
    """Make a function a Fabric task. Its parameters are the task's options; `--verbose` is added."""

    def make(function: Callable[..., None]) -> Any:
        @functools.wraps(function)
        def wrapper(context: object, *arguments: Any, verbose: bool = False, **options: Any) -> None:  # noqa: ARG001
            console.begin(function.__name__.rstrip("_").replace("_", "-"), verbose)
            with_sentences(functools.partial(function, *arguments, **options))

        own = list(inspect.signature(function).parameters.values())
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        added = inspect.Parameter("verbose", kind, default=False)
        wrapper.__signature__ = inspect.Signature([inspect.Parameter("context", kind), *own, added])  # type: ignore[attr-defined]
        helps = {**(help or {}), "verbose": "show what the tools print; the log file has it in any case"}
        return invoke.task(wrapper, help=helps, name=function.__name__.rstrip("_").replace("_", "-"))

    return make


def with_sentences(work: Callable[[], None]) -> None:
    """Do the work; let nothing but OperatorErrors out. An exception's notes follow its sentence, a line each."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        work()
    except KeyboardInterrupt as stopped:
        raise StoppedError(_with_notes("Stopped; the same command again goes on.", stopped)) from None
    except invoke.exceptions.Exit as error:
        # Fabric prints the sentence itself, and it may quote a host or a name in the bucket.
        error.message = error.message and console.visible(_with_notes(error.message, error))
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _FULL:
            full = FullDiskError(console.visible(str(error.filename or "")))
            full.message = _with_notes(str(full), error)
            raise full from None
        console.log(traceback.format_exc())
        sentence = (
            f"Something went wrong that Orchard does not know ({type(error).__name__}: {console.visible(str(error))}): "
            f"see {console.log_file()}."
        )
        raise OperatorError(_with_notes(sentence, error)) from error


def _with_notes(sentence: str, error: BaseException) -> str:
    return "\n".join([sentence, *getattr(error, "__notes__", [])])


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
