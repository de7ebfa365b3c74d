"""keep_in_bucket, which each minute puts what is new of event logs and notebooks into the bucket: its every effect."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
import zstandard

import keep_in_bucket
from tests.doubles.s3.faulty import Fault, FaultyS3

APP = "app-20261126120000-0000"
LOG = f"eventlog_v2_{APP}"
STARTED = json.dumps({"Event": "SparkListenerApplicationStart", "App Name": "orchard mine", "App ID": APP}).encode()

Keep = Callable[..., int]


@pytest.fixture
def s3(bucket: str) -> Any:
    return boto3.session.Session().client("s3")


@pytest.fixture
def kept(bucket: str, s3: Any) -> Callable[[], dict[str, bytes]]:
    """What is in the bucket, by key."""

    def read() -> dict[str, bytes]:
        listed = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
        return {entry["Key"]: s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read() for entry in listed}

    return read


@pytest.fixture
def keep(bucket: str, monkeypatch: pytest.MonkeyPatch) -> Keep:
    """The program with these words."""
    monkeypatch.setenv("ORCHARD_BUCKET", bucket)
    return lambda *words: keep_in_bucket.main([*map(str, words)])


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """Spark's folder, with the log of an application that goes on."""
    log = tmp_path / "events" / LOG
    log.mkdir(parents=True)
    (log / f"events_1_{APP}").write_bytes(b'{"Event":"SparkListenerLogStart"}\n' + STARTED + b"\n")
    (log / f"appstatus_{APP}.inprogress").touch()
    return log.parent


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where notebooks are, as the server's start leaves it, beside the folder of what was shipped."""
    for folder in ("home", "shipped"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "first_look.ipynb").write_text("as shipped")
    return tmp_path / "home"


@pytest.fixture
def keep_notebooks(keep: Keep, home: Path) -> Callable[[], int]:
    return lambda: keep("notebooks", home, home.parent / "shipped")


def test_the_log_of_a_job_that_goes_on_is_in_the_bucket_as_far_as_it_is_written(
    keep: Keep, kept: Callable[[], dict[str, bytes]], events: Path
) -> None:
    assert keep("events", events) == 0
    part = events / LOG / f"events_1_{APP}"
    assert kept().keys() == {
        f"events/{LOG}/events_1_{APP}.zstd",
        f"events/{LOG}/appstatus_{APP}.inprogress",
        f"events/names/orchard%20mine/{APP}",
    }
    assert zstandard.decompress(kept()[f"events/{LOG}/events_1_{APP}.zstd"]) == part.read_bytes()
    part.write_bytes(part.read_bytes() + b"more\n")
    assert keep("events", events) == 0
    assert zstandard.decompress(kept()[f"events/{LOG}/events_1_{APP}.zstd"]).endswith(b"more\n")


def test_where_nothing_has_changed_nobody_is_asked_anything(keep: Keep, events: Path, faulty_s3: FaultyS3) -> None:
    keep("events", events)
    faulty_s3.seen.clear()
    (events / LOG / f"events_2_{APP}").write_bytes(b"more\n")
    assert keep("events", events) == 0
    assert [seen.key.rpartition("/")[2] for seen in faulty_s3.seen] == [f"events_2_{APP}.zstd"]
    faulty_s3.seen.clear()
    assert keep("events", events) == 0
    assert not faulty_s3.seen


def test_an_application_that_has_ended_is_no_longer_under_way_in_the_bucket(
    keep: Keep, kept: Callable[[], dict[str, bytes]], events: Path
) -> None:
    keep("events", events)
    (events / LOG / f"appstatus_{APP}.inprogress").rename(events / LOG / f"appstatus_{APP}")
    assert keep("events", events) == 0
    assert {key for key in kept() if "appstatus" in key} == {f"events/{LOG}/appstatus_{APP}"}


def test_nor_is_one_whose_put_s3_had_done_when_its_answer_was_lost(
    keep: Keep, kept: Callable[[], dict[str, bytes]], events: Path, faulty_s3: FaultyS3
) -> None:
    # botocore asks thrice.
    with faulty_s3.spoiling(Fault("lost", "PUT", key=".inprogress", times=3)):
        assert keep("events", events) == keep_in_bucket.LEFT
    assert f"events/{LOG}/appstatus_{APP}.inprogress" in kept()
    (events / LOG / f"appstatus_{APP}.inprogress").rename(events / LOG / f"appstatus_{APP}")
    assert keep("events", events) == 0
    assert {key for key in kept() if "appstatus" in key} == {f"events/{LOG}/appstatus_{APP}"}


