"""A run that is stopped in the middle of the feature phase, where a gate holds it, and gone on with."""

import signal
from pathlib import Path
from typing import Any

from pipeline.pictures.demo_pictures import FRUITS
from tests.conftest import DRAWN_PER_CLASS
from tests.job.conftest import GOOD, SMALL, Bucket, FinishedRun, Orchard, begin, kill
from tests.job.run_folders import assert_same_rows, fetched, record
from tests.pictures import BROKEN

# While the picture that the last task reads last is held, the tasks before have written their parts.
LAST_PICTURE = f"pictures/{max(FRUITS)}/{DRAWN_PER_CLASS - 1:02d}.jpg"


def run_words(images: str, output: object) -> tuple[object, ...]:
    return ("run", "--images", images, "--output", output, "--run-id", "again", *SMALL, "--no-report")


def parts_of(run: Path) -> list[Path]:
    """The parts of features that are there and whole."""
    return sorted((run / "features").glob("part-*.parquet"))


def test_a_killed_run_resumes_to_the_same_rows_and_bit_equal_features(
    bucket: Bucket, finished_run: FinishedRun, orchard: Orchard, tmp_path: Path
) -> None:
    words, run = run_words(f"{bucket.uri}/pictures", tmp_path), tmp_path / "again"
    with bucket.proxy.gate("GET", LAST_PICTURE) as gate:
        process = begin(*words, **bucket.environment)
        gate.wait_until_reached(process)
        kill(process)
    assert not (run / "run.json").exists()
    cut, *survivors = parts_of(run)
    assert survivors
    cut.write_bytes(cut.read_bytes()[:1000])

    other = orchard(*words, "--resume", "--limit", "100", **bucket.environment)
    assert other.code == 2
    assert "was begun with other settings (limit); resume it with the same ones" in other.err
    assert orchard(*words, **bucket.environment).code == 2

    resumed = orchard(*words, "--resume", **bucket.environment)
    assert resumed.code == 0, resumed.err
    # Refusals are no attempts.
    assert record(run)["attempts"] == 2
    counts = record(run)["counts"]
    assert counts["listed"] == GOOD + len(BROKEN)
    assert 0 < counts["kept"] < counts["listed"]
    assert_same_rows(run, finished_run.folder)
    assert orchard("check", run).code == 0
    complete = orchard(*words, "--resume", **bucket.environment)
    assert complete.code == 0
    assert "Run again is complete already; nothing is left to do." in complete.err


def test_an_interrupted_run_says_how_to_go_on_and_leaves_no_half_file(
    bucket: Bucket, orchard: Orchard, tmp_path: Path
) -> None:
    words = run_words(f"{bucket.uri}/pictures", tmp_path)
    for number, more in ((signal.SIGINT, ()), (signal.SIGTERM, ("--resume",))):
        interrupt_at_the_last_picture(bucket, number, *words, *more)
        assert parts_of(tmp_path / "again")
        assert not list((tmp_path / "again").rglob(".part*"))
    assert orchard(*words, "--resume", **bucket.environment).code == 0


def interrupt_at_the_last_picture(bucket: Bucket, number: signal.Signals, *words: Any) -> None:
    """Begin this run, send it the signal in the middle of its last task, and look at how it ends."""
    with bucket.proxy.gate("GET", LAST_PICTURE) as gate:
        process = begin(*words, **bucket.environment)
        gate.wait_until_reached(process)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == (
        "orchard: Interrupted; the finished parts are kept. Go on with the same command and --run-id again --resume."
    )
    assert "Traceback" not in err


def test_a_killed_run_over_packed_pictures_resumes_to_the_same_rows_and_bit_equal_features(
    bucket: Bucket, finished_run: FinishedRun, orchard: Orchard, tmp_path: Path
) -> None:
    packed = orchard("pack", f"{bucket.uri}/pictures", f"{bucket.uri}/packed", **bucket.environment)
    assert packed.code == 0, packed.err
    words = run_words(f"{bucket.uri}/packed", f"{bucket.uri}/runs")
    with bucket.proxy.gate("PUT", "runs/again/features/", after=2) as gate:
        process = begin(*words, **bucket.environment)
        gate.wait_until_reached(process)
        kill(process)
    bucket.proxy.seen.clear()
    ended = orchard(*words, "--resume", **bucket.environment)
    assert ended.code == 0, ended.err
    folder = fetched(bucket, "again", orchard, tmp_path)
    assert_same_rows(folder, finished_run.folder)
    counts, parts = record(folder)["counts"], len(record(folder)["parts"])
    assert 0 < counts["kept"] < counts["listed"]
    assert bucket.proxy.count("PUT", "runs/again/features/") == parts - 2
    assert not bucket.proxy.count("GET", "pictures/"), "packed pictures are read from the shards alone"
