"""Waiting for something to become true, never for a time to pass."""

from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_delay, wait_fixed

Answer = TypeVar("Answer")


def wait_until(look: Callable[[], Answer], *, seconds: float, every: float = 1.0) -> Answer:
    """What `look` gives as soon as that is true; when time is up, the last answer, whatever it is.

    `every` is the pause between two looks. What `look` raises ends the waiting.
    """
    looking = Retrying(
        retry=retry_if_result(lambda answer: not answer),
        wait=wait_fixed(every),
        stop=stop_after_delay(seconds),
        retry_error_callback=_last_answer,
    )
    return looking(look)


def _last_answer(state: RetryCallState) -> object:
    return state.outcome.result() if state.outcome else None
