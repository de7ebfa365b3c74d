"""pipeline.storage.s3 against a real server, and against one that misbehaves."""

import os
from pathlib import Path

import pytest

from pipeline.errors import InputError, StorageError
from pipeline.pictures.listing import list_pictures
from pipeline.settings import RunSettings
from pipeline.storage import retries
from pipeline.storage.s3 import CHUNK_BYTES, QUICK_BYTES, S3Storage
from tests.doubles.aws.double import AwsDouble
from tests.doubles.aws.instance_metadata import Role, instance_metadata
from tests.doubles.s3.faulty import Fault, FaultyS3
from tests.doubles.s3.listing import key_of, listing_s3, size_of
from tests.doubles.s3.server import S3Server
from tests.pictures import NOT_LISTED, ODD
from tests.s3.conftest import Lead

DATA = os.urandom(100_000)


@pytest.fixture
def stored(pictures: S3Storage, faulty_s3: FaultyS3) -> S3Storage:
    """The prefix with one object, `Apple/1.jpg`, in it; no retry has been counted."""
    pictures.write("Apple/1.jpg", DATA)
    faulty_s3.seen.clear()
    return pictures


def paths(storage: S3Storage) -> list[str]:
    return [path for batch in storage.list() for path in batch["path"].to_pylist()]


def pictures_of(storage: S3Storage) -> list[str]:
    found: list[str] = list_pictures(storage, RunSettings(storage.uri, ""))["path"].to_pylist()
    return found


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", times=3, status=503, code="SlowDown"),
        Fault("status", times=2, status=500, code="InternalError"),
        Fault("reset"),
        Fault("truncate"),
        Fault("unmeasured"),
        Fault("lost"),
    ],
    ids=lambda fault: fault.code if fault.kind == "status" else fault.kind,
)
def test_a_get_that_fails_is_tried_again_and_counted(stored: S3Storage, faulty_s3: FaultyS3, fault: Fault) -> None:
    before = retries.count()
    with faulty_s3.spoiling(fault):
        assert stored.read("Apple/1.jpg") == DATA
    assert retries.count() - before == fault.times
    assert faulty_s3.count("GET", "Apple/1.jpg") == fault.times + 1


@pytest.mark.parametrize("kind", ["reset", "truncate", "unmeasured"])
def test_a_piece_of_an_object_is_whole_or_tried_again(stored: S3Storage, faulty_s3: FaultyS3, kind: str) -> None:
    with faulty_s3.spoiling(Fault(kind)):
        assert stored.read_range("Apple/1.jpg", 1000, 50_000) == DATA[1000:51_000]
    assert faulty_s3.count("GET", "Apple/1.jpg") == 2


