"""`python -m pipeline history`: Spark's own history server here, on the event log of a real job."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import keep_in_bucket
from tests.doubles.s3.server import S3Server
from tests.job.conftest import Orchard, begin
from tests.waiting import wait_until

# A job of two stages, as the cluster writes its log (ansible/roles/spark/vars/main.yml).
JOB = """
import sys
from pyspark.sql import SparkSession
settings = {"eventLog.enabled": "true", "eventLog.rolling.enabled": "true", "eventLog.compress": "false",
            "eventLog.buffer.kb": "4k", "eventLog.dir": "file://" + sys.argv[1], "ui.enabled": "false"}
builder = SparkSession.builder.master("local[2]").appName("orchard mine")
for name, value in settings.items():
    builder = builder.config("spark." + name, value)
spark = builder.getOrCreate()
numbers = spark.sparkContext.parallelize(range(8), 8).map(lambda n: (n % 2, n))
assert numbers.reduceByKey(lambda a, b: a + b).count() == 2
spark.stop()
"""
READY_SECONDS = 60


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of event logs, with that job's."""
    from pipeline.job.java import find_java_home

    folder = tmp_path_factory.mktemp("events")
    environment = {**os.environ, "JAVA_HOME": find_java_home(), "SPARK_LOCAL_IP": "127.0.0.1"}
    words = [sys.executable, "-c", JOB, str(folder)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def in_bucket(events: Path, s3_server: S3Server) -> Iterator[tuple[str, dict[str, str]]]:
    """The same in a bucket, as the cluster keeps it there, and what leads a command to it."""
    environment = s3_server.environment()
    with s3_server.bucket() as name, pytest.MonkeyPatch.context() as patch:
        for variable, value in {**environment, "ORCHARD_BUCKET": name}.items():
            patch.setenv(variable, value)
        assert keep_in_bucket.main(["events", str(events)]) == 0
        yield f"s3://{name}/events", environment


class Shown:
    """A history server that is asked by its address."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process, self.lines = process, list[str]()
        assert process.stdout
        for line in process.stdout:
            self.lines.append(line.strip())
            if line.startswith("Ctrl-C"):
                break
        assert self.lines, process.communicate()[1]

    @property
    def url(self) -> str:
        found = re.search(r"http://127\.0\.0\.1:\d+", self.lines[0])
        assert found, self.lines
        return found[0]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def asked(self, path: str) -> Any:
        return json.loads(self.page(f"{self.url}{path}"))

    @staticmethod
    def page(url: str) -> str:
        with urllib.request.urlopen(url) as answer:  # noqa: S310  of the server here
            return str(answer.read().decode())

    def end(self, number: int) -> int:
        """As Ctrl-C or an end of the session does it: everybody in the group hears of it."""
        os.killpg(self.process.pid, number)
        code = self.process.wait(timeout=READY_SECONDS)
        # What a shell on the way has left is this machine's first process's to bury.
        wait_until(lambda: not is_there(self.process.pid), "the server and all that it started to be gone")
        return code


def is_there(group: int) -> bool:
    """Whether anybody of a process group is left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, 0)
        return True
    return False


def test_a_job_s_pages_are_shown_from_the_bucket_to_this_machine_alone_until_ctrl_c(
    in_bucket: tuple[str, dict[str, str]], events: Path, tmp_path: Path
) -> None:
    uri, environment = in_bucket
    # Of a person who has set Spark's daemons for something else.
    environment = environment | {"SPARK_LOCAL_IP": "0.0.0.0", "SPARK_HISTORY_OPTS": "-Dno", "TMPDIR": str(tmp_path)}  # noqa: S104
    shown = Shown(begin("history", uri, **environment))
    [log] = events.glob("eventlog_v2_*")
    application = log.name.removeprefix("eventlog_v2_")
    assert shown.lines == [f"orchard mine: {shown.url}/history/{application}/", "Ctrl-C closes it."]
    stages = shown.asked(f"/api/v1/applications/{application}/stages")
    assert sorted(stage["numCompleteTasks"] for stage in stages) == [8, 8]
    page = shown.page(shown.lines[0].partition(": ")[2])
    assert "orchard mine" in page
    assert "Completed Jobs" in page
    # Whoever comes from elsewhere finds nobody.
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((own_address(), shown.port), timeout=5)
    assert shown.end(signal.SIGINT) == 0
    assert not list(tmp_path.glob("orchard-history-*"))


def own_address() -> str:
    """An address of this machine that is not the loopback's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.connect(("192.0.2.1", 9))
        return str(line.getsockname()[0])


def test_a_log_that_ends_before_its_job_is_shown_as_far_as_it_came(
    in_bucket: tuple[str, dict[str, str]], events: Path, tmp_path: Path
) -> None:
    [log] = events.glob("eventlog_v2_*")
    cut = tmp_path / log.name
    cut.mkdir()
    application = log.name.removeprefix("eventlog_v2_")
    whole = (log / f"events_1_{application}").read_bytes()
    # In the middle of a line, as a minute's copy is.
    (cut / f"events_1_{application}").write_bytes(whole[: whole.index(b"SparkListenerStageCompleted") + 9])
    (cut / f"appstatus_{application}.inprogress").touch()
    shown = Shown(begin("history", tmp_path))
    assert shown.lines[0].startswith("orchard mine (its log ends before it did): http://127.0.0.1:")
    [job] = shown.asked(f"/api/v1/applications/{application}/jobs")
    assert job["status"] == "RUNNING"
    assert shown.end(signal.SIGTERM) == 0


def test_what_cannot_be_shown_is_said_in_one_sentence(
    orchard: Orchard, events: Path, tmp_path: Path, no_java_path: str, in_bucket: tuple[str, dict[str, str]]
) -> None:
    ended = orchard("history", tmp_path)
    assert (ended.code, ended.err) == (
        2, f"orchard: {tmp_path} holds no event log of Spark's (eventlog_v2_...): give the folder of such logs.\n"
    )  # fmt: skip
    uri, environment = in_bucket
    ended = orchard("history", f"{uri}/eventlog_v2_none", **environment)
    assert ended.code == 2
    assert "There is no object below" in ended.err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = orchard("history", events, "--port", port)
    assert (ended.code, ended.err) == (
        2, f"orchard: Port {port} of this machine is taken by another program: give another, or none.\n"
    )  # fmt: skip
