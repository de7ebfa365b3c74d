"""pipeline.job.extract: one task without Spark, on a small network."""

import errno
import io
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path
from threading import Barrier, Event, Semaphore

import numpy as np
import pytest
from PIL import ExifTags, Image

from pipeline.errors import StorageError
from pipeline.job import extract as extracting
from pipeline.job.extract import FeatureJob, FeatureTask, extract
from pipeline.network.keras_model import Network
from pipeline.pixels import memory
from pipeline.pixels.bad_pictures import BadPictureError
from pipeline.pixels.memory import FILES_BYTES
from pipeline.run_folder.parts import read_features, vectors_of
from pipeline.run_folder.thumbnails import Shown
from pipeline.storage.local import LocalStorage
from tests.pictures import encoded
from tests.unit.pipeline.pixels.test_memory import waiting
from tests.waiting import wait_until


@pytest.fixture
def job(tmp_path: Path, tiny_network: Network) -> FeatureJob:
    """A job over 20 pictures `0.jpg` to `19.jpg`."""
    images = LocalStorage.at(str(tmp_path / "images"))
    for number in range(20):
        images.write(f"{number}.jpg", encoded(size=(30 + number, 40)))
    return FeatureJob(images, LocalStorage.at(str(tmp_path / "run")), tiny_network, resume=False)


def task_of(*names: str) -> FeatureTask:
    return FeatureTask(3, list(names), ["fruit"] * len(names), [1] * len(names))


def test_a_task_writes_its_rows_in_the_list_s_order(job: FeatureJob) -> None:
    names = [f"{number}.jpg" for number in range(20)]
    result = extract(job, task_of(*names))
    assert (result.listed, result.features, result.errors, result.kept) == (20, 20, 0, False)
    table = read_features(job.run, 3).table
    assert table["path"].to_pylist() == names
    vectors = vectors_of(table, "features")
    assert vectors.shape == (20, 1280)
    assert len(np.unique(vectors, axis=0)) == 20


def test_thumbnails_of_pictures_that_have_features_go_with_the_part_upright(job: FeatureJob) -> None:
    lying = Image.new("RGB", (400, 300), "red")
    lying.paste("blue", (0, 0, 200, 300))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    lying.save(Path(job.images.uri) / "2.jpg", exif=exif)
    job.images.write("1.jpg", b"words")
    extract(job, task_of("0.jpg", "1.jpg", "2.jpg"))
    kept = read_features(job.run, 3).thumbnails
    assert list(kept) == ["0.jpg", "2.jpg"]
    with Image.open(io.BytesIO(kept["2.jpg"])) as small:
        above, below = small.getpixel((20, 5)), small.getpixel((20, 35))
    # Stored, blue was on the left; turned by a quarter, it is above.
    assert above[2] > 200 > 60 > above[0]
    assert below[0] > 200 > 60 > below[2]
    extract(replace(job, shown=Shown(parts=2)), task_of("0.jpg"))
    assert read_features(job.run, 3).thumbnails == {}


def test_a_picture_that_vanished_after_the_listing_becomes_an_error_row(job: FeatureJob) -> None:
    extract(job, task_of("0.jpg", "gone.jpg", "1.jpg"))
    assert [(error.path, error.reason) for error in read_features(job.run, 3).errors] == [("gone.jpg", "vanished")]
    assert read_features(job.run, 3).table["path"].to_pylist() == ["0.jpg", "1.jpg"]


