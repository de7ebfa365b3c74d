"""A person's own programs on a cluster: the examples of the docs, what fails, what eats, what is stopped.

The tests share one cluster and run in this order, after test_operator_day, whose pictures they read.
"""

import csv
import io
import json
import re
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.cluster.operator import Operator
from tests.cluster.test_operator_day import COST, SPAN, keys, read_until, state_of
from tests.unit.scripts.jobs.test_requirements import wheel

EXAMPLES = Path("docs") / "examples"
PICTURES = 300
FAILING = """
import os, sys
from pyspark.sql import SparkSession
import beside

def found(_):
    import beside, juice
    yield beside.TABLE, juice.VERSION

seen = SparkSession.builder.getOrCreate().sparkContext.parallelize([1], 1).mapPartitions(found).collect()
print("executors found", seen, "and the driver", sys.argv[1:])
sys.exit(41)
"""
BESIDE = "from pathlib import Path\nTABLE = (Path(__file__).parent / 'table.txt').read_text()\n"
EATER = "import time\neaten = []\nwhile True:\n    eaten.append(bytearray(32 << 20))\n    time.sleep(0.02)\n"
PATIENT = """
import signal, sys, time
def heard(*_):
    print("saved", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, heard)
print("at work", flush=True)
while True:
    time.sleep(0.1)
"""


@pytest.fixture(autouse=True)
def up(whole: None) -> None:
    """Each test has a cluster that is up."""


@pytest.fixture(scope="module", autouse=True)
def uploaded(whole: None, operator: Operator, pictures: Path) -> None:
    """The pictures are in the bucket, wherever these tests begin."""
    if not keys(operator, "pictures/"):
        operator.type("upload", f"--data={pictures}")


def program(operator: Operator, name: str, source: str) -> str:
    """A program in the person's checkout."""
    file = operator.checkout / f"{name}.py"
    file.write_text(source)
    return str(file)


def content(operator: Operator, key: str) -> bytes:
    return operator.cloud.aws.client("s3").get_object(Bucket=operator.bucket, Key=key)["Body"].read()


def record(operator: Operator, job: str) -> dict:
    return json.loads(content(operator, f"jobs/{job}/record.json"))


def test_the_word_count_of_the_docs_runs_and_its_results_come_home(operator: Operator, pictures: Path) -> None:
    done = operator.make("submit", f"JOB={EXAMPLES / 'word_count.py'}", "NAME=words")
    assert done.code == 0, done.text
    print(f"word count: {done.seconds:.0f} s")
    assert "Job words (word_count.py) has begun on the master.\n" in done.out
    assert re.search(r"^\|\s*word\|count\|$", done.out, re.MULTILINE), done.text
    assert re.search(
        rf"^Job words is complete after {SPAN} and {COST}\.\nNext: make results JOB=words\n$", done.out, re.M
    )
    fetched = operator.make("results", "JOB=words")
    assert fetched.code == 0, fetched.text
    folder = operator.checkout / "results" / "words"
    [written] = (folder / "output" / "words").glob("*.csv")
    words = Counter(word for file in pictures.rglob("*.jpg") for word in re.findall("[a-z]+", file.parent.name.lower()))
    assert written.read_text().splitlines()[0] == "word,count"
    assert {word: int(count) for word, count in csv.reader(written.read_text().splitlines()[1:])} == words
    assert "word|count" in (folder / "log.txt").read_text()
    kept = record(operator, "words")
    assert (kept["state"], kept["code"]) == ("complete", 0)
    assert kept["cost"] > 0
    assert not any("_temporary" in key for key in keys(operator, "jobs/words/"))
    line = state_of(operator, "words")
    assert re.fullmatch(rf"words +complete +word_count\.py +- +- +{SPAN} +{COST}", line), line


def test_the_pandas_udf_of_the_docs_runs_from_s3_to_s3(operator: Operator) -> None:
    done = operator.make("submit", f"JOB={EXAMPLES / 'pandas_udf.py'}", "NAME=colours")
    assert done.code == 0, done.text
    print(f"pandas UDF: {done.seconds:.0f} s")
    written = [key for key in keys(operator, "jobs/colours/output/colours/") if key.endswith(".parquet")]
    assert sum(pq.read_metadata(io.BytesIO(content(operator, key))).num_rows for key in written) == PICTURES, written
    # It shows twenty labels, of as many as there are.
    assert re.search(r"^\|[^|]+\|[1-9]\d* *\|", done.out, re.MULTILINE), done.text