def test_what_spark_deletes_on_the_host_stays_in_the_bucket(
    keep: Keep, kept: Callable[[], dict[str, bytes]], events: Path
) -> None:
    keep("events", events)
    before = kept().keys()
    for file in (events / LOG).iterdir():
        file.unlink()
    (events / LOG).rmdir()
    assert keep("events", events) == 0
    assert kept().keys() == before
    assert json.loads((events / keep_in_bucket.NOTED).read_text())["kept"] == {}


def test_a_name_that_is_written_later_and_one_of_a_compressed_part_are_found(
    keep: Keep, kept: Callable[[], dict[str, bytes]], events: Path
) -> None:
    part = events / LOG / f"events_1_{APP}"
    part.write_bytes(b'{"Event":"SparkListenerLogStart"}\n')
    keep("events", events)
    assert not any(key.startswith("events/names") for key in kept())
    part.write_bytes(STARTED.replace(b"orchard mine", b"../\\u001bmine"))
    other = events / "eventlog_v2_local-1"
    other.mkdir()
    (other / "events_1_local-1.zstd").write_bytes(zstandard.compress(STARTED))
    keep("events", events)
    names = {key for key in kept() if key.startswith("events/names")}
    assert names == {f"events/names/%2E.%2F%1Bmine/{APP}", "events/names/orchard%20mine/local-1"}
    # As Spark wrote it.
    assert kept()["events/eventlog_v2_local-1/events_1_local-1.zstd"] == (other / "events_1_local-1.zstd").read_bytes()


def test_what_is_no_part_of_a_log_is_left_and_no_link_is_followed(
    keep: Keep, kept: Callable[[], dict[str, bytes]], events: Path
) -> None:
    secret = events.parent / "secret"
    secret.write_text("of somebody else")
    (events / LOG / f"events_9_{APP}").symlink_to(secret)
    (events / "eventlog_v2_link").symlink_to(events / LOG)
    (events / LOG / "notes.txt").write_text("mine")
    os.mkfifo(events / LOG / f"events_8_{APP}")
    assert keep("events", events) == 0
    assert len(kept()) == 3