def test_a_picture_without_permission_becomes_an_error_row(job: FeatureJob, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(job.images.uri)
    (folder / "1.jpg").chmod(0)
    if os.geteuid() == 0:
        # Root reads everything, so the kernel's answer to an ordinary user is given in its place.
        monkeypatch.setattr(LocalStorage, "read", _as_an_ordinary_user)
    extract(job, task_of("0.jpg", "1.jpg"))
    assert [(error.path, error.reason, error.detail) for error in read_features(job.run, 3).errors] == [
        ("1.jpg", "unreadable", "Permission denied")
    ]


def test_a_task_whose_few_pictures_are_all_refused_has_rows_where_others_of_the_run_can_be_read(
    job: FeatureJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalStorage, "read", _as_an_ordinary_user)
    for name in ("1.jpg", "2.jpg"):
        (Path(job.images.uri) / name).chmod(0)
    extract(replace(job, witnesses=("1.jpg", "7.jpg")), task_of("1.jpg", "2.jpg"))
    assert [(error.path, error.reason) for error in read_features(job.run, 3).errors] == [
        ("1.jpg", "unreadable"),
        ("2.jpg", "unreadable"),
    ]


def _as_an_ordinary_user(storage: LocalStorage, key: str, _listed: int | None = None) -> bytes:
    file = storage.root / key
    if not file.stat().st_mode & 0o444:
        raise PermissionError(13, "Permission denied")
    return file.read_bytes()


def test_a_disk_that_fails_for_one_picture_fails_the_task_and_leaves_no_part(
    job: FeatureJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = LocalStorage.read

    def failing(storage: LocalStorage, key: str, listed: int | None = None) -> bytes:
        if key == "1.jpg":
            raise OSError(errno.EIO, "Input/output error", key)
        return read(storage, key, listed)

    monkeypatch.setattr(LocalStorage, "read", failing)
    with pytest.raises(StorageError, match=r"1\.jpg: Input/output error"):
        extract(job, task_of("0.jpg", "1.jpg", "2.jpg"))
    assert not Path(job.run.uri).exists()


def test_a_folder_that_goes_in_the_middle_of_a_task_makes_no_picture_vanish(
    job: FeatureJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, done = LocalStorage.read, count(1)

    def until_it_is_gone(storage: LocalStorage, key: str, listed: int | None = None) -> bytes:
        if next(done) > 10:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", key)
        return read(storage, key, listed)

    monkeypatch.setattr(LocalStorage, "read", until_it_is_gone)
    job, task = replace(job, fetches=1, witnesses=("3.jpg", "15.jpg")), task_of(*(f"{n}.jpg" for n in range(20)))
    with pytest.raises(StorageError, match="pictures could be read there, and now none can"):
        extract(job, task)
    # At Spark's next attempt nothing was read a moment ago, and the empty folder can be listed.
    with pytest.raises(StorageError, match="20 are gone, and none of 2 elsewhere in the list can"):
        extract(job, task)
    assert not Path(job.run.uri).exists()


def test_a_resumed_task_does_not_take_an_outage_for_a_missing_part(
    job: FeatureJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = LocalStorage.read

    def silent_for_parts(storage: LocalStorage, key: str, listed: int | None = None) -> bytes:
        if storage == job.run:
            raise StorageError("S3 is silent", "s3://runs")
        return read(storage, key, listed)

    monkeypatch.setattr(LocalStorage, "read", silent_for_parts)
    with pytest.raises(StorageError, match="S3 is silent"):
        extract(replace(job, resume=True), task_of("0.jpg"))


def test_a_task_of_broken_pictures_writes_a_part_without_rows(job: FeatureJob) -> None:
    result = extract(job, task_of("gone.jpg", "gone too.jpg"))
    assert result.features == 0
    assert read_features(job.run, 3).table.num_rows == 0


def test_a_resumed_task_keeps_a_whole_part_and_replaces_a_cut_one(job: FeatureJob) -> None:
    task = task_of("0.jpg", "gone.jpg")
    first = extract(job, task)
    resuming = FeatureJob(job.images, job.run, job.network, resume=True)
    kept = extract(resuming, task)
    assert kept.kept
    assert (kept.sha256, kept.reasons, kept.bytes) == (first.sha256, first.reasons, first.bytes)
    part = Path(job.run.uri) / "features" / "part-00003.parquet"
    part.write_bytes(part.read_bytes()[:500])
    again = extract(resuming, task)
    assert not again.kept
    assert again.sha256 == first.sha256


def test_no_more_pictures_than_the_lookahead_wait_in_memory(job: FeatureJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extracting, "LOOKAHEAD", 5)
    job = replace(job, fetches=4)
    read: list[str] = []
    monkeypatch.setattr(extracting, "_read_and_decode", lambda _, path, *_rest: read.append(path))
    decoded = extracting._read_ahead(job, task_of(*(f"{number}.jpg" for number in range(20))))
    next(decoded)
    assert len(read) <= 6
    assert len(list(decoded)) == 19


def test_as_many_pictures_are_read_at_once_as_fetches_says(job: FeatureJob, monkeypatch: pytest.MonkeyPatch) -> None:
    # All of them must have come before any may go on, and a further one never comes.
    together, at_once = Barrier(6, timeout=10), Semaphore(6)

    def read(_: FeatureJob, path: str, *_rest: object) -> str:
        assert at_once.acquire(blocking=False)
        together.wait()
        at_once.release()
        return path

    monkeypatch.setattr(extracting, "_read_and_decode", read)
    names = [f"{number}.jpg" for number in range(18)]
    assert list(extracting._read_ahead(replace(job, fetches=6), task_of(*names))) == names


def test_a_file_is_read_once_there_is_room_for_it(job: FeatureJob, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, room = Event(), memory.files
    monkeypatch.setattr(LocalStorage, "read", lambda *_: begun.set() or encoded())
    task = replace(task_of("0.jpg"), sizes=[1000])
    with ThreadPoolExecutor(1) as pool:
        with room.taken(FILES_BYTES - 1000):
            pool.submit(list, extracting._read_ahead(job, task)).result()
        assert begun.is_set()
        begun.clear()
        with room.taken(FILES_BYTES - 999):
            second = pool.submit(list, extracting._read_ahead(job, task))
            wait_until(lambda: begun.is_set() or waiting(room), "a reader who begins or waits")
            assert not begun.is_set()
        second.result()
        assert begun.is_set()


def test_a_large_picture_says_that_it_is_alive_while_it_waits_for_others_of_the_host(
    job: FeatureJob, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(memory, "DECODERS_BYTES", 0)
    said = Event()
    with ThreadPoolExecutor(1) as pool:
        with memory.room_to_decode(1, 0):
            # The holder's own thread is no other worker, but its file is another.
            monkeypatch.setattr(memory, "_decoders", memory.Room(1))
            task = pool.submit(extract, job, task_of("0.jpg"), said.set)
            assert said.wait(30)
            assert not task.done()
        assert task.result().features == 1


def test_error_rows_keep_no_files_in_memory(job: FeatureJob) -> None:
    job.images.write("cut.jpg", encoded()[:900])
    (bad,) = extracting._read_ahead(job, task_of("cut.jpg"))
    assert isinstance(bad, BadPictureError)
    assert bad.__traceback__ is None
