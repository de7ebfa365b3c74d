"""Packed pictures are listed and read as loose ones are (pipeline.pictures.pack_writer and pack_reader)."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.cli import main
from pipeline.errors import InputError
from pipeline.job.extract import FeatureJob, FeatureTask, extract
from pipeline.network.keras_model import prepare_network
from pipeline.network.weights import find_weights
from pipeline.pictures import pack_reader
from pipeline.pictures import pack_writer as packing
from pipeline.pictures.listing import all_pictures
from pipeline.pictures.opening import open_pictures
from pipeline.pixels import memory
from pipeline.run_folder.parts import read_features
from pipeline.storage import retries
from pipeline.storage.base import Pictures
from pipeline.storage.local import LocalStorage
from pipeline.storage.s3 import S3Storage
from tests.doubles.s3.faulty import Fault, FaultyS3
from tests.pictures import BROKEN, NOT_LISTED, ODD, encoded
from tests.unit.pipeline.pixels.test_memory import waiting
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
BAD = {name: data for name, (data, _) in BROKEN.items()}


@pytest.fixture
def loose(tmp_path: Path) -> LocalStorage:
    """Good, odd and broken pictures in two folders and in none, and files that are no pictures."""
    storage = LocalStorage.at(str(tmp_path / "loose"))
    for number in range(40):
        storage.write(f"Apple/{number:02d}.jpg", encoded(size=(40 + number, 50)))
    for name, data in {**ODD, **BAD, **NOT_LISTED}.items():
        storage.write(f"Odd ones/{name}", data)
    storage.write("in no folder.jpg", encoded())
    return storage


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of at most 60 kB and row groups of about 10 kB, so that a few pictures make many."""
    monkeypatch.setattr(packing, "LARGEST_SHARD", 60_000)
    monkeypatch.setattr(packing, "ROW_GROUP_BYTES", 10_000)


def pack_words(source: object, target: object) -> list[str]:
    return ["pack", str(source), str(target)]


def refusal(capsys: pytest.CaptureFixture[str], *words: object, code: int = 2) -> str:
    assert main([str(word) for word in words]) == code
    return capsys.readouterr().err.splitlines()[-1].removeprefix("orchard: ")


@pytest.mark.usefixtures("small_groups")
def test_packed_pictures_are_listed_and_read_as_the_loose_ones(loose: LocalStorage, pictures: S3Storage) -> None:
    assert main(pack_words(loose.uri, pictures.uri)) == 0
    pack = open_pictures(pictures.uri)
    table = all_pictures(loose)
    assert all_pictures(pack).equals(table)
    assert dict(zip(table["path"].to_pylist(), table["label"].to_pylist(), strict=True))["in no folder.jpg"] == "loose"
    paths = table["path"].to_pylist()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(pack.read, paths)) == [loose.read(path) for path in paths]
    for path in ("Apple/00", "A", "zebra.jpg"):
        with pytest.raises(FileNotFoundError):
            pack.read(path)


@pytest.mark.usefixtures("small_groups")
def test_a_task_gives_the_same_rows_features_and_errors_from_a_pack(
    loose: LocalStorage, pictures: S3Storage, tmp_path: Path
) -> None:
    main(pack_words(loose.uri, pictures.uri))
    network = prepare_network(find_weights("random"), "openvino", "f32", 32)
    results, parts = [], []
    for name, source in (("loose", loose), ("packed", open_pictures(pictures.uri))):
        run = LocalStorage.at(str(tmp_path / f"run {name}"))
        table = all_pictures(source)
        task = FeatureTask(0, table["path"].to_pylist(), table["label"].to_pylist(), table["bytes"].to_pylist())
        results.append(extract(FeatureJob(source, run, network, resume=False), task))
        parts.append(read_features(run, 0))
    assert len(parts[0].errors) == len(BAD)
    assert parts[0].errors == parts[1].errors
    assert parts[0].table.equals(parts[1].table)
    assert results[0].sha256 == results[1].sha256


