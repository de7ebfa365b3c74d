"""The launcher of a person's own program as a real process: what it runs, how it ends, what it keeps in the bucket."""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.s3.server import S3Server
from tests.waiting import wait_until

PROGRAM = Path(__file__).resolve().parents[2] / "ansible" / "roles" / "common" / "files" / "own_job.py"
# It says that it is there, waits to be asked to end, and ends as it likes.
PATIENT = """
import signal, sys, time
def heard(*_):
    print("saved", flush=True)
    sys.exit({code})
signal.signal(signal.SIGTERM, heard)
print("ready", flush=True)
while True:
    time.sleep(0.05)
"""
EATER = """
import time
eaten = []
while True:
    eaten.append(bytearray(16 << 20))
    time.sleep(0.01)
"""
# As Spark's JVM: begun by the program, in its session, and there for a while after the program's end is seen.
WITH_CHILD = """
import subprocess, sys
wait = "import sys, pathlib, time; sys.stdin.read(); time.sleep(1); pathlib.Path(sys.argv[1]).write_text('in order')"
silent = dict.fromkeys(("stdout", "stderr"), subprocess.DEVNULL)
subprocess.Popen([sys.executable, "-c", wait, sys.argv[1]], stdin=subprocess.PIPE, **silent)
sys.exit(3)
"""


class Master:
    """A master's side of jobs: a bucket, a home, and the launcher."""

    def __init__(self, server: S3Server, bucket: str, home: Path) -> None:
        self.client, self.bucket, self.home = server.client(), bucket, home
        self.environment = os.environ | server.environment() | {"ORCHARD_BUCKET": bucket, "HOME": str(home)}
        self.environment |= {"PYTHONUNBUFFERED": "1", "AWS_CONFIG_FILE": "/dev/null"}

    def put(self, key: str, content: bytes) -> str:
        """Put an object; gives its SHA-256."""
        self.client.put_object(Bucket=self.bucket, Key=key, Body=content)
        return hashlib.sha256(content).hexdigest()

    def send(self, name: str, **files: str) -> str:
        """Send code, as `make submit` does; gives its SHA-256."""
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as archive:
            for file, content in files.items():
                archive.writestr(f"{file}.py", content)
        return self.put(f"jobs/{name}/code.zip", made.getvalue())

    def begin(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """Start the launcher."""
        return subprocess.Popen(
            [sys.executable, "-I", str(PROGRAM), *words],
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *words: str, **environment: str) -> tuple[int, str]:
        """Run the launcher to its end; gives its exit code and what it printed."""
        process = self.begin(*words, **environment)
        said, _ = process.communicate(timeout=60)
        return process.returncode, said

    def submitted(self, name: str, source: str, *words: str, **environment: str) -> tuple[int, str]:
        """Send a program and run it to its end."""
        return self.run("run", name, "--main=my.py", f"--code={self.send(name, my=source)}", *words, **environment)

    def read(self, key: str) -> str:
        return str(self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read().decode())

    def record(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.read(f"jobs/{name}/record.json"))
        return found

    def objects(self) -> set[str]:
        return {entry["Key"] for entry in self.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])}


def has_ended(process: int) -> bool:
    """Whether it is gone, or waits for nothing but to be noticed by whoever has taken it in."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.fixture
def master(s3_server: S3Server, tmp_path: Path) -> Iterator[Master]:
    home = tmp_path / "home"
    home.mkdir()
    with s3_server.bucket() as bucket:
        yield Master(s3_server, bucket, home)
        # Whatever has become of a job, nothing of it stays on the host.
        assert [*home.rglob("*")] in ([], [home / "jobs"])


def test_a_program_runs_with_its_words_and_its_log_and_record_are_kept(master: Master) -> None:
    source = "import os, sys; print(sys.argv[1:], os.environ['ORCHARD_OUTPUT']); print('oh', file=sys.stderr)"
    code, said = master.submitted("one", source, "--price=9", "--currency=USD", "--", "a b", "--", "$HOME")
    assert (code, said) == (0, f"['a b', '--', '$HOME'] s3a://{master.bucket}/jobs/one/output\noh\n")
    assert master.read("jobs/one/log.txt") == said
    record = master.record("one")
    assert (record["name"], record["state"], record["code"], record["currency"]) == ("one", "complete", 0, "USD")
    assert record["cost"] == pytest.approx(9 * record["seconds"] / 3600, abs=0.001)


def test_modules_that_came_along_are_found_and_the_exit_code_is_the_programs(master: Master) -> None:
    digest = master.send("two", my="import beside; raise SystemExit(beside.CODE)", beside="CODE = 41")
    assert master.run("run", "two", "--main=my.py", f"--code={digest}") == (41, "")
    assert (master.record("two")["state"], master.record("two")["cost"]) == ("failed", None)


def test_a_folder_is_run_by_its_main(master: Master) -> None:
    digest = master.send("folder", __main__="import beside; print('main')", beside="")
    assert master.run("run", "folder", "--main=__main__.py", f"--code={digest}") == (0, "main\n")


def packed(**files: str) -> bytes:
    """Packages as `make submit` sends them."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"{name}/__init__.py")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content.encode()))
    return made.getvalue()


