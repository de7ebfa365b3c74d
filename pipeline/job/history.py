"""Spark's own history server on this machine, on event logs that lie in a folder or in a bucket."""

import json
import os
import re
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipeline.errors import InputError, SparkError
from pipeline.job.java import LOG4J, LOOPBACK, find_java_home
from pipeline.progress import Narrator
from pipeline.storage.local import LocalStorage
from pipeline.storage.opening import open_storage
from pipeline.storage.paths import path_below
from pipeline.storage.s3 import S3Storage
from pipeline.storage.transfer import download

LOG = "eventlog_v2_"
# The operator's side finds logs by it; it is no log itself.
NAMES_FOLDER = "names/"
START_SECONDS, LISTED_SECONDS = 60.0, 15.0
POLL_SECONDS = 0.1
BOUND = re.compile(r"HistoryServer.* started at \S+:(\d+)")
CLASS = "org.apache.spark.deploy.history.HistoryServer"
# A server that lives for minutes: half the processor time of its start.
JAVA_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


@dataclass(frozen=True)
class Application:
    """An application as its log tells of it; `is_whole` is false where the log ends before the application did."""

    id: str
    name: str
    is_whole: bool


@dataclass(frozen=True)
class Server:
    """A history server that answers on `port` of the loopback, over so many logs."""

    port: int
    logs: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Its first page."""
        return f"http://{LOOPBACK}:{self.port}"

    def page(self, application: Application) -> str:
        """An application's page."""
        return f"{self.url}/history/{quote(application.id, safe='')}/"


@contextmanager
def served(sources: Sequence[str], port: int, narrator: Narrator) -> Iterator[Server]:
    """A server for the time of the block. Each source is a folder of event logs, or a single log's in S3.

    `port` 0 takes a free one. Raises InputError without Java, without a log and where the port is taken; SparkError
    where the server does not start; what reading S3 raises.
    """
    java = find_java_home()
    with tempfile.TemporaryDirectory(prefix="orchard-history-") as made:
        logs = _local(sources, Path(made) / "logs", narrator)
        process = _start(java, logs, port, Path(made))
        try:
            yield Server(_bound(process, port, Path(made) / "log"), len([*logs.glob(f"{LOG}*")]), process)
        finally:
            # Whoever has said it once may say it again; the server is to be gone all the same.
            heard = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
            process.terminate()
            process.wait()
            for number, handler in heard.items():
                signal.signal(number, handler)


def listed(server: Server) -> list[Application]:
    """The applications, once each log's is listed; what is listed by then where some of the logs are none."""
    until = time.monotonic() + LISTED_SECONDS
    while len(found := _asked(server)) < server.logs and time.monotonic() < until and server.process.poll() is None:
        time.sleep(POLL_SECONDS)  # between two looks: the server reads the logs and announces nothing
    return found


def _name(uri: str) -> str:
    return uri.rstrip("/").rpartition("/")[2]


def _local(sources: Sequence[str], folder: Path, narrator: Narrator) -> Path:
    """A folder of this machine with the logs; those of a bucket are fetched into `folder`."""
    folder.mkdir()
    for uri in sources:
        storage = open_storage(uri)
        if isinstance(storage, LocalStorage):
            if len(sources) > 1:
                raise InputError(f"{uri} is a folder of this machine: give it alone.")
            folder = storage.root
        elif isinstance(storage, S3Storage):
            below = path_below(folder, _name(uri)) if _name(uri).startswith(LOG) else folder
            download(storage, LocalStorage.at(str(below)), narrator, (NAMES_FOLDER,))
    if not any(folder.glob(f"{LOG}*")):
        raise InputError(
            f"{', '.join(sources)} holds no event log of Spark's ({LOG}...): give the folder of such logs."
        )
    return folder


def _start(java: str, logs: Path, port: int, made: Path) -> subprocess.Popen[bytes]:
    import pyspark

    home = Path(pyspark.__file__).parent
    settings = {
        "spark.history.fs.logDirectory": f"file://{logs}",
        "spark.history.ui.port": port,
        "spark.port.maxRetries": 0,
        # Nothing more will come.
        "spark.history.fs.update.interval": "1d",
        "spark.history.fs.numReplayThreads": os.cpu_count() or 1,
    }
    (made / "spark-defaults.conf").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    # What a person has set for Spark's daemons elsewhere is none of this one's.
    others = {name: value for name, value in os.environ.items() if not name.startswith("SPARK_")}
    environment = others | {
        "JAVA_HOME": java,
        "SPARK_HOME": str(home),
        "SPARK_CONF_DIR": str(made),
        # Nobody else is to see it: this is where it listens.
        "SPARK_LOCAL_IP": LOOPBACK,
        "SPARK_HISTORY_OPTS": f"{LOG4J} {JAVA_OPTIONS}",
        "SPARK_DAEMON_MEMORY": "1g",
    }
    with (made / "log").open("wb") as log:
        return subprocess.Popen(
            [home / "bin" / "spark-class", CLASS], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )


def _bound(process: subprocess.Popen[bytes], port: int, log: Path) -> int:
    """The port that the server listens on, by its own word: whatever else answers there may be a neighbour's."""
    until = time.monotonic() + START_SECONDS
    while not (found := BOUND.search(said := log.read_text(errors="replace"))):
        if process.poll() is not None and port and "BindException" in said:
            raise InputError(f"Port {port} of this machine is taken by another program: give another, or none.")
        if process.poll() is not None or time.monotonic() > until:
            last = said.strip().rpartition("\n")[2] or "it said nothing"
            raise SparkError(f"Spark's history server did not start ({last}); start the same command again.")
        time.sleep(POLL_SECONDS)  # between two looks at what it has written
    return int(found[1])


def _asked(server: Server) -> list[Application]:
    # Past any proxy of this machine.
    straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with straight.open(f"{server.url}/api/v1/applications", timeout=LISTED_SECONDS) as answer:
            return [_application(entry) for entry in json.load(answer)]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _application(entry: dict[str, Any]) -> Application:
    return Application(str(entry["id"]), str(entry["name"]), all(each["completed"] for each in entry["attempts"]))
