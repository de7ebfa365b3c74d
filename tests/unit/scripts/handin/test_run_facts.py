"""What a record tells, and which runs are compared over numbers of workers."""

import json
from typing import Any

import pytest

from scripts.aws.bucket import Bucket, record_key
from scripts.handin.run_facts import RunFacts, facts_of, of_its_kind, speeds
from tests.unit.scripts.handin.conftest import RUN, record


def facts(run_id: str = RUN, **more: Any) -> RunFacts:
    found = facts_of(run_id, record(**more))
    assert found
    return found


@pytest.mark.parametrize(
    "found", [None, [], {}, {"status": "complete"}, record(counts={"listed": "many"}), record(seconds=3)]
)
def test_what_has_not_the_form_of_a_record_is_none(found: Any) -> None:
    assert facts_of(RUN, found) is None


def test_numbers_that_are_none_are_refused() -> None:
    assert facts_of(RUN, json.loads(json.dumps(record()).replace("29.8", "NaN"))) is None


def test_the_speed_over_workers_is_told_by_the_last_run_on_each_number() -> None:
    one = {"hosts": ["a"], "cores": 8}
    four = {"hosts": ["a", "b", "c", "d"], "cores": 32}
    runs = [
        facts("four", **four, images_per_second=72.0),
        facts("old", **one, images_per_second=10.0, ended_at="2025-01-01T00:00:00+00:00"),
        facts("one", **one, images_per_second=20.0),
        facts("two", images_per_second=38.0),
    ]
    found = speeds(runs)
    assert [(one.run_id, one.workers, one.cores) for one in found] == [("one", 1, 8), ("two", 2, 16), ("four", 4, 32)]
    assert [one.speedup for one in found] == pytest.approx([1.0, 1.9, 3.6])
    assert [one.efficiency for one in found] == pytest.approx([1.0, 0.95, 0.9])


@pytest.mark.parametrize(
    "other",
    [
        {"status": "too many bad pictures"},
        {"attempts": 2},
        {"hosts": []},
        {"images_per_second": 0},
        {"counts": {"listed": 301, "features": 301, "errors": 0}},
        {"settings": record()["settings"] | {"engine": "tensorflow"}},
        {"weights": "random"},
        {"cpu": "another processor"},
    ],
)
def test_a_run_of_another_kind_or_not_in_one_go_is_compared_with_none(bucket: Bucket, other: dict[str, Any]) -> None:
    bucket.write_json(record_key("like"), record(hosts=["a"], cores=8))
    bucket.write_json(record_key("other"), record(**{"hosts": ["a"], "cores": 8} | other))
    bucket.write_json(record_key("none"), {})
    assert [run.run_id for run in of_its_kind(bucket, facts())] == ["like", RUN]


def test_a_run_that_was_gone_on_with_has_no_speed_to_compare(bucket: Bucket) -> None:
    assert of_its_kind(bucket, facts(attempts=2)) == []