def test_a_piece_that_reaches_beyond_the_end_is_no_piece(stored: S3Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.storage.s3_errors.LONGEST_PAUSE_SECONDS", 0.01)
    with pytest.raises(StorageError, match="99000 bytes came where 200000 were asked for"):
        stored.read_range("Apple/1.jpg", 1000, 200_000)


@pytest.mark.usefixtures("impatient")
def test_a_get_that_stalls_is_given_up_and_tried_again(stored: S3Storage, faulty_s3: FaultyS3) -> None:
    with faulty_s3.spoiling(Fault("stall")):
        assert stored.read("Apple/1.jpg") == DATA
    assert faulty_s3.count("GET", "Apple/1.jpg") == 2


def test_pauses_grow_and_differ(stored: S3Storage, faulty_s3: FaultyS3, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", pauses.append)
    for _ in range(4):
        with faulty_s3.spoiling(Fault("status", times=7)):
            stored.read("Apple/1.jpg")
    first, last = pauses[0::7], pauses[6::7]
    assert max(first) <= 0.2
    assert max(last) > 0.5
    assert max(pauses) <= 10
    assert len(set(pauses)) == len(pauses) == 28


def test_a_server_that_never_recovers_ends_in_one_sentence(
    stored: S3Storage, faulty_s3: FaultyS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    with faulty_s3.spoiling(Fault("status", times=100)), pytest.raises(StorageError) as raised:
        stored.read("Apple/1.jpg")
    assert faulty_s3.count("GET") == 8
    said = str(raised.value)
    assert said.startswith(f"{stored.uri}/Apple/1.jpg: S3 did not answer well in 8 attempts (")
    assert said.endswith("; start the same command again later (a run goes on with --resume).")
    assert "\n" not in said


def test_an_object_that_is_gone_or_forbidden_is_not_tried_again(stored: S3Storage, faulty_s3: FaultyS3) -> None:
    with pytest.raises(FileNotFoundError):
        stored.read("Apple/2.jpg")
    with (
        faulty_s3.spoiling(Fault("status", status=403, code="AccessDenied", times=9)),
        pytest.raises(PermissionError, match="access denied by the bucket"),
    ):
        stored.read("Apple/1.jpg")
    assert faulty_s3.count("GET") == 2


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("times", [1, QUICK_BYTES // len(DATA) + 1])
@pytest.mark.parametrize("kind", ["half", "lost", "status", "stall"])
def test_a_put_that_fails_in_the_middle_is_sent_again_whole(
    stored: S3Storage, faulty_s3: FaultyS3, kind: str, times: int
) -> None:
    before = retries.count()
    with faulty_s3.spoiling(Fault(kind, operation="PUT")):
        stored.write("part", DATA * times)
    assert stored.read("part") == DATA * times
    assert faulty_s3.count("PUT", "part") == 2
    assert retries.count() - before == 1


@pytest.mark.usefixtures("impatient")
def test_a_put_over_a_slow_line_is_no_silence(stored: S3Storage, faulty_s3: FaultyS3) -> None:
    before = retries.count()
    with faulty_s3.spoiling(Fault("slow", operation="PUT", times=9)):
        stored.write("part", bytes(40_000_000))
    assert faulty_s3.count("PUT", "part") == 1
    assert retries.count() == before


def test_a_put_that_never_comes_through_leaves_nothing_and_keeps_what_was_there(
    stored: S3Storage, faulty_s3: FaultyS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    with faulty_s3.spoiling(Fault("half", operation="PUT", times=100)):
        for key in ("part", "Apple/1.jpg"):
            with pytest.raises(StorageError):
                stored.write(key, b"new" * 10_000)
    assert paths(stored) == ["Apple/1.jpg"]
    assert stored.read("Apple/1.jpg") == DATA


@pytest.fixture(scope="module")
def large() -> bytes:
    """Two and a half chunks."""
    return os.urandom(CHUNK_BYTES * 5 // 2)


def test_a_large_file_goes_up_in_parts_and_a_failed_part_alone_is_sent_again(
    stored: S3Storage, faulty_s3: FaultyS3, large: bytes
) -> None:
    before = retries.count()
    with (
        faulty_s3.spoiling(
            Fault("half", operation="PART"), Fault("status", operation="PART"), Fault("status", operation="CREATE")
        ),
        stored.writer("large.bin") as stream,
    ):
        stream.write(large)
    assert stored.read("large.bin") == large
    assert (faulty_s3.count("PART"), faulty_s3.count("CREATE"), faulty_s3.count("PUT")) == (5, 2, 0)
    assert retries.count() - before == 3


def test_a_large_file_that_cannot_be_sent_is_aborted(
    stored: S3Storage, faulty_s3: FaultyS3, s3_server: S3Server, large: bytes
) -> None:
    with (
        faulty_s3.spoiling(Fault("status", operation="PART", status=403, code="AccessDenied", times=100)),
        pytest.raises(PermissionError),
        stored.writer("large.bin") as stream,
    ):
        stream.write(large)
    assert faulty_s3.count("DELETE UPLOAD") == 1
    assert "Uploads" not in s3_server.client().list_multipart_uploads(Bucket=stored.bucket)
    assert paths(stored) == ["Apple/1.jpg"]


def test_a_writer_whose_block_fails_sends_nothing(stored: S3Storage, faulty_s3: FaultyS3) -> None:
    with pytest.raises(RuntimeError), stored.writer("part") as stream:  # noqa: PT012  # the block is what is tested
        stream.write(b"half of the n")
        raise RuntimeError
    assert not faulty_s3.seen


def test_odd_keys_are_listed_and_read_as_they_stand(pictures: S3Storage) -> None:
    for name, data in {**ODD, **NOT_LISTED}.items():
        pictures.write(f"Odd ones/{name}", data)
    assert pictures_of(pictures) == sorted(f"Odd ones/{name}" for name in ODD)
    for name, data in ODD.items():
        assert pictures.read(f"Odd ones/{name}") == data


def test_keys_that_obstore_does_not_take_are_read_and_written_all_the_same(pictures: S3Storage) -> None:
    pictures.write("tab\there.jpg", DATA)
    assert paths(pictures) == ["tab\there.jpg"]
    assert pictures.read("tab\there.jpg") == DATA
    assert pictures.read_range("tab\there.jpg", 5, 10) == DATA[5:15]
    assert pictures.size("tab\there.jpg") == len(DATA)
    assert not pictures.exists("no tab\there.jpg")


def test_folder_objects_and_the_object_that_is_named_as_the_prefix_are_no_pictures(
    stored: S3Storage, s3_server: S3Server
) -> None:
    client = s3_server.client()
    for key in ("pictures/", "pictures/Pear/", "pictures.jpg", "pictures2/Apple/1.jpg"):
        client.put_object(Bucket=stored.bucket, Key=key, Body=b"")
    assert pictures_of(stored) == ["Apple/1.jpg"]


def test_an_object_that_is_named_as_the_prefix_does_not_hide_what_lies_below(moto_bucket: str) -> None:
    storage = S3Storage.at(f"s3://{moto_bucket}/pictures")
    S3Storage.at(f"s3://{moto_bucket}").write("pictures", b"an object")
    storage.write("Apple/1.jpg", DATA)
    assert pictures_of(storage) == ["Apple/1.jpg"]


def test_more_than_a_hundred_pages_are_listed_to_the_last_key(lead: Lead) -> None:
    keys = 10_001
    with listing_s3(keys, page=100) as endpoint:
        lead({"AWS_ENDPOINT_URL_S3": endpoint, "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"})
        table = list_pictures(S3Storage.at("s3://many/pictures"), RunSettings("s3://many/pictures", ""))
    assert table["path"].to_pylist() == [key_of(number).removeprefix("pictures/") for number in range(keys)]
    assert table["bytes"].to_pylist() == [size_of(number) for number in range(keys)]
    assert len(table["label"].unique()) == 11


def test_endpoint_and_keys_of_a_profile_are_used(
    stored: S3Storage, s3_server: S3Server, lead: Lead, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keys = s3_server.keys
    (tmp_path / "config").write_text(f"[profile fruit]\nregion = eu-west-1\nendpoint_url = {s3_server.endpoint_url}\n")
    (tmp_path / "credentials").write_text(
        f"[fruit]\naws_access_key_id = {keys.access_key_id}\naws_secret_access_key = {keys.secret_access_key}\n"
    )
    for name in s3_server.environment():
        monkeypatch.delenv(name)
    lead({"AWS_PROFILE": "fruit"})
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    assert paths(stored) == ["Apple/1.jpg"]
    assert stored.read("Apple/1.jpg") == DATA


@pytest.mark.parametrize("late", [0, 3], ids=["at once", "late"])
def test_the_role_of_an_instance_is_used_where_there_are_no_keys(
    late: int, moto_bucket: str, aws_double: AwsDouble, lead: Lead, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED"):
        monkeypatch.delenv(name)
    with instance_metadata(Role("AKIAROLE", "secret"), late) as endpoint:
        lead({"AWS_EC2_METADATA_SERVICE_ENDPOINT": endpoint, "AWS_ENDPOINT_URL": aws_double.endpoint_url})
        storage = S3Storage.at(f"s3://{moto_bucket}/pictures")
        storage.write("Apple/1.jpg", DATA)
        assert (paths(storage), storage.read("Apple/1.jpg")) == (["Apple/1.jpg"], DATA)


def test_the_general_endpoint_variable_is_used_where_there_is_none_for_s3(
    stored: S3Storage, s3_server: S3Server, lead: Lead, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    lead({"AWS_ENDPOINT_URL": s3_server.endpoint_url})
    assert stored.read("Apple/1.jpg") == DATA


def test_a_uri_without_a_bucket_is_refused() -> None:
    with pytest.raises(InputError, match="s3:///pictures names no bucket; write s3://bucket/prefix"):
        S3Storage.at("s3:///pictures")
