"""A person's own editor: Spark Connect through the tunnel from this laptop, and from where it must not be had.

The tests share one cluster.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.cluster.operator import MOST_EXPOSED, Operator
from tests.waiting import wait_until

PORT, UNIT = 15002, "spark-connect"
EDITOR_SECONDS = 300
WORDS = """
import json, sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.remote(sys.argv[1]).getOrCreate()
try:
    {work}
    print(json.dumps(answer))
except Exception as error:
    print(json.dumps(str(error)))
"""
COUNT = "answer = spark.range(5).count()"
S3A = "answer = sorted(row[0] for row in spark.read.text('s3a://{bucket}/editor/lines').collect())"
PANDAS_UDF = """
    import pandas
    from pyspark.sql.functions import pandas_udf
    @pandas_udf("long")
    def twice(numbers: pandas.Series) -> pandas.Series:
        return numbers * 2
    answer = [row[0] for row in spark.range(5).select(twice("id")).collect()]
"""
FEATURES = """
    from pipeline.spark_ml import MobileNetV2Featurizer
    featurizer = MobileNetV2Featurizer(weights="random", imageSize=64, handleInvalid="skip")
    pictures = spark.read.format("binaryFile").load("s3a://{bucket}/editor/pictures/*.jpg")
    answer = [len(row[0]) for row in featurizer.transform(pictures).select("features").collect()]
"""


@dataclass
class Connected:
    """`make connect` as it is up: what it printed, and its end."""

    process: "subprocess.Popen[str]"
    printed: str

    @property
    def remote(self) -> str:
        """What it says to export."""
        found = re.search(r"^or export SPARK_REMOTE='(sc://localhost:\d+/;token=\w+)'$", self.printed, re.MULTILINE)
        assert found, self.printed
        return found[1]

    @property
    def port(self) -> int:
        return urlsplit(self.remote).port or 0

    def end(self) -> str:
        """Ctrl-C; gives what is said then."""
        self.process.send_signal(signal.SIGINT)
        said, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, errors
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", self.port), 5)
        return said


def begin(operator: Operator) -> Connected:
    """Type `connect` and wait until it is open."""
    process = operator.begin("connect")
    assert process.stdout
    printed = ""
    for line in process.stdout:
        printed += line
        if line.startswith("Ctrl-C"):
            return Connected(process, printed)
    raise AssertionError(f"{printed}{process.communicate()}")


@contextmanager
def connected(operator: Operator) -> Iterator[Connected]:
    """Spark Connect for the time of the block, and nothing of it after."""
    made = begin(operator)
    try:
        yield made
    finally:
        said = made.end()
    assert said == "Closed.\nSpark Connect has stopped on the master.\n"
    assert not is_up(operator)


def is_up(operator: Operator) -> bool:
    asked = f"systemctl show --property=ActiveState --value {UNIT}"
    return operator.shell.must(operator.host("master"), asked).strip() != "inactive"


def answer_to(operator: Operator, remote: str, work: str) -> Any:
    """What an editor on this laptop is answered, its program in the checkout; or the error as text."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SPARK_", "PYSPARK_"))}
    done = subprocess.run(
        [sys.executable, "-c", WORDS.format(work=work.replace("{bucket}", operator.bucket)), remote],
        cwd=operator.checkout,
        env=kept,
        capture_output=True,
        text=True,
        timeout=EDITOR_SECONDS,
        check=False,
    )
    assert done.stdout, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(autouse=True)
def up(whole: None) -> None:
    """Each test has a cluster that is up."""


@pytest.fixture(scope="module")
def connection(operator: Operator, whole: None) -> Iterator[Connected]:
    """One that several tests share."""
    with connected(operator) as made:
        yield made


def test_nothing_runs_before_somebody_connects(operator: Operator) -> None:
    assert not is_up(operator)


def test_a_laptop_that_vanishes_leaves_nothing_running(operator: Operator) -> None:
    gone = begin(operator)
    assert is_up(operator)
    operator.kill(gone.process)
    wait_until(lambda: not is_up(operator), "Spark Connect to have stopped", 60)


# From here on, with the connection that they share


