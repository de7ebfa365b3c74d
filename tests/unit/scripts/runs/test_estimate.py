"""What `make run` says before a run begins: how many pictures, at whose pace, and that it never stands in the way."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scripts.aws.bucket import Bucket
from scripts.errors import HostError
from scripts.runs import estimate
from scripts.runs.estimate import Asked, Count
from scripts.runs.submission import Submission, words_of
from tests.doubles.fake_hosts import FakeHosts, cluster_of
from tests.unit.scripts.conftest import REGION

ROOT = Path(__file__).resolve().parents[4]
CLUSTER = cluster_of()
EVERY = Asked(None, (), "openvino", "f32")
SUBMISSION = Submission("r", "full", (), "imagenet", "2026-01-01T00:00:00+00:00", 0.9, "USD")
RECORD: dict[str, Any] = {
    "status": "complete",
    "ended_at": "2026-01-01T00:00:00+00:00",
    "counts": {"listed": 300, "features": 300, "errors": 0},
    "seconds": {"total": 30.0, "features": 20.0},
    "images_per_second": 15.0,
    "cores": 8,
    "settings": {"engine": "openvino", "precision": "f32"},
}

Aws = Callable[[str], Any]


@pytest.fixture
def bucket(aws: Aws) -> Bucket:
    """A bucket with seven pictures in three classes, and what is none."""
    aws("s3").create_bucket(Bucket=CLUSTER.bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    names = ["Apple Braeburn/0.jpg", "Apple Braeburn/1.JPG", "Apple Red 1/0.png", "Pear/0.jpg", "Pear/1.jpg"]
    others = ["Pear/.0.jpg", "Pear/notes.txt", "labels.csv", "Apple Red 1/"]
    for name in [*names, "Pear/more/0.webp", "Apple Red 1/9.avif", *others]:
        aws("s3").put_object(Bucket=CLUSTER.bucket, Key=f"pictures/{name}", Body=b"x")
    return Bucket(CLUSTER.bucket, REGION)


@pytest.fixture
def hosts() -> FakeHosts:
    """A master with eight cores of workers."""
    fake = FakeHosts(CLUSTER)
    fake.answer_run(CLUSTER.master, "master-state", {"alive": [], "applications": [], "cores": 8})
    return fake


def a_run(bucket: Bucket, run_id: str, **more: Any) -> None:
    bucket.write_json(f"runs/{run_id}/run.json", RECORD | more)


@pytest.mark.parametrize(
    ("words", "pictures"),
    [
        ("", 7),
        ("--limit 3", 3),
        ("--limit=100", 7),
        ("--limit 3 --limit 5", 5),
        ("--classes 'Apple Braeburn' --components 50", 2),
        ("--classes 'Apple*'", 4),
        ("--classes 'Apple*' --limit 3", 3),
        ("--classes Pear 'Apple R*' --variance 0.9", 4),
        # A folder's own name is the class, however deep it lies.
        ("--classes more", 1),
        ("--classes Cherry", 0),
    ],
)
def test_those_pictures_count_that_the_job_would_take(bucket: Bucket, words: str, pictures: int) -> None:
    asked = estimate.asked_of(words_of("full", words))
    assert estimate.count_pictures(bucket, asked) == Count(pictures, is_more=False)


def test_only_folders_of_the_chosen_classes_are_listed(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[str] = []

    def pages(_: Bucket, prefix: str) -> Iterator[list[str]]:
        listed.append(prefix)
        yield []

    monkeypatch.setattr(Bucket, "key_pages", pages)
    estimate.count_pictures(bucket, replace(EVERY, classes=("Apple*",)))
    assert listed == ["pictures/Apple Braeburn/", "pictures/Apple Red 1/"]


def test_counting_ends_after_so_many_pages_or_so_long(
    bucket: Bucket, hosts: FakeHosts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = [f"pictures/Pear/{number}.jpg" for number in range(1000)]
    monkeypatch.setattr(Bucket, "key_pages", lambda *_: iter([page] * 300))
    assert estimate.count_pictures(bucket, EVERY) == Count(200_000, is_more=True)
    assert estimate.say(hosts, bucket, SUBMISSION) is None
    assert capsys.readouterr().out.startswith(
        "This run takes more than 200,000 pictures: more than 4 min 52 s and 0.07"
    )
    monkeypatch.setattr(estimate, "COUNT_SECONDS", -1.0)
    assert estimate.count_pictures(bucket, EVERY) == Count(0, is_more=True)


def test_without_a_run_like_it_the_pace_is_the_measured_one_of_each_core(
    bucket: Bucket, hosts: FakeHosts, capsys: pytest.CaptureFixture[str]
) -> None:
    assert estimate.say(hosts, bucket, SUBMISSION) == pytest.approx(17 + 7 / 728)
    assert capsys.readouterr().out == (
        "This run takes 7 pictures: about 17 s and less than 0.01 USD, at 728 pictures a second, measured on other "
        "machines (benchmarks/ways.md, 2026-11-24).\n"
    )
    estimate.say(hosts, bucket, replace(SUBMISSION, price_per_hour=None, words=("--precision", "bf16")))
    assert "about 17 s, at 1,104 pictures a second" in capsys.readouterr().out


def test_the_pace_is_that_of_the_last_run_like_it(bucket: Bucket, hosts: FakeHosts) -> None:
    a_run(bucket, "a")
    a_run(bucket, "b", ended_at="2026-01-03T00:00:00+00:00", images_per_second=3.5, seconds={"total": 9, "features": 2})
    a_run(bucket, "c", ended_at="2026-01-02T00:00:00+00:00")
    assert estimate.say(hosts, bucket, SUBMISSION) == pytest.approx(7 + 7 / 3.5)


@pytest.mark.parametrize(
    "more",
    [
        {"cores": 16},
        {"status": "too many bad pictures"},
        {"settings": {"engine": "openvino", "precision": "bf16"}},
        {"settings": {"engine": "tensorflow", "precision": "f32"}},
        {"settings": {"engine": "openvino", "precision": "f32", "decode": "fast"}},
        {"attempts": 2},
        {"images_per_second": 0},
        {"images_per_second": float("inf")},
        {"cores": None},
        {"seconds": {"total": 30.0}},
        {"settings": None},
    ],
)
def test_a_run_that_was_not_like_it_tells_no_pace(bucket: Bucket, more: dict[str, Any]) -> None:
    a_run(bucket, "a", **more)
    assert estimate.pace_of(bucket, EVERY, 8, 7).source == estimate.MEASURED


def test_a_run_of_a_few_pictures_tells_no_pace_for_many(bucket: Bucket) -> None:
    a_run(bucket, "a")
    assert estimate.pace_of(bucket, EVERY, 8, 3000).source == "as in run a"
    assert estimate.pace_of(bucket, EVERY, 8, 3001).source == estimate.MEASURED


def unknown(hosts: FakeHosts, bucket: Bucket, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert estimate.say(hosts, bucket, replace(SUBMISSION, words=words)) is None
    [said] = capsys.readouterr().out.splitlines()
    assert said.startswith("What this run will take is not known: ")
    return said.partition(": ")[2]


def test_what_cannot_be_known_is_said_and_nothing_is_raised(
    bucket: Bucket, hosts: FakeHosts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert unknown(hosts, bucket, capsys, "--classes", "Cherry") == (
        f"no loose picture of these was found in s3://{CLUSTER.bucket}/pictures."
    )
    assert unknown(hosts, bucket, capsys, "--limit", "few").startswith("argument --limit: invalid int value")
    assert unknown(hosts, bucket, capsys, "--precision", "f\x1b\n8") == "nobody has measured openvino at f\\x1b\\n8."
    assert unknown(hosts, Bucket("none", REGION), capsys).startswith("AWS would not list s3://none/pictures")
    hosts.answer_run(CLUSTER.master, "master-state", None)
    assert unknown(hosts, bucket, capsys) == "Spark's master does not say how many cores it has."
    hosts.answer_run(CLUSTER.master, "master-state", HostError("No answer."))
    assert unknown(hosts, bucket, capsys) == "No answer."


def test_a_bucket_that_hangs_is_not_waited_for(
    bucket: Bucket, hosts: FakeHosts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(estimate, "SECONDS", 0.05)
    monkeypatch.setattr(estimate, "count_pictures", lambda *_: time.sleep(0.5))
    began = time.monotonic()
    assert unknown(hosts, bucket, capsys) == "the bucket did not answer within 0 s."
    assert time.monotonic() - began < 0.4


def test_the_measured_pace_is_the_benchmarks() -> None:
    page = (ROOT / "benchmarks" / "ways.md").read_text()
    measured = {}
    few, many = page.split("20,622 pictures, ")
    for pictures, rows, way in (
        (20_622, many, "(d) Orchard, OpenVINO f32"),
        (20_622, many, "(e) Orchard, OpenVINO bf16"),
        (2_000, few, "(c) Orchard, TensorFlow"),
    ):
        [row] = re.findall(rf"^\| {re.escape(way)}, S3 \|(.*)\|$", rows, re.MULTILINE)
        _, _, _, features, _, _, in_all, *_ = (cell.strip() for cell in row.split("|"))
        measured[way] = (round(pictures / float(features) / 2), round(float(in_all) - float(features)))
    assert [pace for pace, _ in measured.values()] == list(estimate.PER_CORE.values())
    assert measured["(d) Orchard, OpenVINO f32"][1] == estimate.FIXED_SECONDS
    assert "2 cores, 2026-11-24" in page
