"""What is kept for a while in the cache folder: good for its time, and never in the way."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scripts.remembered import Remembered, cache_folder

WEEK = timedelta(days=7)


class Clock:
    """A time that only the test moves."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 26, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kept(tmp_path: Path, clock: Clock) -> Remembered:
    return Remembered(tmp_path / "cache" / "prices.json", WEEK, clock)


def test_what_is_kept_is_there_with_its_time_until_it_is_too_old(kept: Remembered, clock: Clock) -> None:
    learnt = clock.time
    kept.put("eu-west-1 m6i.large", 0.107)
    clock.time += WEEK - timedelta(seconds=1)
    assert kept.get("eu-west-1 m6i.large") == (0.107, learnt)
    clock.time += timedelta(seconds=1)
    assert kept.get("eu-west-1 m6i.large") is None


def test_one_number_is_no_other_ones(kept: Remembered) -> None:
    kept.put("eu-west-1 m6i.large", 0.107)
    kept.put("eu-central-1 m6i.large", 0.115)
    assert (kept.get("eu-west-1 m6i.large") or [0])[0] == 0.107
    assert kept.get("us-east-1 m6i.large") is None


def test_the_age_is_what_the_file_says_and_not_when_it_was_touched(kept: Remembered, clock: Clock) -> None:
    kept.put("a", 1.0)
    clock.time += WEEK
    kept.file.touch()
    assert kept.get("a") is None


@pytest.mark.parametrize(
    "foreign",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        '{"a": 1}',
        '{"a": {"value": 1}}',
        '{"a": {"value": 1, "learnt_at": "yesterday"}}',
        '{"a": {"value": 1, "learnt_at": "2026-11-26T11:00:00"}}',
        '{"a": {"value": 1, "learnt_at": "2026-11-27T11:00:00+00:00"}}',
        '{"a": {"value": "1", "learnt_at": "2026-11-26T11:00:00+00:00"}}',
        '{"a": {"value": true, "learnt_at": "2026-11-26T11:00:00+00:00"}}',
        '{"a": {"value": NaN, "learnt_at": "2026-11-26T11:00:00+00:00"}}',
        '{"a": {"value": -1, "learnt_at": "2026-11-26T11:00:00+00:00"}}',
    ],
)
def test_a_file_that_is_broken_or_somebody_elses_is_as_good_as_none(kept: Remembered, foreign: str) -> None:
    kept.file.parent.mkdir()
    kept.file.write_text(foreign)
    assert kept.get("a") is None
    kept.put("a", 2.0)
    assert (kept.get("a") or [0])[0] == 2.0


def test_the_file_is_replaced_whole(kept: Remembered) -> None:
    kept.put("a", 1.0)
    before = kept.file.stat().st_ino
    kept.put("b", 2.0)
    assert kept.file.stat().st_ino != before
    assert sorted(json.loads(kept.file.read_text())) == ["a", "b"]
    assert [file.name for file in kept.file.parent.iterdir()] == ["prices.json"]


def test_where_nothing_can_be_written_nothing_is_kept_and_nothing_fails(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "file").write_text("")
    kept = Remembered(tmp_path / "file" / "prices.json", WEEK, clock)
    kept.put("a", 1.0)
    assert kept.get("a") is None


def test_the_folder_is_the_persons_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/orchard")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_folder() == Path.home() / ".cache" / "orchard"
