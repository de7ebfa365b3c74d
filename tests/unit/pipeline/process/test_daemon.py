"""pipeline.process.daemon: Python workers are the first that the kernel ends."""

import subprocess
import sys
from pathlib import Path

from pipeline.process.daemon import SCORE, go_first


def test_a_process_and_what_it_forks_go_first() -> None:
    words = (
        "import os, sys; from pipeline.process.daemon import go_first; go_first();"
        "child = os.fork(); print(open('/proc/self/oom_score_adj').read(), end='', flush=True); child and os.wait()"
    )
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(SCORE)] * 2


def test_who_is_first_already_stays_so_and_where_nobody_chooses_nothing_is_done(tmp_path: Path) -> None:
    (tmp_path / "score").write_text("900\n")
    go_first(tmp_path / "score")
    assert (tmp_path / "score").read_text() == "900\n"
    go_first(tmp_path / "no Linux")
    assert not (tmp_path / "no Linux").exists()


def test_spark_s_own_daemon_follows() -> None:
    """It says its port, which is not this one's to choose, and ends with its input."""
    words = [sys.executable, "-m", "pipeline.process.daemon", "pyspark.worker"]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    assert 0 < int.from_bytes(done.stdout, "big") < 65536