def test_it_says_what_works_here(connection: Connected) -> None:
    assert re.search(r"^Spark Connect +\d+ s  Python 3\.11\.\d+, pyspark 4\.3\.\d+$", connection.printed, re.MULTILINE)
    assert re.search(
        r"/python \(Python .*\): (all works|SQL and DataFrames work.*)\.$", connection.printed, re.MULTILINE
    )


def test_what_lies_in_the_bucket_is_read_by_s3a(operator: Operator, connection: Connected) -> None:
    s3 = operator.cloud.aws.client("s3")
    for name in ("apple", "pear"):
        s3.put_object(Bucket=operator.bucket, Key=f"editor/lines/{name}.txt", Body=f"{name}\n".encode())
    assert answer_to(operator, connection.remote, S3A) == ["apple", "pear"]


def test_a_pandas_function_runs_on_the_cluster(operator: Operator, connection: Connected) -> None:
    assert answer_to(operator, connection.remote, PANDAS_UDF) == [0, 2, 4, 6, 8]


def test_the_featurizer_makes_features_there(operator: Operator, connection: Connected, drawn_pictures: Path) -> None:
    s3 = operator.cloud.aws.client("s3")
    for number, file in enumerate(sorted(drawn_pictures.rglob("*.jpg"))[:4]):
        s3.upload_file(str(file), operator.bucket, f"editor/pictures/{number}.jpg")
    assert answer_to(operator, connection.remote, FEATURES) == [1280] * 4


def test_an_editor_has_a_part_of_the_cores_and_gives_them_back(operator: Operator, connection: Connected) -> None:
    def cores() -> int:
        return sum(app["cores"] for app in operator.master_says()["activeapps"] if app["name"] == "Spark Connect")

    whole = operator.master_says()["cores"]
    assert answer_to(operator, connection.remote, COUNT) == 5
    assert cores() <= max(1, whole // 4)
    wait_until(lambda: cores() == 0, "the cores to be given back", 150)


def test_without_the_token_nobody_is_answered(operator: Operator, connection: Connected) -> None:
    bare = connection.remote.partition("/;")[0]
    assert "No authentication token provided" in answer_to(operator, bare, COUNT)
    assert "Invalid authentication token" in answer_to(operator, f"{bare}/;token=wrong", COUNT)


def test_from_another_host_nobody_connects(operator: Operator, connection: Connected) -> None:
    address = operator.host("master").address
    for host, target, is_open in (
        ("worker-1", address, False),
        ("master", address, False),
        ("master", "127.0.0.1", True),
    ):
        tried = operator.shell.run(operator.host(host), f"timeout 5 bash -c '</dev/tcp/{target}/{PORT}'")
        assert (tried.returncode == 0) == is_open, (host, target)


def test_the_token_is_roots_and_in_no_argument_and_no_log(operator: Operator, connection: Connected) -> None:
    master, token = operator.host("master"), connection.remote.rpartition("=")[2]
    for user in ("spark", "jupyter", UNIT, "admin"):
        read = operator.shell.run(master, f"sudo -u {user} cat /etc/orchard/connect/token")
        assert read.returncode != 0, user
    for look in ("sudo journalctl --no-pager", "ps -ewwo args", "cat /etc/orchard/cluster.json"):
        assert token not in operator.shell.must(master, look), look
    assert token not in operator.log()
    file = operator.state / "spark-remote.sh"
    assert file.stat().st_mode & 0o777 == 0o600


def test_it_is_as_hardened_as_the_daemons(operator: Operator, connection: Connected) -> None:
    exposed = f"systemd-analyze security --no-pager --threshold={MOST_EXPOSED} {UNIT}"
    print(operator.shell.must(operator.host("master"), exposed).splitlines()[-1])


def test_who_goes_first_does_not_cut_off_who_stays(operator: Operator, connection: Connected) -> None:
    second = begin(operator)
    assert second.port != connection.port
    assert answer_to(operator, second.remote, COUNT) == 5
    assert second.end() == "Closed.\nSpark Connect goes on there for another `make connect`.\n"
    assert answer_to(operator, connection.remote, COUNT) == 5
