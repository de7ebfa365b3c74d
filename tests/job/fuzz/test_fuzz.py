"""Some thousands of mutations on each run of the tests, from one seed; `make fuzz` goes on with others."""

import signal
import subprocess
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipeline.pixels.decode import FORMATS
from tests.job.fuzz import fuzzing
from tests.job.fuzz.mutations import REFUSED, mutated, seeds

SECONDS = 20
SEED = 11


def test_a_mutated_picture_is_a_picture_or_a_row_in_time_and_memory_and_starts_nothing() -> None:
    found = fuzzing.fuzz(SEED, SECONDS)
    assert found.escapes == []
    assert found.cases > 1000
    # Cases that all end at the first byte would prove nothing.
    assert {fuzzing.PICTURE, "truncated", "unsupported", "not an image", "too large"} <= found.kinds.keys()


def test_every_format_that_is_taken_and_many_that_are_not_are_mutated() -> None:
    there = {name for name, _ in seeds()}
    assert set(FORMATS) <= there
    assert len(there & set(REFUSED)) >= 12
    assert mutated(1, 2) == mutated(1, 2) != mutated(1, 3)


def raises(data: bytes, side: int) -> Any:
    raise NotImplementedError("a decoder's own")


def hangs(data: bytes, side: int) -> Any:
    signal.pause()


def starts_a_program(data: bytes, side: int) -> Any:
    subprocess.run(["true"], check=True)
    return np.zeros((side, side, 3), np.uint8)


def takes_memory(data: bytes, side: int) -> Any:
    touched = np.ones(fuzzing.MAX_BYTES + 10**8, np.uint8)
    return np.full((side, side, 3), touched[-1])


def dies(data: bytes, side: int) -> Any:
    import ctypes

    return ctypes.string_at(0)


@pytest.mark.parametrize(
    ("decoder", "said"),
    [
        (raises, "NotImplementedError: a decoder's own"),
        (starts_a_program, "it started a program (subprocess.Popen)"),
        (takes_memory, " MiB"),
        (hangs, "its process never came back"),
        (dies, "its process ended by signal 11"),
    ],
)
def test_what_escapes_is_found(decoder: Callable[..., Any], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzzing, "decode", decoder)
    # But for the one that hangs they take as long as this machine needs, and are not about time.
    monkeypatch.setattr(fuzzing, "SECONDS_EACH", 1.0 if decoder is hangs else 600.0)
    escapes = fuzzing.fuzz(SEED, 0.3).escapes
    assert escapes
    assert said in escapes[0]
    assert escapes[0].startswith("case 0 of seed 11")