def required(master: Master, archive: bytes) -> str:
    digest = hashlib.sha256(archive).hexdigest()
    master.put(f"environments/{digest}.tar.gz", archive)
    return f"--environment={digest}"


def test_packages_that_were_required_are_found(master: Master) -> None:
    words = required(master, packed(fruit="NAME = 'apple'"))
    assert master.submitted("packages", "import fruit; print(fruit.NAME)", words) == (0, "apple\n")


def test_a_package_that_would_take_the_place_of_the_clusters_is_named(master: Master) -> None:
    code, said = master.submitted("clash", "print('never')", required(master, packed(numpy="", fruit="")))
    assert code == 2
    assert said.startswith("orchard: The requirements bring numpy, which the cluster has from a package of its own")


def test_what_others_have_put_in_the_place_of_what_was_sent_is_not_run(master: Master) -> None:
    digest = master.send("forged", my="print('sent')")
    master.send("forged", my="print('evil')")
    code, said = master.run("run", "forged", "--main=my.py", f"--code={digest}")
    assert code == 22
    assert said == (
        f"orchard: s3://{master.bucket}/jobs/forged/code.zip is not what was sent: somebody who may write to the "
        "bucket has changed it.\n"
    )
    assert master.record("forged")["state"] == "failed"
    code, said = master.run("run", "absent", "--main=my.py", f"--code={digest}")
    assert (code, "cannot be read" in said) == (22, True)


@pytest.mark.parametrize(("own", "code", "state"), [(0, 130, "stopped"), (9, 9, "failed")])
def test_a_request_to_stop_reaches_the_program_which_ends_in_its_own_time(
    master: Master, own: int, code: int, state: str
) -> None:
    digest = master.send("asked", my=PATIENT.format(code=own))
    process = master.begin("run", "asked", "--main=my.py", f"--code={digest}")
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert (process.returncode, said) == (code, "saved\n")
    assert (master.record("asked")["state"], master.read("jobs/asked/log.txt")) == (state, "ready\nsaved\n")


def test_a_program_that_does_not_listen_ends_by_the_request_all_the_same(master: Master) -> None:
    digest = master.send("deaf", my="import time; print('ready', flush=True); time.sleep(600)")
    process = master.begin("run", "deaf", "--main=my.py", f"--code={digest}")
    assert process.stdout
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert (process.returncode, master.record("deaf")["state"]) == (130, "stopped")


def test_what_the_program_has_begun_ends_before_its_unit_does(master: Master, tmp_path: Path) -> None:
    code, _ = master.submitted("jvm", WITH_CHILD, "--", str(tmp_path / "ended"))
    assert (code, (tmp_path / "ended").read_text()) == (3, "in order")


def test_a_program_that_eats_all_memory_is_killed_and_the_sentence_says_why(master: Master) -> None:
    code, said = master.submitted("eater", EATER, ORCHARD_JOB_MEMORY_MB="256")
    assert code == 137
    assert said.startswith("orchard: The job was killed: out of memory. Program and Spark's driver took more than the ")
    assert "0.3 GB that they may have" in said
    assert master.record("eater")["state"] == "out of memory"
    assert master.read("jobs/eater/log.txt") == said


def test_where_the_launcher_itself_was_killed_log_and_record_are_kept_by_what_comes_after_it(
    master: Master, tmp_path: Path
) -> None:
    digest = master.send("killed", my="import os, time; print(os.getpid(), flush=True); time.sleep(600)")
    process = master.begin("run", "killed", "--main=my.py", f"--code={digest}")
    assert process.stdout
    child = int(process.stdout.readline())
    process.kill()
    process.wait()
    # systemd ends what is left of the unit, and then runs what comes after it.
    os.kill(child, signal.SIGKILL)
    wait_until(lambda: has_ended(child), "the program to be gone", 10)
    assert master.run("end", "killed", EXIT_CODE="killed", EXIT_STATUS="KILL") == (0, "")
    record = master.record("killed")
    assert (record["state"], record["code"], master.read("jobs/killed/log.txt")) == ("failed", 137, f"{child}\n")


def test_what_comes_after_a_job_that_has_kept_its_own_changes_nothing(master: Master) -> None:
    master.submitted("fine", "print('fine')")
    before = {key: master.read(key) for key in master.objects() if not key.endswith(".zip")}
    assert master.run("end", "fine", EXIT_CODE="killed", EXIT_STATUS="KILL") == (0, "")
    assert {key: master.read(key) for key in master.objects() if not key.endswith(".zip")} == before
