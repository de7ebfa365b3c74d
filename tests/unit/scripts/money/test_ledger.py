"""A cluster's ledger: what counts as an entry, how one that is open is closed, when EC2 says that a host stopped."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scripts.aws.bucket import Bucket
from scripts.money import ledger
from tests.unit.scripts.conftest import REGION
from tests.unit.scripts.money.ledger_entries import CLOSED, ENTRY, KEY, STARTED, of_time

Aws = Callable[[str], Any]


@pytest.fixture
def bucket(aws: Aws) -> Bucket:
    """A bucket with an entry that is open."""
    aws("s3").create_bucket(Bucket="fruits", CreateBucketConfiguration={"LocationConstraint": REGION})
    made = Bucket("fruits", REGION)
    made.write_json(KEY, ENTRY)
    return made


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 2, 1, hour, minute, tzinfo=UTC)


def test_an_entry_is_read_as_its_keeper_wrote_it(bucket: Bucket) -> None:
    [stretch] = ledger.entries(bucket, "fruits")
    assert (stretch.started_at, stretch.end, stretch.ended_at, stretch.why) == (at(10), at(12), None, None)
    assert (stretch.hours, stretch.work_hours, stretch.master_id) == (2.0, 1.5, "i-1")
    assert stretch.usd == ledger.Usd(3.0, 1.0, 0.2, 0.4, 0.001)
    assert [(run.run_id, run.code, run.pictures) for run in stretch.runs] == [("r", 0, 300), ("s", None, None)]
    assert ledger.key_of(stretch) == KEY


def test_the_oldest_comes_first_and_the_latest_is_the_newest(bucket: Bucket) -> None:
    assert ledger.latest(bucket, "other") is None
    for started in ("2026-02-03T10:00", "2026-01-30T10:00"):
        bucket.write_json(*of_time(started, started.replace("T10", "T11")))
    found = ledger.entries(bucket, "fruits")
    assert [stretch.started_at.day for stretch in found] == [30, 1, 3]
    assert ledger.latest(bucket, "fruits") == found[-1]


def test_without_a_price_the_hours_count(bucket: Bucket) -> None:
    bucket.write_json(KEY, ENTRY | dict.fromkeys(("usd", "currency", "spot_saved_usd", "disks_per_hour")))
    [stretch] = ledger.entries(bucket, "fruits")
    assert (stretch.usd, stretch.hours) == (None, 2.0)


@pytest.mark.parametrize(
    "forged",
    [
        {"version": 2},
        {"cluster": "other"},
        {"cluster": None},
        {"started_at": "2026-02-01T10:00:01+00:00"},
        {"started_at": "2026-02-01T10:00:00"},
        {"started_at": 7},
        {"seen_at": "2026-02-01T09:00:00+00:00"},
        {"seen_at": "2026-02-01T09:00:00+00:00", "ended_at": "2026-02-01T12:00:00+00:00"},
        {"seen_at": "9999-12-31T23:59:59-12:00"},
        {"ended_at": "2999-01-01T00:00:00+00:00"},
        {"ended_at": "2026-02-01T09:00:00+00:00"},
        {"gone_at": "2026-02-01T11:00:00+00:00"},
        {"hours": {"work": float("nan"), "idle": 0}},
        {"hours": {"work": 1}},
        {"usd": ENTRY["usd"] | {"idle": -1}},
        {"usd": ENTRY["usd"] | {"disks": float("inf")}},
        {"usd": ENTRY["usd"] | {"disks": 10**400}},
        {"usd": 12},
        {"currency": "EUR"},
        {"spot_saved_usd": "much"},
        {"hosts": [{"name": "master"}]},
        {"hosts": [{"name": ["master"], "id": "i-1", "type": "x", "spot": False, "hours": 1}]},
        {"hosts": 7},
        {"runs": None},
        {"why": {"idle": 1}},
    ],
)
def test_what_does_not_have_the_form_is_no_entry(bucket: Bucket, forged: dict[str, Any]) -> None:
    bucket.write_json(KEY, ENTRY | forged)
    assert ledger.entries(bucket, "fruits") == []


def test_a_copy_under_another_key_does_not_count_again(bucket: Bucket) -> None:
    for key in ("ledger/fruits/20260201T100000Z.json.old", "ledger/fruits/x/20260201T100000Z.json", "ledger/fruits/"):
        bucket.write_json(key, ENTRY)
    bucket.write_json("ledger/fruits/x/20260201T100000Z.json", ENTRY | {"cluster": "fruits/x"})
    for content in ([], "words", 7, None):
        bucket.write_json("ledger/fruits/20260202T100000Z.json", content)
        assert len(ledger.entries(bucket, "fruits")) == 1


def test_one_that_is_closed_counts_the_time_since_its_keepers_last_word_as_idle(bucket: Bucket) -> None:
    [stretch] = ledger.entries(bucket, "fruits")
    bucket.write_json(KEY, ENTRY | {"of a later version": 1})
    closed = ledger.close(bucket, stretch, at(13), "make down")
    # An hour more, at the average of the two before.
    assert (closed.work_hours, closed.idle_hours) == (1.5, 1.5)
    assert closed.usd == ledger.Usd(3.0, pytest.approx(3.0), pytest.approx(0.3), pytest.approx(0.6), 0.001)
    assert closed.spot_saved_usd == pytest.approx(1.2)
    assert (closed.seen_at, closed.ended_at, closed.why, closed.gone_at) == (at(13), at(13), "make down", at(13))
    assert ledger.entries(bucket, "fruits") == [closed]
    assert bucket.read_json(KEY)["of a later version"] == 1


def test_one_that_ended_when_it_was_seen_last_costs_no_more(bucket: Bucket) -> None:
    [stretch] = ledger.entries(bucket, "fruits")
    closed = ledger.close(bucket, stretch, stretch.seen_at, "unknown")
    assert (closed.hours, closed.usd, closed.ended_at, closed.gone_at) == (2.0, stretch.usd, at(12), None)


def test_what_its_keeper_closed_meanwhile_stays_as_it_is(bucket: Bucket) -> None:
    [stretch] = ledger.entries(bucket, "fruits")
    bucket.write_json(KEY, CLOSED)
    assert ledger.close(bucket, stretch, at(15), "make down").why == "idle for 30 minutes"
    assert bucket.read_json(KEY) == CLOSED


def test_that_the_disks_are_gone_is_noted_in_what_ended_before(bucket: Bucket) -> None:
    bucket.write_json(KEY, CLOSED)
    [stretch] = ledger.entries(bucket, "fruits")
    gone = ledger.mark_gone(bucket, stretch, at(20))
    assert (gone.ended_at, gone.gone_at) == (at(12), at(20))
    assert ledger.entries(bucket, "fruits") == [gone]


@pytest.mark.parametrize(
    ("reason", "hour"),
    [
        ("User initiated (2026-02-01 10:00:00 GMT)", 10),
        ("User initiated (2026-02-01 11:00:00 UTC)", 11),
        ("User initiated", None),
        ("Server.ScheduledStop", None),
        ("User initiated (2026-02-31 10:00:00 GMT)", None),
        ("", None),
        (None, None),
    ],
)
def test_when_an_instance_stopped_is_read_from_its_reason(reason: str | None, hour: int | None) -> None:
    instance = {"State": {"Name": "stopped"}, "StateTransitionReason": reason}
    assert ledger.stopped_at(instance) == (hour and at(hour))
    assert ledger.stopped_at(instance | {"State": {"Name": "terminated"}}) is None


def test_an_instance_that_was_stopped_just_now_says_so(aws: Aws) -> None:
    ec2 = aws("ec2")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    [made] = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"]
    ec2.stop_instances(InstanceIds=[made["InstanceId"]])
    [group] = ec2.describe_instances()["Reservations"]
    stopped = ledger.stopped_at(group["Instances"][0])
    assert stopped is not None
    assert abs(datetime.now(UTC) - stopped) < timedelta(minutes=1)
    assert ledger.stopped_at(made) is None


def test_an_entry_begins_when_its_key_says() -> None:
    assert of_time(STARTED[:16], "2026-02-01T12:00", ENTRY) == (KEY, ENTRY)