def test_a_failing_program_s_exit_code_is_handed_on_and_executors_find_what_came_along(
    operator: Operator, tmp_path: Path
) -> None:
    failing = program(operator, "failing", FAILING)
    beside = program(operator, "beside", BESIDE)
    (operator.checkout / "table.txt").write_text("of fruits")
    wheel(tmp_path, "juice")
    (tmp_path / "requirements.txt").write_text("juice\nnumpy\n")
    words = [f"--job={failing}", f"--files={beside} {operator.checkout / 'table.txt'}", "--args='a b' c"]
    words += [f"--requirements={tmp_path / 'requirements.txt'}", "--name=failing"]
    done = operator.type("submit", *words, check=False, UV_FIND_LINKS=str(tmp_path))
    assert done.code == 41, done.text
    assert "Job failing (failing.py) with juice==1.0 has begun" in done.out
    assert "executors found [('of fruits', '1.0')] and the driver ['a b', 'c']" in done.out
    assert re.fullmatch(
        rf"Job failing ended with exit code 41 after {SPAN} and {COST}: `make results JOB=failing` fetches its log and "
        r"what it wrote\.",
        done.err.strip(),
    ), done.text
    assert re.match(r"failing +failed +failing\.py", state_of(operator, "failing"))
    assert record(operator, "failing")["code"] == 41
    assert operator.refused(2, "submit", f"--job={failing}", "--name=failing") == (
        "There is a job or a run failing already, and it is kept: give another NAME, or leave it out."
    )


def test_a_program_that_eats_all_memory_is_named_and_the_daemons_go_on(operator: Operator) -> None:
    done = operator.type("submit", f"--job={program(operator, 'eater', EATER)}", "--name=eater", check=False)
    assert done.code == 137, done.text
    assert "orchard: The job was killed: out of memory." in done.out
    assert "out of memory: eater.py took more than it may on the master" in done.err
    assert re.match(r"eater +out of memory +eater\.py", state_of(operator, "eater"))
    operator.shell.must(
        operator.host("master"), "systemctl is-active spark-master spark-history jupyter orchard-keeper"
    )


def test_a_job_is_ended_kindly_and_one_goes_at_a_time(operator: Operator) -> None:
    patient = program(operator, "patient", PATIENT)
    client = operator.begin("submit", f"--job={patient}", "--name=patient")
    read_until(client, "at work")
    assert operator.refused(8, "submit", f"--job={patient}", "--name=second") == (
        "Run patient is under way and has all cores: `make follow` attaches to it, `make stop-run` ends it."
    )
    assert [run["run_id"] for run in json.loads(operator.type("status", "--json").out)["runs"]] == ["patient"]
    stopped = operator.type("stop-run")
    said, _ = client.communicate(timeout=60)
    assert "saved\n" in said
    assert client.returncode == 130
    assert stopped.out.endswith(
        "Job patient has ended: `make results JOB=patient` fetches its log and what it wrote.\n"
    )
    assert record(operator, "patient")["state"] == "stopped"
    # Nothing of any job stays on the master.
    assert operator.shell.must(operator.host("master"), "sudo ls /var/lib/orchard/home/jobs") == ""


def test_wrong_programs_are_answered_in_one_sentence_and_send_nothing(operator: Operator, tmp_path: Path) -> None:
    before = keys(operator, "jobs/")
    broken = program(operator, "broken", "def f(:\n")
    (tmp_path / "requirements.txt").write_text("numpy==1.0\n")
    fine = program(operator, "fine", "print()")
    answers = {
        ("--job=none.py",): "There is no file none.py: give a Python file, or a folder with __main__.py, JOB=path.",
        (f"--job={broken}",): f"{broken}:1 is no program for Python 3.11 (invalid syntax): mend it; nothing was sent.",
    }
    for words, sentence in answers.items():
        assert operator.refused(2, "submit", *words) == sentence
    said = operator.refused(2, "submit", f"--job={fine}", f"--requirements={tmp_path / 'requirements.txt'}")
    assert said.startswith(f"What {tmp_path}/requirements.txt asks for cannot be had for the nodes (Python 3.11, ")
    assert "numpy==1.0" in said
    assert keys(operator, "jobs/") == before
