"""Answers that lie: what was done is denied, half of an object is called the whole, a list is of a moment ago."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.errors import InputError
from pipeline.job.request import RunRequest, open_run_folder
from pipeline.job.run import run
from pipeline.pictures.opening import open_pictures
from pipeline.progress import Narrator
from pipeline.run_folder.check import check_run
from pipeline.run_folder.part_records import read_parts
from pipeline.storage.local import LocalStorage
from pipeline.storage.opening import open_storage
from pipeline.storage.s3 import CHUNK_BYTES, QUICK_BYTES, S3Storage
from pipeline.storage.transfer import download, upload
from tests.doubles.s3.faulty import Fault, FaultyS3
from tests.unit.pipeline.without_spark import PICTURES, request_of, without_spark

SMALL, QUICK, LARGE = b"small" * 1000, os.urandom(QUICK_BYTES + 1), os.urandom(CHUNK_BYTES * 3 // 2)


@pytest.fixture(scope="module")
def narrator() -> Narrator:
    """One who speaks to nobody's terminal."""
    return Narrator()


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause before a request is tried again."""
    monkeypatch.setattr("pipeline.storage.s3_errors.LONGEST_PAUSE_SECONDS", 0.01)


DENIALS = [
    Fault("untrue", status=400, code="InvalidRequest"),
    Fault("untrue", status=500, code="InternalError"),
    Fault("lost"),
]


@pytest.mark.parametrize("denial", DENIALS, ids=["400", "500", "reset"])
@pytest.mark.parametrize("data", [SMALL, QUICK], ids=["by obstore", "by boto3"])
def test_a_put_that_was_done_and_is_denied_is_done_again_and_whole(
    pictures: S3Storage, faulty_s3: FaultyS3, denial: Fault, data: bytes
) -> None:
    pictures.write("part", b"of an earlier attempt")
    with faulty_s3.spoiling(replace(denial, operation="PUT")):
        pictures.write("part", data)
    assert pictures.read("part") == data
    assert faulty_s3.count("PUT", "part") == 3


@pytest.mark.parametrize("operation", ["CREATE", "PART", "POST UPLOAD"])
@pytest.mark.parametrize("denial", DENIALS, ids=["400", "500", "reset"])
def test_a_large_file_whose_sending_is_denied_in_the_middle_is_there_and_whole(
    pictures: S3Storage, faulty_s3: FaultyS3, denial: Fault, operation: str
) -> None:
    with faulty_s3.spoiling(replace(denial, operation=operation)), pictures.writer("large.bin") as stream:
        stream.write(LARGE)
    assert faulty_s3.count(operation) >= 2
    assert pictures.read("large.bin") == LARGE


def test_a_large_file_whose_end_was_done_and_is_unknown_the_second_time_is_sent_again(
    pictures: S3Storage, faulty_s3: FaultyS3
) -> None:
    unknown = Fault("status", operation="POST UPLOAD", status=404, code="NoSuchUpload")
    with faulty_s3.spoiling(unknown), pictures.writer("large.bin") as stream:
        stream.write(LARGE)
    assert pictures.read("large.bin") == LARGE


@pytest.mark.parametrize("denial", DENIALS, ids=["400", "500", "reset"])
def test_a_deletion_that_was_done_and_is_denied_is_no_failure(
    pictures: S3Storage, faulty_s3: FaultyS3, denial: Fault
) -> None:
    pictures.write("old", SMALL)
    with faulty_s3.spoiling(replace(denial, operation="DELETE")):
        pictures.delete("old")
    assert not pictures.exists("old")


@pytest.mark.parametrize("listed", [None, len(SMALL)], ids=["of unknown size", "as listed"])
def test_half_an_object_that_is_called_the_whole_is_asked_for_again(
    pictures: S3Storage, faulty_s3: FaultyS3, listed: int | None
) -> None:
    pictures.write("part", SMALL)
    with faulty_s3.spoiling(Fault("short", times=2)):
        assert pictures.read("part", listed) == SMALL
    assert faulty_s3.count("GET", "part") == 3


@pytest.mark.parametrize("fault", [Fault("short"), Fault("untrue", status=400, code="InvalidRequest")])
def test_a_piece_is_as_long_as_was_asked(pictures: S3Storage, faulty_s3: FaultyS3, fault: Fault) -> None:
    pictures.write("part", SMALL)
    with faulty_s3.spoiling(fault):
        assert pictures.read_range("part", 100, 1000) == SMALL[100:1100]


def test_an_object_that_was_written_anew_after_the_listing_is_read_as_it_is(
    pictures: S3Storage, faulty_s3: FaultyS3
) -> None:
    pictures.write("part", SMALL)
    assert pictures.read("part", 7) == SMALL
    assert (faulty_s3.count("GET", "part"), faulty_s3.count("HEAD", "part")) == (1, 1)


def test_what_is_as_long_as_listed_takes_one_request(pictures: S3Storage, faulty_s3: FaultyS3) -> None:
    pictures.write("part", SMALL)
    faulty_s3.seen.clear()
    assert pictures.read("part", len(SMALL)) == SMALL
    assert [seen.operation for seen in faulty_s3.seen] == ["GET"]


def test_a_folder_goes_to_the_bucket_and_back_through_all_of_it(
    pictures: S3Storage, faulty_s3: FaultyS3, tmp_path: Path, narrator: Narrator
) -> None:
    there, back = LocalStorage.at(str(tmp_path / "there")), LocalStorage.at(str(tmp_path / "back"))
    wanted = {"small.jpg": SMALL, "quick.jpg": QUICK, "large.jpg": LARGE}
    for name, data in wanted.items():
        there.write(name, data)
    lies = [replace(denial, operation="PUT", key=".jpg") for denial in DENIALS]
    with faulty_s3.spoiling(*lies, Fault("short", times=2)):
        upload(there, pictures, narrator)
        download(pictures, back, narrator)
    assert {name: back.read(name) for name in wanted} == wanted


@pytest.fixture
def request_on_s3(pictures: S3Storage, tmp_path: Path, narrator: Narrator) -> RunRequest:
    """A run from S3 to S3 over pictures that were uploaded."""
    here = request_of(tmp_path)
    upload(LocalStorage.at(here.settings.images), pictures, narrator)
    return replace(
        here,
        settings=replace(here.settings, images=pictures.uri),
        output=f"s3://{pictures.bucket}/runs",
        options=replace(here.options, report=False),
    )


@pytest.fixture
def quick_runs(tmp_path: Path) -> Iterator[None]:
    """Runs without Spark and Keras."""
    with without_spark(tmp_path):
        yield


def content(request: RunRequest, folder: Path, narrator: Narrator) -> tuple[Any, dict[str, bytes]]:
    """The rows of a run, and its parts as bytes."""
    download(S3Storage.at(f"{request.output}/{request.run_id}"), LocalStorage.at(str(folder)), narrator)
    parts = {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob("*/part-*.parquet")}
    return pq.read_table(folder / "features"), parts


@pytest.mark.usefixtures("quick_runs")
def test_a_run_through_all_of_it_is_the_same_to_the_byte_as_a_calm_one(
    request_on_s3: RunRequest, faulty_s3: FaultyS3, tmp_path: Path, narrator: Narrator
) -> None:
    calm, lied_to = replace(request_on_s3, run_id="calm"), replace(request_on_s3, run_id="lied-to")
    run(calm, narrator)
    lies = [
        *(replace(denial, operation="PUT", key="/part-", times=2) for denial in DENIALS),
        *(replace(denial, operation="PUT", key="pca.csv") for denial in DENIALS),
        Fault("short", key="pictures/", times=8),
        Fault("short", key="runs/", times=3),
        Fault("untrue", key="pictures/", status=400, code="InvalidRequest", times=3),
    ]
    with faulty_s3.spoiling(*lies):
        record = run(lied_to, narrator)
    assert [lie.applied for lie in lies] == [lie.times for lie in lies]
    assert (record.status, record.counts["features"], record.counts["errors"]) == ("complete", PICTURES, 0)
    rows, parts = content(calm, tmp_path / "calm", narrator)
    lied_to_rows, lied_to_parts = content(lied_to, tmp_path / "lied to", narrator)
    assert rows.num_rows == PICTURES
    assert lied_to_rows.equals(rows)
    assert lied_to_parts == parts
    assert check_run(open_storage(f"{lied_to.output}/{lied_to.run_id}")) == []


@pytest.mark.usefixtures("quick_runs")
def test_a_list_of_a_moment_ago_makes_no_run_over_another_one(
    request_on_s3: RunRequest, faulty_s3: FaultyS3, narrator: Narrator
) -> None:
    run(request_on_s3, narrator)
    before = open_storage(f"{request_on_s3.output}/{request_on_s3.run_id}").read("run.json")
    with faulty_s3.spoiling(Fault("stale", operation="LIST", times=99)), pytest.raises(InputError, match="exists in"):
        open_run_folder(request_on_s3)
    assert open_storage(f"{request_on_s3.output}/{request_on_s3.run_id}").read("run.json") == before


@pytest.mark.usefixtures("quick_runs")
def test_what_a_list_of_a_moment_ago_still_shows_has_vanished_and_resuming_needs_no_list(
    request_on_s3: RunRequest, faulty_s3: FaultyS3, narrator: Narrator
) -> None:
    images = open_storage(request_on_s3.settings.images)
    list(images.list())
    images.delete("Apple/1.jpg")
    request = replace(request_on_s3, options=replace(request_on_s3.options, max_bad=0.1))
    with faulty_s3.spoiling(Fault("stale", operation="LIST", times=99)):
        record = run(request, narrator)
        folder = open_storage(f"{request.output}/{request.run_id}")
        parts = [part.features for part in read_parts(folder, record)]
        folder.delete("run.json")
        again = run(replace(request, options=replace(request.options, resume=True)), narrator)
    assert record.error_reasons == again.error_reasons == {"vanished": 1}
    assert again.counts["kept"] == PICTURES
    assert [part.features for part in read_parts(folder, again)] == parts


def test_a_pack_is_not_called_damaged_for_a_list_of_a_moment_ago(
    pictures: S3Storage, faulty_s3: FaultyS3, tmp_path: Path, narrator: Narrator
) -> None:
    from pipeline.pictures.pack_writer import pack

    loose = LocalStorage.at(request_of(tmp_path).settings.images)
    list(pictures.list("shards/"))
    with faulty_s3.spoiling(Fault("stale", operation="LIST", times=99)):
        pack(loose, pictures, narrator)
        packed = open_pictures(pictures.uri)
        assert packed.read("Apple/1.jpg") == loose.read("Apple/1.jpg")
