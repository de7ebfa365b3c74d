"""How long a task spends on what."""

import time


class timed:  # noqa: N801  # reads as a word in a with statement
    """Adds the block's wall seconds to a phase."""

    def __init__(self, seconds: dict[str, float], phase: str) -> None:
        self._seconds, self._phase = seconds, phase

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._seconds[self._phase] += time.perf_counter() - self._started
