"""A run that is stopped in the middle of the feature phase, where a gate holds it, and gone on with."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.doubles.s3.server import S3Server
from tests.job.conftest import GOOD, ROOT, SMALL, Bucket, FinishedRun, Orchard, begin, kill
from tests.job.run_folders import assert_same_rows, fetched, record
from tests.pictures import BROKEN

RUN = "runs/again"
# Another part is there by then, and the one after it is on its way.
NEXT_PART = {"operation": "PUT", "key": f"{RUN}/features/", "after": 1}


def test_a_run_over_packed_pictures_stopped_and_killed_resumes_to_the_same_rows_and_bit_equal_features(
    bucket: Bucket, s3_server: S3Server, finished_run: FinishedRun, orchard: Orchard, tmp_path: Path
) -> None:
    packed = orchard("pack", f"{bucket.uri}/pictures", f"{bucket.uri}/packed", **bucket.environment)
    assert packed.code == 0, packed.err
    words = (
        "run", "--images", f"{bucket.uri}/packed", "--output", f"{bucket.uri}/runs", "--run-id", "again", *SMALL,
        "--no-report",
    )  # fmt: skip

    interrupt(bucket, *words)
    with bucket.proxy.gate(**NEXT_PART) as gate:
        process = begin(*words, "--resume", **bucket.environment)
        gate.wait_until_reached(process)
        kill(process)
    cut, kept = parts_in(s3_server, bucket)
    whole = s3_server.client().get_object(Bucket=bucket.name, Key=cut)["Body"].read()
    s3_server.client().put_object(Bucket=bucket.name, Key=cut, Body=whole[:1000])

    other = orchard(*words, "--resume", "--limit", "100", **bucket.environment)
    assert other.code == 2
    assert "was begun with other settings (limit); resume it with the same ones" in other.err
    assert orchard(*words, **bucket.environment).code == 2

    bucket.proxy.seen.clear()
    resumed = orchard(*words, "--resume", **bucket.environment)
    assert resumed.code == 0, resumed.err
    folder = fetched(bucket, "again", orchard, tmp_path)
    # Refusals are no attempts.
    assert record(folder)["attempts"] == 3
    counts, parts = record(folder)["counts"], record(folder)["tasks"]
    assert counts["listed"] == GOOD + len(BROKEN)
    assert 0 < counts["kept"] < counts["listed"]
    assert_same_rows(folder, finished_run.folder)
    assert bucket.proxy.count("PUT", f"{RUN}/features/") == parts - len([kept])
    assert not bucket.proxy.count("GET", "pictures/"), "packed pictures are read from the shards alone"
    assert orchard("check", folder).code == 0
    complete = orchard(*words, "--resume", **bucket.environment)
    assert complete.code == 0
    assert "Run again is complete already; nothing is left to do." in complete.err


def test_where_the_kernel_ends_sparks_own_process_a_sentence_says_so_and_the_finished_parts_are_kept(
    bucket: Bucket, s3_server: S3Server
) -> None:
    words = ("run", "--images", f"{bucket.uri}/pictures", "--output", f"{bucket.uri}/runs", "--run-id", "ended", *SMALL)
    with bucket.proxy.gate("PUT", "runs/ended/features/", after=1) as gate:
        process = begin(*words, **bucket.environment)
        gate.wait_until_reached(process)
        kill_java(process.pid)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 21
    assert err.splitlines()[-1] == (
        "orchard: Spark gave the job up (Spark's own process here has ended, as by the kernel where the host's memory "
        "is at an end); the finished parts are kept, go on with --resume."
    )
    assert "Traceback" not in err
    assert parts_in(s3_server, bucket, "runs/ended")


def test_a_jvm_that_has_started_beside_a_run_that_is_refused_is_ended() -> None:
    words = (
        "from pipeline.job.session import jvm_ahead\n"
        "with jvm_ahead('local[1]', 'refused') as jvm:\n"
        "    process = jvm.result().proc\n"
        "    assert process.poll() is None\n"
        "assert process.returncode is not None\n"
    )
    subprocess.run([sys.executable, "-c", words], cwd=ROOT, check=True)


def kill_java(group: int) -> None:
    """SIGKILL to the JVM of a command, and to nothing else of it."""
    running = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    [java] = [pid for pid in running if is_java_of(group, pid)]
    os.kill(java, signal.SIGKILL)


def is_java_of(group: int, pid: int) -> bool:
    """Whether that process is a JVM of this process group."""
    try:
        return os.getpgid(pid) == group and Path(f"/proc/{pid}/exe").resolve().name == "java"
    except OSError:
        return False


def interrupt(bucket: Bucket, *words: str) -> None:
    """Begin this run, press Ctrl-C while its second part is on its way, and look at how it ends."""
    with bucket.proxy.gate(**NEXT_PART) as gate:
        process = begin(*words, **bucket.environment)
        gate.wait_until_reached(process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == (
        "orchard: Interrupted; the finished parts are kept. Go on with the same command and --run-id again --resume."
    )
    assert "Traceback" not in err


def parts_in(server: S3Server, bucket: Bucket, run: str = RUN) -> list[str]:
    """Keys of the run's parts of features; there is no record yet."""
    listed = server.client().list_objects_v2(Bucket=bucket.name, Prefix=f"{run}/")["Contents"]
    keys = [entry["Key"] for entry in listed]
    assert f"{run}/run.json" not in keys
    return [key for key in keys if "/features/" in key]