def test_shards_are_parquet_of_path_label_and_bytes(loose: LocalStorage, tmp_path: Path) -> None:
    main(pack_words(loose.uri, tmp_path / "pack"))
    table = pq.read_table(tmp_path / "pack" / "shards")
    assert {field.name: str(field.type) for field in table.schema} == {
        "path": "string",
        "label": "string",
        "bytes": "binary",
    }
    assert table["bytes"].to_pylist() == [loose.read(path) for path in table["path"].to_pylist()]


@pytest.mark.parametrize("total", [1, 90, 128, 130, 200, 1000, 12_345])
def test_shards_have_64_to_128_megabytes_unless_there_is_less(total: int) -> None:
    sizes = np.full(total * 10, 100_000, np.int64)
    shards: dict[int, int] = {}
    for shard, count in packing._plan(sizes):
        shards[shard] = shards.get(shard, 0) + count * 100_000
    assert list(shards) == list(range(len(shards)))
    assert sum(shards.values()) == sizes.sum()
    assert max(shards.values()) <= 128 * 2**20
    assert min(shards.values()) >= min(64_000_000, sizes.sum())


def test_pictures_are_read_by_row_group_and_each_group_once(
    loose: LocalStorage, pictures: S3Storage, faulty_s3: FaultyS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "ROW_GROUP_BYTES", 10_000)
    main(pack_words(loose.uri, pictures.uri))
    pack = open_pictures(pictures.uri)
    apples = [path for path in all_pictures(pack)["path"].to_pylist() if path.startswith("Apple/")]
    faulty_s3.seen.clear()
    with ThreadPoolExecutor(4) as pool:
        got = sum(map(len, pool.map(pack.read, apples)))
    groups = {group.number for group in pack.groups if group.first_path.startswith("Apple/")}
    # The shard's footer takes two requests, a group one for its paths and one for its bytes.
    assert faulty_s3.count("GET") == 2 + 2 * len(groups)
    assert len(groups) < len(apples) / 3
    assert got == sum(len(loose.read(path)) for path in apples)


@pytest.mark.usefixtures("small_groups")
def test_a_failing_server_is_borne_with(loose: LocalStorage, pictures: S3Storage, faulty_s3: FaultyS3) -> None:
    before = retries.count()
    with faulty_s3.spoiling(Fault("status", "PUT", "shards", times=2), Fault("half", "PUT", "index")):
        assert main(pack_words(loose.uri, pictures.uri)) == 0
    pack = open_pictures(pictures.uri)
    with faulty_s3.spoiling(Fault("reset", key="shards", times=2), Fault("truncate", key="shards")):
        assert pack.read("Apple/07.jpg") == loose.read("Apple/07.jpg")
    assert retries.count() - before == 6


