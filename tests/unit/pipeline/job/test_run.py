"""pipeline.job.run: a whole run without Spark, its tasks one after the other in this process."""

import errno
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import ExifTags, Image
from rich.console import Console

from pipeline.errors import InputError, TooManyBadPicturesError
from pipeline.job.losses import Executor
from pipeline.job.request import RunRequest
from pipeline.job.run import run
from pipeline.progress import PREFIX, Narrator
from pipeline.run_folder.check import check_run
from pipeline.run_folder.part_records import read_parts
from pipeline.run_folder.record import read_record
from pipeline.storage.local import LocalStorage
from pipeline.storage.opening import open_storage
from tests.unit.pipeline.without_spark import Books, Context, folder_of, request_of, without_spark


@pytest.fixture(autouse=True)
def no_spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pytest.MonkeyPatch]:
    with without_spark(tmp_path_factory.mktemp("network")) as patch:
        yield patch


def test_a_run_is_whole_and_its_record_says_what_its_phases_took(tmp_path: Path, narrator: Narrator) -> None:
    request = request_of(tmp_path)
    record = run(request, narrator)
    assert check_run(open_storage(str(folder_of(request)))) == []
    assert record == read_record(open_storage(str(folder_of(request))))
    assert record.counts == {"listed": 40, "features": 40, "errors": 0, "kept": 0}
    assert record.attempts == 1
    assert record.tasks > 2
    assert "parts" not in json.loads((folder_of(request) / "run.json").read_text())
    phases = ["list", "network", "spark", "features", "before_first_picture", "pca_fit", "projection", "csv", "report"]
    assert list(record.seconds) == [*phases, "total"]
    assert record.images_per_second == pytest.approx(40 / record.seconds["features"])
    assert not (folder_of(request) / "attempts.json").exists()


