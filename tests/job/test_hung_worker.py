"""A Python worker that hangs in the middle of its task, which a gate holds: it is ended, and its task done again."""

import os
import signal
from pathlib import Path
from subprocess import Popen

from pipeline.process.daemon import SCORE
from pipeline.process.hanging import VARIABLE
from tests.job.conftest import SMALL, Bucket, FinishedRun, Orchard, begin
from tests.job.run_folders import assert_same_rows, fetched

RUN = "runs/hung"


def test_a_hung_worker_s_task_is_given_up_and_done_again_to_bit_equal_features(
    bucket: Bucket, finished_run: FinishedRun, orchard: Orchard, tmp_path: Path
) -> None:
    words = (
        "run", "--images", f"{bucket.uri}/pictures", "--output", f"{bucket.uri}/runs", "--run-id", "hung", *SMALL,
        "--no-report",
    )  # fmt: skip
    with bucket.proxy.gate("PUT", f"{RUN}/features/", after=1) as gate:
        process = begin(*words, **bucket.environment, **{VARIABLE: "15"})
        # Both are at a task then: one that is stopped between two would be given the next one, and nobody could know.
        gate.wait_until_reached(process, requests=2)
        hung = workers_of(process)
        assert {score(worker) for worker in hung} == {SCORE}
        for worker in hung:
            os.kill(worker, signal.SIGSTOP)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert_same_rows(fetched(bucket, "hung", orchard, tmp_path), finished_run.folder)
    assert not any(Path(f"/proc/{worker}").exists() for worker in hung)


def workers_of(command: Popen[str]) -> list[int]:
    """The Python workers of a command: what its Spark's daemon has forked."""
    daemon = next(process for process in below(command.pid) if is_daemon(process))
    return [process for process in children(daemon) if is_daemon(process)]


def is_daemon(process: int) -> bool:
    return b"\0-m\0pipeline.process.daemon\0" in Path(f"/proc/{process}/cmdline").read_bytes()


def below(process: int) -> list[int]:
    return [found for child in children(process) for found in (child, *below(child))]


def children(process: int) -> list[int]:
    files = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for file in files for child in file.read_text().split()]


def score(process: int) -> int:
    return int(Path(f"/proc/{process}/oom_score_adj").read_text())
