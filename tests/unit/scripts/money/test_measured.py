"""What a run tells of its workers' type, kept in the bucket, where others may write, too."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scripts.aws.bucket import RATES_KEY, Bucket
from scripts.money import measured
from scripts.money.measured import Measured
from tests.unit.scripts.conftest import REGION

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
ONE = Measured("c7a.2xlarge", "f32", 700.5, 20_622, "full-1", AT)
RECORD = {
    "status": "complete",
    "ended_at": AT,
    "counts": {"listed": 20_630, "features": 20_622, "errors": 8},
    "seconds": {"features": 14.7},
    "cores": 16,
    "images_per_second": 1401.0,
    "attempts": 1,
    "engine": "openvino",
    "precision": "f32",
    "image_size": 224,
    "network_share": 0.9,
    "hosts": 2,
    "processors": 1,
    "losses": 0,
}


@pytest.fixture
def bucket(aws: Callable[[str], Any]) -> Bucket:
    aws("s3").create_bucket(Bucket="orchard-x", CreateBucketConfiguration={"LocationConstraint": REGION})
    return Bucket("orchard-x", REGION)


def kept(bucket: Bucket, *entries: Any) -> dict[tuple[str, str], Measured]:
    """What is read where these entries lie."""
    bucket.write_json(RATES_KEY, {"version": 1, "rates": list(entries)})
    return measured.read([bucket])


def entry(**more: Any) -> dict[str, Any]:
    return vars(ONE) | {"at": AT.isoformat()} | more


def test_a_whole_run_tells_the_rate_of_one_worker() -> None:
    assert measured.of_run("full-1", RECORD, "c7a.2xlarge", 2) == ONE
    assert (ONE.rate.kind, ONE.rate.source) == ("measured", "run full-1, 2026-11-20")


@pytest.mark.parametrize(
    "more",
    [
        {"status": "too many bad pictures"},
        {"attempts": 2},
        {"losses": 1},
        {"processors": 2},
        {"hosts": 1},
        {"hosts": 3},
        {"engine": "tensorflow"},
        {"precision": "int8"},
        {"image_size": 160},
        {"counts": {"features": measured.LEAST_PICTURES - 1}},
        {"images_per_second": 0.0},
        {"network_share": 0.5},
        {"images_per_second": 1e9},
        {"ended_at": datetime.now(UTC) + timedelta(hours=1)},
    ],
    ids=lambda more: "-".join(more),
)
def test_a_run_that_was_resumed_mixed_short_or_waited_for_its_pictures_tells_nothing(more: dict[str, Any]) -> None:
    assert measured.of_run("full-1", RECORD | more, "c7a.2xlarge", 2) is None


def test_what_is_kept_is_read_again_and_the_newer_takes_the_olders_place(bucket: Bucket) -> None:
    assert measured.read([bucket]) == {}
    measured.keep(bucket, ONE)
    later = Measured("c7a.2xlarge", "f32", 800.0, 20_622, "full-2", AT + timedelta(days=1))
    other = Measured("c7a.2xlarge", "bf16", 900.0, 20_622, "full-3", AT)
    measured.keep(bucket, later)
    measured.keep(bucket, other)
    assert measured.read([bucket]) == {("c7a.2xlarge", "f32"): later, ("c7a.2xlarge", "bf16"): other}
    assert bucket.keys("rates/") == [RATES_KEY]


def test_of_two_buckets_the_newest_of_each_type_counts(bucket: Bucket, aws: Callable[[str], Any]) -> None:
    aws("s3").create_bucket(Bucket="orchard-y", CreateBucketConfiguration={"LocationConstraint": REGION})
    second = Bucket("orchard-y", REGION)
    older = Measured("c7a.2xlarge", "f32", 1.0, 20_622, "old", AT - timedelta(days=1))
    measured.keep(second, older)
    measured.keep(bucket, ONE)
    assert measured.read([bucket, second]) == measured.read([second, bucket]) == {("c7a.2xlarge", "f32"): ONE}


@pytest.mark.parametrize(
    "forged",
    [
        {"instance_type": "c7a\x1b[2J.2xlarge"},
        {"instance_type": ["c7a.2xlarge"]},
        {"precision": "int8"},
        {"precision": {}},
        {"per_second": float("inf")},
        {"per_second": float("nan")},
        {"per_second": 1e12},
        {"per_second": -1},
        {"per_second": "fast"},
        {"pictures": 1},
        {"pictures": float("inf")},
        {"run_id": "../../x"},
        {"run_id": None},
        {"at": "2999-01-01T00:00:00+00:00"},
        {"at": "2001-01-01T00:00:00+00:00"},
        {"at": "2026-11-20T12:00:00"},
        {"at": 7},
    ],
    ids=str,
)
def test_what_has_not_an_entrys_form_is_left_out(bucket: Bucket, forged: dict[str, Any]) -> None:
    assert kept(bucket, entry(**forged)) == {}
    assert kept(bucket, entry(), entry(**forged)) == {("c7a.2xlarge", "f32"): ONE}


@pytest.mark.parametrize("content", [None, [], "x", {"rates": "x"}, {"rates": {"a": 1}}, {}, {"rates": [None, 7, []]}])
def test_an_object_of_somebody_elses_is_as_good_as_none(bucket: Bucket, content: Any) -> None:
    bucket.write_json(RATES_KEY, content)
    assert measured.read([bucket]) == {}
    measured.keep(bucket, ONE)
    assert measured.read([bucket]) == {("c7a.2xlarge", "f32"): ONE}


def test_the_object_stays_small_whoever_has_filled_it(bucket: Bucket) -> None:
    bucket.write_json(RATES_KEY, {"rates": [entry(instance_type=f"x{n}.large") for n in range(1000)]})
    assert len(measured.read([bucket])) == measured.MOST_ENTRIES
    measured.keep(bucket, Measured("c7a.2xlarge", "f32", 700.5, 20_622, "full-1", AT + timedelta(days=1)))
    rates = bucket.read_json(RATES_KEY)["rates"]
    assert len(rates) == measured.MOST_ENTRIES
    assert rates[-1]["instance_type"] == "c7a.2xlarge"
