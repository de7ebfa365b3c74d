"""scripts.waiting."""

import pytest

from scripts.waiting import wait_until


def test_the_first_true_answer_ends_the_waiting() -> None:
    answers = iter([[], [], ["worker-1"], ["never asked for"]])
    assert wait_until(lambda: next(answers), seconds=60, every=0) == ["worker-1"]
    assert next(answers) == ["never asked for"]


def test_when_time_is_up_the_last_answer_is_given() -> None:
    assert wait_until(lambda: None, seconds=0, every=0) is None


def test_what_the_look_raises_ends_the_waiting() -> None:
    def look() -> bool:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        wait_until(look, seconds=60)
