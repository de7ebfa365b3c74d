"""Spark Connect as the master's unit starts it, here: who gets in, what works, and what the keeper sees of it."""

import importlib.util
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from orchard_keeper import work
from scripts.hosts.ssh import free_port
from tests.job.conftest import JAVA_OPTIONS
from tests.waiting import wait_until

ROLE = Path(__file__).resolve().parents[2] / "ansible" / "roles" / "connect"
# As the role has it: Spark's own programs are in pyspark, whoever else has a copy of them.
SPARK_HOME = Path(str(importlib.util.find_spec("pyspark").origin)).parent
TOKEN = "t0k" * 16
START_SECONDS = 120
# What a person's editor does; `remote` is what it was told.
WORDS = """
import json, sys
from pyspark.sql import SparkSession
try:
    spark = SparkSession.builder.remote(sys.argv[1]).getOrCreate()
    {work}
    print(json.dumps(answer))
except Exception as error:
    print(json.dumps(str(error)))
"""
COUNT = "answer = spark.range(5).count()"
PANDAS_UDF = """
    import pandas
    from pyspark.sql.functions import pandas_udf
    @pandas_udf("long")
    def twice(numbers: pandas.Series) -> pandas.Series:
        return numbers * 2
    answer = [row[0] for row in spark.range(5).select(twice("id")).collect()]
"""
# As a laptop with another Python does it.
OTHER_PYTHON = """
    import types, pyspark.sql.connect.udf
    pyspark.sql.connect.udf.sys = types.SimpleNamespace(version_info=(3, 10, 1))
"""
# A task that goes on until there is a file.
HELD = """
    import pathlib, time
    def held(frames):
        while not pathlib.Path({gate!r}).exists():
            time.sleep(0.05)
        yield from frames
    answer = spark.range(1, 3, 1, 1).mapInPandas(held, "id long").count()
"""
SETTINGS = """
    def told(name):
        try:
            return spark.conf.get(name)
        except Exception:
            return None
    answer = list(map(told, ["spark.connect.authenticate.token", "spark.authenticate.secret", "spark.cores.max"]))
"""


@dataclass(frozen=True)
class Server:
    """Where it listens, where its page is, and what started it."""

    port: int
    page: int
    process: "subprocess.Popen[bytes]"

    def remote(self, token: str | None = TOKEN) -> str:
        return f"sc://localhost:{self.port}" + (f"/;token={token}" if token else "")


def rendered(text: str, **variables: object) -> str:
    """A line of the role with these variables."""
    made = jinja2.Environment(undefined=jinja2.StrictUndefined)  # noqa: S701  no page of HTML
    return made.from_string(text).render(variables)


def lines(name: str, of: str) -> list[str]:
    """The lines of one of the role's templates that begin so."""
    found = [line for line in (ROLE / "templates" / name).read_text().splitlines() if line.startswith(of)]
    assert found, f"no {of} in {name}"
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The unit's command, environment and settings, on this machine's cores in place of a cluster's."""
    folder, port, page = tmp_path_factory.mktemp("connect"), free_port(), free_port()
    own = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())["connect_spark_settings"]
    settings = {name: rendered(str(value), connect_port=port) for name, value in own.items()} | {
        "spark.master": "local[2]",
        "spark.ui.port": page,
        "spark.authenticate": "true",
        "spark.authenticate.secret": "secret",
        "spark.cores.max": 1,
    }
    (folder / "spark-defaults.conf").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    environment = [rendered(line, connect_config=folder) for line in lines("environment.j2", "S")]
    [command] = lines("spark-connect.service.j2", "ExecStart=")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            shlex.split(
                rendered(command.removeprefix("ExecStart="), orchard_venv=sys.prefix, orchard_spark_home=SPARK_HOME)
            ),
            cwd=folder,
            env={
                **os.environ,
                **JAVA_OPTIONS,
                **dict(line.split("=", 1) for line in environment),
                "SPARK_CONNECT_AUTHENTICATE_TOKEN": TOKEN,
                "SPARK_LOCAL_IP": "127.0.0.1",
                "PYSPARK_PYTHON": sys.executable,
            },
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    made = Server(port, page, process)
    try:
        wait_until(lambda: answers("127.0.0.1", port) or process.poll() is not None, "it to listen", START_SECONDS)
        assert process.poll() is None, (folder / "log").read_text()
        yield made
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)
    assert TOKEN not in (folder / "log").read_text()


def answers(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), 5).close()
    except OSError:
        return False
    return True


def begin(remote: str, work: str) -> "subprocess.Popen[str]":
    words = [sys.executable, "-c", WORDS.format(work=work), remote]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def asked(remote: str, work: str) -> Any:
    """What an editor of that remote is answered, or the error as text."""
    out, err = begin(remote, work).communicate(timeout=120)
    assert out, err
    return json.loads(out)


def test_with_the_token_a_query_and_a_pandas_function_work(server: Server) -> None:
    assert asked(server.remote(), PANDAS_UDF) == [0, 2, 4, 6, 8]


def test_the_variable_to_export_does_as_well(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_REMOTE", server.remote())
    words = "from pyspark.sql import SparkSession; print(SparkSession.builder.getOrCreate().range(5).count())"
    assert subprocess.check_output([sys.executable, "-c", words], text=True) == "5\n"


@pytest.mark.parametrize(
    ("token", "sentence"), [(None, "No authentication token provided"), ("wrong", "Invalid authentication token")]
)
def test_without_the_token_nothing_is_answered(server: Server, token: str | None, sentence: str) -> None:
    assert sentence in asked(server.remote(token), COUNT)


def test_only_the_loopback_listens(server: Server) -> None:
    assert answers("127.0.0.1", server.port)
    # By which orchard-run knows whose it is.
    assert work.listener(server.port) == os.getuid()
    # Addresses of this machine, too, and none that was asked for.
    assert not answers("127.0.0.2", server.port)
    assert not answers("::1", server.port)


def test_a_laptop_with_another_python_has_sql_and_is_told_of_functions(server: Server) -> None:
    assert asked(server.remote(), f"{OTHER_PYTHON}    {COUNT}") == 5
    assert "PYTHON_VERSION_MISMATCH" in asked(server.remote(), OTHER_PYTHON + PANDAS_UDF)


def test_neither_token_nor_secret_is_told_to_who_is_in(server: Server) -> None:
    # The last one shows that settings can be asked for.
    assert asked(server.remote(), SETTINGS) == [None, None, "1"]


def test_what_it_computes_is_work_to_the_keeper_while_it_does_and_a_moment_after(
    server: Server, tmp_path: Path
) -> None:
    facts = {"private_address": "127.0.0.1", "ports": {"job_ui": [server.page]}}
    [page] = work.orchard_run.job_pages(facts)
    assert page["name"] == "Spark Connect"

    def tasks() -> work.Tasks:
        found = work.tasks_of(facts, server.page, page["id"])
        assert found
        return found

    before = tasks()
    assert before.running == 0
    process = begin(server.remote(), HELD.format(gate=str(tmp_path / "gate")))
    wait_until(lambda: tasks().running, "its task to be seen", 60)
    (tmp_path / "gate").touch()
    assert process.communicate(timeout=120)[0] == "2\n"
    wait_until(lambda: not tasks().running, "its task to have ended", 20)
    assert tasks().has_more_than(before)
    assert not tasks().has_more_than(tasks())