def test_without_s3_it_says_so_and_goes_on_the_next_minute(
    keep: Keep,
    kept: Callable[[], dict[str, bytes]],
    events: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    endpoint = os.environ["AWS_ENDPOINT_URL_S3"]
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    assert keep("events", events) == keep_in_bucket.LEFT
    assert capsys.readouterr().err.startswith("<4>events were not kept to the last: S3: EndpointConnectionError: ")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    assert keep("events", events) == 0
    assert len(kept()) == 3


def test_a_part_that_is_too_large_is_told_of_once_and_keeps_no_other_from_coming(
    keep: Keep, kept: Callable[[], dict[str, bytes]], events: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keep_in_bucket, "FILE_BYTES", 1000)
    (events / LOG / f"events_2_{APP}").write_bytes(bytes(1001))
    assert keep("events", events) == keep_in_bucket.LEFT
    assert len(kept()) == 3
    assert keep("events", events) == 0


def test_when_the_time_is_over_the_rest_is_left_for_the_next_minute(
    keep: Keep, kept: Callable[[], dict[str, bytes]], events: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keep_in_bucket, "SECONDS", -1.0)
    assert keep("events", events) == keep_in_bucket.LEFT
    assert not kept()
    monkeypatch.undo()


def test_a_request_that_is_not_answered_ends_by_the_clock_and_what_was_put_by_then_is_noted(
    keep: Keep, events: Path, faulty_s3: FaultyS3
) -> None:
    words = [sys.executable, keep_in_bucket.__file__, "events", str(events)]
    with faulty_s3.gate("PUT", "appstatus") as gate:
        process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        gate.wait_until_reached(process)
        # As the kernel does when the time is over.
        process.send_signal(signal.SIGALRM)
        told = process.communicate(timeout=60)[1]
        assert gate.held == 1
    assert process.returncode == keep_in_bucket.LEFT
    assert told.startswith("<4>events were not kept to the last: S3: LateError: ")
    assert f"{LOG}/events_1_{APP}" in json.loads((events / keep_in_bucket.NOTED).read_text())["kept"]


def test_a_file_that_goes_meanwhile_keeps_no_other_from_coming(
    keep: Keep, kept: Callable[[], dict[str, bytes]], events: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = keep_in_bucket.found

    def found(*words: Any) -> dict[str, keep_in_bucket.Stamp]:
        there = find(*words)
        (events / LOG / f"events_1_{APP}").unlink()
        return there

    monkeypatch.setattr(keep_in_bucket, "found", found)
    assert keep("events", events) == 0
    assert kept().keys() == {f"events/{LOG}/appstatus_{APP}.inprogress"}


# Notebooks


def test_notebooks_that_were_changed_are_kept_and_what_was_shipped_is_not(
    keep_notebooks: Callable[[], int], kept: Callable[[], dict[str, bytes]], home: Path
) -> None:
    (home / "mine.ipynb").write_text("mine")
    (home / "deep").mkdir()
    (home / "deep" / "er.ipynb").write_text("deeper")
    for hidden in (".ipynb_checkpoints/mine.ipynb", ".local/x.ipynb", "data.csv"):
        (home / hidden).parent.mkdir(exist_ok=True)
        (home / hidden).write_text("no")
    (home / "link.ipynb").symlink_to(home.parent / "shipped" / "first_look.ipynb")
    (home / "linked").symlink_to(home.parent / "shipped")
    assert keep_notebooks() == 0
    assert kept() == {"notebooks/mine.ipynb": b"mine", "notebooks/deep/er.ipynb": b"deeper"}
    (home / "first_look.ipynb").write_text("changed")
    (home / "mine.ipynb").unlink()
    assert keep_notebooks() == 0
    # What a person deletes stays there.
    assert kept().keys() == {"notebooks/mine.ipynb", "notebooks/deep/er.ipynb", "notebooks/first_look.ipynb"}


def test_a_new_host_has_them_back_and_nothing_that_is_there_is_written_over(
    keep_notebooks: Callable[[], int], kept: Callable[[], dict[str, bytes]], home: Path, s3: Any, bucket: str
) -> None:
    for name in ("mine", "deep/er", "first_look"):
        s3.put_object(Bucket=bucket, Key=f"notebooks/{name}.ipynb", Body=f"{name} of before".encode())
    (home / "mine.ipynb").write_text("newer")
    (home / "first_look.ipynb").unlink()
    assert keep_notebooks() == 0
    assert (home / "deep" / "er.ipynb").read_text() == "deep/er of before"
    assert (home / "first_look.ipynb").read_text() == "first_look of before"
    assert (home / "mine.ipynb").read_text() == "newer"
    assert kept()["notebooks/mine.ipynb"] == b"newer"
    # What is deleted then stays deleted here.
    (home / "deep" / "er.ipynb").unlink()
    assert keep_notebooks() == 0
    assert not (home / "deep" / "er.ipynb").exists()


def test_a_key_that_would_be_a_file_elsewhere_or_a_setting_is_left(
    home: Path, moto_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = boto3.session.Session().client("s3")
    monkeypatch.setenv("ORCHARD_BUCKET", moto_bucket)
    hostile = ("../out.ipynb", "/abs.ipynb", "a//b.ipynb", ".ipython/startup/x.ipynb", "pandas.py", "a\\b.ipynb")
    for name in (*hostile, "x\x1b.ipynb", "good.ipynb", "linked/in.ipynb"):
        s3.put_object(Bucket=moto_bucket, Key=f"notebooks/{name}", Body=b"planted")
    elsewhere = home.parent / "elsewhere"
    elsewhere.mkdir()
    (home / "linked").symlink_to(elsewhere)
    keep_in_bucket.main(["notebooks", str(home), str(home.parent / "shipped")])
    found = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    assert found == {"first_look.ipynb", "good.ipynb", keep_in_bucket.NOTED}
    assert not list(elsewhere.iterdir())
    assert {path.name for path in home.parent.iterdir()} == {"home", "shipped", "elsewhere"}


def test_while_nobody_knows_what_is_in_the_bucket_nothing_there_is_written_over(
    keep_notebooks: Callable[[], int], kept: Callable[[], dict[str, bytes]], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "mine.ipynb").write_text("mine")
    with monkeypatch.context() as broken:
        broken.setattr(keep_in_bucket.Bucket, "keys", lambda *_: 1 / 0)
        assert keep_notebooks() == keep_in_bucket.LEFT
    assert kept() == {}
    assert keep_notebooks() == 0
    assert kept().keys() == {"notebooks/mine.ipynb"}


def test_what_was_noted_of_another_bucket_or_is_broken_is_nothing(
    keep_notebooks: Callable[[], int], kept: Callable[[], dict[str, bytes]], home: Path
) -> None:
    (home / "mine.ipynb").write_text("mine")
    noted = home / keep_in_bucket.NOTED
    for content in ("[1]", "{", json.dumps({"bucket": "other", "kept": {}, "named": [], "is_restored": True})):
        noted.write_text(content)
        assert keep_notebooks() == 0
        assert json.loads(noted.read_text())["kept"]["mine.ipynb"][2] is True
    assert kept() == {"notebooks/mine.ipynb": b"mine"}


def test_a_key_that_has_no_place_here_is_told_of_once_and_what_is_deleted_stays_deleted(
    home: Path, moto_bucket: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    s3 = boto3.session.Session().client("s3")
    monkeypatch.setenv("ORCHARD_BUCKET", moto_bucket)
    for name in ("good.ipynb", "work/a.ipynb", f"{'x' * 256}/b.ipynb"):
        s3.put_object(Bucket=moto_bucket, Key=f"notebooks/{name}", Body=b"mine")
    s3.put_object(Bucket=moto_bucket, Key="notebooks/old.ipynb", Body=b"mine", StorageClass="GLACIER")
    (home / "work").write_text("a file")
    words = ["notebooks", str(home), str(home.parent / "shipped")]
    assert keep_in_bucket.main(words) == keep_in_bucket.LEFT
    told = capsys.readouterr().err
    assert told.count("\n") == 3
    assert all(name in told for name in ("work/a.ipynb: FileExistsError", "b.ipynb: OSError", "old.ipynb: Invalid"))
    (home / "good.ipynb").unlink()
    assert keep_in_bucket.main(words) == 0
    assert not (home / "good.ipynb").exists()


def test_what_s3_did_not_give_comes_the_next_minute_and_what_was_deleted_meanwhile_does_not(
    keep_notebooks: Callable[[], int], home: Path, s3: Any, bucket: str, faulty_s3: FaultyS3
) -> None:
    for name in ("a", "b"):
        s3.put_object(Bucket=bucket, Key=f"notebooks/{name}.ipynb", Body=b"mine")
    # botocore asks thrice.
    with faulty_s3.spoiling(Fault("status", key="b.ipynb", times=3)):
        assert keep_notebooks() == keep_in_bucket.LEFT
    assert not (home / "b.ipynb").exists()
    (home / "a.ipynb").unlink()
    assert keep_notebooks() == 0
    assert (home / "b.ipynb").read_text() == "mine"
    assert not (home / "a.ipynb").exists()


def test_a_data_set_beside_the_notebooks_keeps_none_of_them_from_the_bucket(
    keep_notebooks: Callable[[], int],
    kept: Callable[[], dict[str, bytes]],
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(keep_in_bucket, "FOLDER_ENTRIES", 10)
    monkeypatch.setattr(keep_in_bucket, "LOOKED_AT", 40)
    for name in ("a/mine.ipynb", "z/many/1/data.csv", *(f"z/many/{number}.jpg" for number in range(20))):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("mine")
    assert keep_notebooks() == keep_in_bucket.LEFT
    assert kept() == {"notebooks/a/mine.ipynb": b"mine"}
    assert "z/many/: there are more than 10 entries" in capsys.readouterr().err
    # Folder by folder, the shallow ones first: however many there are, none hides what lies higher.
    for number in range(8):
        for name in ("x", "y"):
            (home / "z" / "many" / f"folder{number}" / name).mkdir(parents=True)
    shutil.rmtree(home / "z" / "many" / "1")
    for picture in (home / "z" / "many").glob("*.jpg"):
        picture.unlink()
    monkeypatch.setattr(keep_in_bucket, "LOOKED_AT", 16)
    (home / "a" / "later.ipynb").write_text("mine")
    assert keep_notebooks() == keep_in_bucket.LEFT
    assert kept().keys() == {"notebooks/a/mine.ipynb", "notebooks/a/later.ipynb"}
    assert "there are too many files, and the rest is left" in capsys.readouterr().err
