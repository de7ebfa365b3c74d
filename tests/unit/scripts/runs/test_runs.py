"""What `make run` asks of the job: a size, the person's own words, a submission that is kept."""

import pytest

from scripts.errors import InputError
from scripts.runs.submission import DEFAULT_SIZE, Submission, words_of


def test_a_size_and_arguments_become_the_jobs_words() -> None:
    assert words_of(DEFAULT_SIZE, "--classes 'Apple Braeburn' Pear*") == (
        "--limit", "300", "--classes", "Apple Braeburn", "Pear*",
    )  # fmt: skip


def test_what_is_no_size_or_no_words_is_refused() -> None:
    with pytest.raises(InputError, match=r"^huge is no size: give SIZE=mini, class, apples or full\.$"):
        words_of("huge", "")
    with pytest.raises(InputError, match=r"^ARGS cannot be split into words \(No closing quotation\): "):
        words_of("mini", "'a")


def test_the_jobs_words_name_the_bucket_and_the_persons_own_come_last() -> None:
    submission = Submission("r", "mini", ("--classes", "$HOME"), "imagenet", "2026-01-01T00:00:00+00:00", 0.9, "USD")
    assert submission.words_for_job("b", ["--resume"]) == [
        *("--images", "s3://b/pictures", "--output", "s3://b/runs"),
        *("--run-id", "r", "--weights", "imagenet", "--classes", "$HOME", "--resume"),
    ]