def test_what_vanishes_while_packing_is_left_out_and_what_is_forbidden_stays_an_error(
    pictures: S3Storage, faulty_s3: FaultyS3, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(5):
        pictures.write(f"{number}.jpg", encoded())
    with faulty_s3.spoiling(
        Fault("status", key="1.jpg", status=403, code="AccessDenied"),
        Fault("status", key="3.jpg", status=404, code="NoSuchKey"),
    ):
        assert main(pack_words(pictures.uri, tmp_path)) == 0
    said = capsys.readouterr().out
    assert said.startswith("Packed 4 pictures into 1 shard (")
    assert said.endswith("1 vanished meanwhile. 1 could not be read: a run will say so.\n")
    pack = open_pictures(str(tmp_path))
    assert all_pictures(pack)["path"].to_pylist() == ["0.jpg", "1.jpg", "2.jpg", "4.jpg"]
    with pytest.raises(PermissionError, match="could not be read when it was packed"):
        pack.read("1.jpg")
    assert pack.read("4.jpg") == pictures.read("4.jpg")


def test_neighbours_that_are_refused_and_fill_a_row_group_do_not_end_the_packing(
    pictures: S3Storage, faulty_s3: FaultyS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "ROW_GROUP_BYTES", 2 * len(encoded()))
    for number in range(6):
        pictures.write(f"{number}.jpg", encoded())
    refused = [Fault("status", key=f"{number}.jpg", status=403, code="AccessDenied", times=9) for number in (2, 3)]
    with faulty_s3.spoiling(*refused):
        assert main(pack_words(pictures.uri, tmp_path)) == 0
    pack = open_pictures(str(tmp_path))
    for number in (2, 3):
        with pytest.raises(PermissionError, match="could not be read when it was packed"):
            pack.read(f"{number}.jpg")
    assert pack.read("4.jpg") == encoded()


def test_a_pack_that_was_killed_is_not_taken_for_whole_and_can_be_made_again(
    loose: LocalStorage, pictures: S3Storage, faulty_s3: FaultyS3, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("part-00007.parquet", "somebodys.parquet"):
        S3Storage.at(f"{pictures.uri}/pack").write(f"shards/{name}", b"of a pack with more pictures, or of none")
    words = [sys.executable, "-m", "pipeline", *pack_words(loose.uri, f"{pictures.uri}/pack")]
    with faulty_s3.gate("PUT", "pack-index") as gate:
        process = subprocess.Popen(words, cwd=ROOT)
        gate.wait_until_reached(process)
        process.send_signal(signal.SIGKILL)
        process.wait()
    run = ("run", "--images", f"{pictures.uri}/pack", "--output", tmp_path / "runs", "--weights", "random")
    assert refusal(capsys, *run) == (
        f"{pictures.uri}/pack holds a pack that was not finished; start the same pack command again."
    )
    assert main(pack_words(loose.uri, f"{pictures.uri}/pack")) == 0
    assert all_pictures(open_pictures(f"{pictures.uri}/pack")).equals(all_pictures(loose))
    assert [
        path for batch in S3Storage.at(f"{pictures.uri}/pack").list("shards/") for path in batch[0].to_pylist()
    ] == ["shards/part-00000.parquet", "shards/somebodys.parquet"]


def test_a_pack_whose_shard_or_index_is_damaged_is_refused(loose: LocalStorage, tmp_path: Path) -> None:
    main(pack_words(loose.uri, tmp_path))
    shard = tmp_path / "shards" / "part-00000.parquet"
    data = shard.read_bytes()
    shard.write_bytes(data[:-1])
    with pytest.raises(InputError, match=r"part-00000.parquet is not as pack-index.parquet says; pack the pictures"):
        open_pictures(str(tmp_path))
    shard.unlink()
    with pytest.raises(InputError, match="is not as pack-index"):
        open_pictures(str(tmp_path))
    (tmp_path / "pack-index.parquet").write_bytes(os.urandom(1000))
    with pytest.raises(InputError, match=r"pack-index.parquet is broken .*; pack the pictures again"):
        open_pictures(str(tmp_path))


def test_a_failed_reading_of_a_group_is_not_kept() -> None:
    cache = pack_reader._GroupCache(2)

    def fail() -> dict[str, bytes | None]:
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011  # bare on purpose
        cache.get(("a", 0, 0), 1, fail)
    assert cache.get(("a", 0, 0), 1, lambda: {"x": b"1"}) == {"x": b"1"}
    for number in (1, 2):
        cache.get(("a", 0, number), 1, dict)
    assert cache.get(("a", 0, 0), 1, lambda: {"x": b"again"}) == {"x": b"again"}


def test_what_is_kept_of_large_groups_goes_before_another_is_read() -> None:
    cache, there = pack_reader._GroupCache(4, kept_bytes=100), dict[int, list[int]]()
    for number, size in enumerate((60, 40, 1, 1000, 100)):

        def read(number: int = number) -> dict[str, bytes | None]:
            there[number] = [name[2] for name in cache._groups]
            return {}

        cache.get(("a", 0, number), size, read)
    assert there == {0: [0], 1: [0, 1], 2: [1, 2], 3: [3], 4: [4]}


@pytest.fixture
def with_a_large_one(tmp_path: Path) -> LocalStorage:
    """A large picture between two small ones."""
    storage = LocalStorage.at(str(tmp_path / "large"))
    for key, data in (("a.jpg", b"small"), ("b.jpg", bytes(pack_reader.LARGE_PICTURE + 1)), ("c.jpg", b"another")):
        storage.write(key, data)
    return storage


@pytest.fixture
def of_an_earlier_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pack's large pictures are in one row group with the small ones before them."""
    monkeypatch.setattr(packing, "LARGE_PICTURE", 2**40)


def kept(pack: Pictures) -> list[str]:
    """The pictures of a pack that are kept."""
    groups = [group for name, group in pack_reader._kept_groups._groups.items() if name[0] == pack.uri]
    return sorted(path for group in groups for path in group.pictures.result())


def test_nobody_fetches_a_large_picture_for_a_small_one(with_a_large_one: LocalStorage, tmp_path: Path) -> None:
    main(pack_words(with_a_large_one.uri, tmp_path / "pack"))
    pack = open_pictures(str(tmp_path / "pack"))
    assert [pack.read(key) for key in ("a.jpg", "c.jpg")] == [b"small", b"another"]
    assert kept(pack) == ["a.jpg", "c.jpg"]
    assert pack.read("b.jpg") == with_a_large_one.read("b.jpg")
    assert kept(pack) == ["a.jpg", "c.jpg"]


@pytest.mark.usefixtures("of_an_earlier_version")
def test_a_large_picture_of_a_pack_is_not_kept_once_it_was_read(with_a_large_one: LocalStorage, tmp_path: Path) -> None:
    main(pack_words(with_a_large_one.uri, tmp_path / "pack"))
    pack, large = open_pictures(str(tmp_path / "pack")), with_a_large_one.read("b.jpg")
    assert pack.read("a.jpg") == b"small"
    assert kept(pack) == ["a.jpg", "b.jpg"]
    assert pack.read("b.jpg") == large
    assert pack.read("c.jpg") == b"another"
    assert kept(pack) == ["c.jpg"]
    assert pack.read("b.jpg") == large


@pytest.mark.usefixtures("of_an_earlier_version")
def test_a_packed_picture_is_read_once_there_is_room_for_all_that_comes_with_it(
    with_a_large_one: LocalStorage, tmp_path: Path
) -> None:
    main(pack_words(with_a_large_one.uri, tmp_path / "pack"))
    pack, room = open_pictures(str(tmp_path / "pack")), memory.files
    network = prepare_network(find_weights("random"), "openvino", "f32", 32)
    job = FeatureJob(pack, LocalStorage.at(str(tmp_path / "run")), network, resume=False)
    task = FeatureTask(0, ["a.jpg"], ["fruit"], [5])
    with ThreadPoolExecutor(1) as pool:
        with room.taken(memory.FILES_BYTES - pack_reader.LARGE_PICTURE):
            reading = pool.submit(extract, job, task)
            wait_until(lambda: reading.done() or waiting(room), "a reader who ends or waits")
            assert kept(pack) == []
        assert reading.result().listed == 1
        assert kept(pack) == ["a.jpg", "b.jpg"]


def test_places_that_cannot_be_are_refused(
    loose: LocalStorage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refusal(capsys, "pack", loose.uri, loose.uri) == (
        f"{loose.uri} is where the pictures lie; give another place for the pack."
    )
    main(pack_words(loose.uri, tmp_path / "pack"))
    capsys.readouterr()
    assert refusal(capsys, "pack", loose.uri, tmp_path / "pack") == (
        f"{tmp_path}/pack holds a pack already; give another place for the new one."
    )
    assert refusal(capsys, "pack", tmp_path / "nowhere", tmp_path / "pack") == (
        f"{tmp_path}/nowhere is not a folder; give the folder that holds the pictures."
    )