def test_a_host_that_was_lost_is_said_and_stands_in_the_record(
    tmp_path: Path, no_spark: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    books = Books([Executor("1", "192.0.2.7", gone_at=1000.0, reason="worker lost")], {"1": {0, 2}})
    no_spark.setattr("pipeline.job.phases.SparkBooks", lambda *_: books)
    no_spark.setattr("pipeline.job.losses.name_of", lambda _: "worker-2")
    sink = io.StringIO()
    record = run(request_of(tmp_path), Narrator(Console(file=sink, force_terminal=False)))
    parts = read_parts(open_storage(str(folder_of(request_of(tmp_path)))), record)
    redone = parts[0].rows + parts[2].rows
    assert record.losses == [
        {"host": "worker-2", "at": "1970-01-01T00:16:40+00:00", "how": "silent", "reason": "worker lost",
         "pictures_redone": redone,
         "text": f"worker-2 was lost at 00:16:40 UTC (worker lost): {redone} pictures are done again."}
    ]  # fmt: skip
    events = [json.loads(line.removeprefix(PREFIX)) for line in sink.getvalue().splitlines()]
    assert [(event["host"], event["text"]) for event in events if event["event"] == "loss"] == [
        ("worker-2", f"worker-2 was lost at 00:16:40 UTC (worker lost): {redone} pictures are done again.")
    ]
    assert "worker-2 was lost" in (folder_of(request_of(tmp_path)) / "report.html").read_text()


def test_each_attempt_at_a_run_counts_even_one_that_had_no_time_to_say_so(
    tmp_path: Path, narrator: Narrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PowerCutError(BaseException):
        """Nothing of the job catches it, as nothing of it outlives SIGKILL."""

    def cut(*_: object) -> None:
        raise PowerCutError

    with monkeypatch.context() as patched:
        patched.setattr("pipeline.job.spark_jobs.extract", cut)
        for options in ({}, {"resume": True}, {"resume": True}):
            with pytest.raises(PowerCutError):
                run(request_of(tmp_path, **options), narrator)
    refused = replace(request_of(tmp_path, resume=True), settings=replace(request_of(tmp_path).settings, components=4))
    with pytest.raises(InputError, match=r"was begun with other settings \(components\)"):
        run(refused, narrator)
    assert run(request_of(tmp_path, resume=True, report=False), narrator).attempts == 4
    assert run(request_of(tmp_path, resume=True), narrator).attempts == 4, "it was complete already"
    assert not (folder_of(refused) / "report.html").exists(), "none was asked for"


def test_too_many_bad_pictures_leave_their_record_and_a_higher_share_goes_on(
    tmp_path: Path, narrator: Narrator
) -> None:
    (Path(request_of(tmp_path).settings.images) / "Pear" / "0.jpg").write_bytes(b"words")
    with pytest.raises(TooManyBadPicturesError, match=r"1 of 40 pictures could not be read \(1 not an image\)"):
        run(request_of(tmp_path), narrator)
    content = json.loads((folder_of(request_of(tmp_path)) / "run.json").read_text())
    assert (content["status"], content["exit_status"], content["attempts"]) == ("too many bad pictures", 20, 1)
    assert content["counts"] == {"listed": 40, "features": 39, "errors": 1, "kept": 0}
    assert content["seconds"]["total"] > 0
    assert pq.read_table(folder_of(request_of(tmp_path)) / "errors.parquet")["path"].to_pylist() == ["Pear/0.jpg"]
    resumed = run(request_of(tmp_path, resume=True, max_bad=0.1), narrator)
    assert (resumed.status, resumed.attempts, resumed.counts["kept"]) == ("complete", 2, 40)
    assert resumed.images_per_second == 0


def test_tasks_whose_pictures_are_all_refused_are_rows_in_a_run_that_can_read_others(
    tmp_path: Path, narrator: Narrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = LocalStorage.read

    def refusing(storage: LocalStorage, key: str, listed: int | None = None) -> bytes:
        if key.startswith("Pear/"):
            raise PermissionError(errno.EACCES, "Permission denied", key)
        return read(storage, key, listed)

    monkeypatch.setattr(LocalStorage, "read", refusing)
    record = run(request_of(tmp_path, max_bad=0.5), narrator)
    assert (record.counts["features"], record.error_reasons) == (20, {"unreadable": 20})


def on(patch: pytest.MonkeyPatch, processor: str) -> None:
    """Have the workers be of this kind."""
    for module in ("processors", "extract"):
        patch.setattr(f"pipeline.job.{module}.cpu_name", lambda: processor)
    patch.setattr("pipeline.job.processors.has_bf16", lambda: True)


def test_a_run_at_bf16_is_done_on_one_kind_of_processor_whoever_comes_later(
    tmp_path: Path, narrator: Narrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(**options: Any) -> RunRequest:
        request = request_of(tmp_path, **options)
        return replace(request, settings=replace(request.settings, precision="bf16"))

    on(monkeypatch, "Xeon")
    with monkeypatch.context() as patched:
        # Another kind than the one that had been asked joins in the middle.
        patched.setattr("pipeline.job.extract.cpu_name", lambda: "Epyc")
        with pytest.raises(InputError, match=r"another processor \(Epyc\) than this run at bf16 was begun on \(Xeon"):
            run(asked(), narrator)
    assert not (folder_of(asked()) / "features").exists()
    on(monkeypatch, "Epyc")
    with pytest.raises(InputError, match=r"^Run mine was begun at bf16 on workers with Xeon, and these have Epyc; "):
        run(asked(resume=True), narrator)
    on(monkeypatch, "Xeon")
    assert list(run(asked(resume=True), narrator).processors) == ["Xeon"]


@pytest.mark.parametrize(("precision", "attempts"), [("f32", 4), ("bf16", 10)])
def test_a_task_of_a_run_at_bf16_may_be_refused_by_two_late_hosts(
    tmp_path: Path, narrator: Narrator, monkeypatch: pytest.MonkeyPatch, precision: str, attempts: int
) -> None:
    asked: list[int] = []

    @contextmanager
    def spark_context(_master: str, _name: str, given: int, _jvm: object) -> Iterator[Context]:
        asked.append(given)
        yield Context()

    monkeypatch.setattr("pipeline.job.phases.spark_context", spark_context)
    on(monkeypatch, "Xeon")
    request = request_of(tmp_path)
    run(replace(request, settings=replace(request.settings, precision=precision)), narrator)
    assert asked == [attempts]


def test_memory_that_ran_out_on_a_worker_is_said_and_kept(
    tmp_path: Path, narrator: Narrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills, said = iter(range(5, 1000)), []
    monkeypatch.setattr("pipeline.job.extract.oom_kills", lambda: next(kills))
    monkeypatch.setattr("pipeline.job.extract.socket.gethostname", lambda: "worker-1")
    monkeypatch.setattr(narrator, "say", said.append)
    record = run(request_of(tmp_path), narrator)
    ((host, count),) = record.out_of_memory.items()
    # Asked before and after each task, and each time there is one more.
    assert (host, count) == ("worker-1", 2 * record.tasks - 1)
    assert said == [f"Memory ran out on worker-1: the kernel ended {count} of Spark's processes; their work is redone."]


def test_components_as_csv_are_written_by_the_tasks_where_asked_and_checked(tmp_path: Path, narrator: Narrator) -> None:
    record = run(request_of(tmp_path, csv="parts"), narrator)
    folder = folder_of(request_of(tmp_path))
    parts = sorted((folder / "pca_csv").iterdir())
    assert (record.csv, len(parts)) == ("parts", record.tasks)
    assert not (folder / "pca.csv").exists()
    assert "csv" not in record.seconds
    storage = open_storage(str(folder))
    assert check_run(storage) == check_run(storage, is_quick=True) == []
    parts[1].write_bytes(parts[0].read_bytes()[:-9])
    assert any("pca_csv/part-00001.csv.gz is missing or broken" in fault for fault in check_run(storage))
    parts[2].unlink()
    assert any("pca_csv/part-00002.csv.gz is missing" in fault for fault in check_run(storage, is_quick=True))


def test_an_attempt_that_ended_before_its_list_was_whole_is_no_run_and_can_be_begun_anew(
    tmp_path: Path, narrator: Narrator, no_spark: pytest.MonkeyPatch
) -> None:
    write = LocalStorage.write

    def cut(storage: LocalStorage, key: str, data: bytes) -> None:
        if key == "inputs.parquet":
            raise KeyboardInterrupt
        write(storage, key, data)

    with no_spark.context() as patched:
        patched.setattr(LocalStorage, "write", cut)
        with pytest.raises(KeyboardInterrupt):
            run(request_of(tmp_path), narrator)
    assert (folder_of(request_of(tmp_path)) / "inputs" / "part-00000.parquet").exists()
    with pytest.raises(InputError, match=r"There is no run mine in .* to resume; leave out --resume to begin it"):
        run(request_of(tmp_path, resume=True), narrator)
    assert run(request_of(tmp_path), narrator).status == "complete"
    with pytest.raises(InputError, match="A run mine exists in"):
        run(request_of(tmp_path), narrator)


def lying_photo(path: Path) -> None:
    """A photo of 600 x 400 with grain, which EXIF says lies on its side."""
    noise = np.random.default_rng(9).integers(0, 256, (400, 600, 3), np.uint8)
    noise[:, :300] //= 4
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray(noise).save(path, "JPEG", exif=exif)


def features_of_photo(request: RunRequest, narrator: Narrator, name: str, **settings: str) -> list[float]:
    asked = replace(request, run_id=name, settings=replace(request.settings, **settings))
    record = run(asked, narrator)
    assert {key: record.settings[key] for key in settings} == settings
    table = pq.read_table(folder_of(asked) / "features")
    [row] = [row for row in table.to_pylist() if row["path"] == "Apple/1.jpg"]
    return list(row["features"])


def test_a_photo_is_turned_and_decoded_as_the_settings_say(tmp_path: Path, narrator: Narrator) -> None:
    request = request_of(tmp_path)
    lying_photo(tmp_path / "pictures" / "Apple" / "1.jpg")
    upright = features_of_photo(request, narrator, "upright")
    stored = features_of_photo(request, narrator, "stored", orientation="stored")
    fast = features_of_photo(request, narrator, "fast", decode="fast")
    assert len({tuple(upright), tuple(stored), tuple(fast)}) == 3
    near, far = np.abs(np.subtract(upright, fast)).max(), np.abs(np.subtract(upright, stored)).max()
    assert near < far / 10


def test_a_run_is_not_gone_on_with_by_another_way_of_decoding(tmp_path: Path, narrator: Narrator) -> None:
    request = request_of(tmp_path)
    run(request, narrator)
    (folder_of(request) / "run.json").unlink()
    request = request_of(tmp_path, resume=True)
    for name, value in (("decode", "fast"), ("orientation", "stored")):
        with pytest.raises(InputError, match=rf"was begun with other settings \({name}\); resume it with the same"):
            run(replace(request, settings=replace(request.settings, **{name: value})), narrator)
