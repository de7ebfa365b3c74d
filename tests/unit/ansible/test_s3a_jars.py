"""The jars of s3a on a host: from the bucket, else from the Maven repository, as the lock says, or not at all."""

import hashlib
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

import s3a_jars
from s3a_jars import Jar, JarsError

CONTENTS = {"one": b"first", "two": b"second"}
JARS = [Jar("org.example", name, "1.0", hashlib.sha256(content).hexdigest()) for name, content in CONTENTS.items()]
GOOD = {jar.file: CONTENTS[jar.artifact] for jar in JARS}


class InMemory(dict[str, bytes]):
    """A shelf."""

    def put(self, name: str, content: bytes) -> None:
        self[name] = content


class Repository:
    """What Spark's resolver would find; counts how often it is asked."""

    def __init__(self) -> None:
        self.serves = dict(GOOD)
        self.asked = 0

    def resolve(self, _: Iterable[str], scratch: Path) -> list[Path]:
        self.asked += 1
        (scratch / "jars").mkdir()
        for name, content in self.serves.items():
            (scratch / "jars" / name).write_bytes(content)
        return sorted((scratch / "jars").iterdir())


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> Repository:
    made = Repository()
    monkeypatch.setattr(s3a_jars, "resolve", made.resolve)
    return made


def there(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_the_first_host_asks_the_repository_and_leaves_the_jars_for_the_others(
    repository: Repository, tmp_path: Path
) -> None:
    bucket = InMemory()
    assert s3a_jars.provide(JARS, tmp_path / "first", bucket) == "2 jars came from the Maven repository"
    assert there(tmp_path / "first") == bucket == GOOD
    assert s3a_jars.provide(JARS, tmp_path / "second" / "lock", bucket) == "2 jars came from the bucket"
    assert there(tmp_path / "second" / "lock") == GOOD
    assert repository.asked == 1


def test_a_host_that_has_them_asks_nobody(repository: Repository, tmp_path: Path) -> None:
    s3a_jars.provide(JARS, tmp_path / "lock", InMemory(GOOD))
    assert s3a_jars.provide(JARS, tmp_path / "lock") == "2 jars were there"
    assert repository.asked == 0


@pytest.mark.parametrize("spoiled", [{}, {JARS[0].file: b"other"}, {JARS[0].file: GOOD[JARS[0].file]}])
def test_what_the_bucket_lacks_or_somebody_has_changed_there_is_fetched_anew_and_mended(
    repository: Repository, spoiled: dict[str, bytes], tmp_path: Path
) -> None:
    bucket = InMemory(spoiled)
    s3a_jars.provide(JARS, tmp_path / "lock", bucket)
    assert there(tmp_path / "lock") == bucket == GOOD


def test_a_repository_that_serves_another_jar_is_refused_and_nothing_is_half_done(
    repository: Repository, tmp_path: Path
) -> None:
    repository.serves[JARS[1].file] = b"another"
    bucket = InMemory()
    with pytest.raises(JarsError, match=r"another two-1\.0\.jar than requirements/jars\.txt names: .*make lock"):
        s3a_jars.provide(JARS, tmp_path / "all" / "lock", bucket)
    assert bucket == {}
    assert list((tmp_path / "all").iterdir()) == []


def test_a_repository_that_lacks_one_is_refused_too(repository: Repository, tmp_path: Path) -> None:
    del repository.serves[JARS[0].file]
    with pytest.raises(JarsError, match=r"one-1\.0\.jar"):
        s3a_jars.provide(JARS, tmp_path / "lock")
    assert list(tmp_path.iterdir()) == []


def test_what_earlier_locks_or_a_host_that_went_down_have_left_goes_but_what_programs_under_way_have_open(
    repository: Repository, tmp_path: Path
) -> None:
    for age, name in enumerate((".new-x", "before", "long-before", "longer-before")):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    s3a_jars.provide(JARS, tmp_path / "lock")
    assert {folder.name for folder in tmp_path.iterdir()} == {"before", "lock"}
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o755


def test_a_host_that_is_busy_has_time_to_say_who_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: dict[str, str] = {}
    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr("boto3.client", lambda *_, **__: asked.update(os.environ))
    (tmp_path / "lock").write_text("")
    (tmp_path / s3a_jars.lock_id("")).mkdir()
    s3a_jars.main(tmp_path / "lock", tmp_path, "b")
    assert asked == {"AWS_METADATA_SERVICE_TIMEOUT": "5", "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "4"}


def test_two_at_once_leave_each_other_s_work_alone(repository: Repository, tmp_path: Path) -> None:
    class Neighbour(InMemory):
        """While the first jar is got, another process has the folder done, and a third is at it."""

        def get(self, name: str) -> bytes | None:  # type: ignore[override]
            (tmp_path / ".new-third").mkdir(exist_ok=True)
            if not (tmp_path / "lock").is_dir():
                s3a_jars._lay_out(tmp_path / "lock", {jar: GOOD[jar.file] for jar in JARS})
            return GOOD[name]

    s3a_jars.provide(JARS, tmp_path / "lock", Neighbour())
    assert sorted(folder.name for folder in tmp_path.iterdir()) == [".new-third", "lock"]
    assert there(tmp_path / "lock") == GOOD


@pytest.mark.parametrize("java", [{}, {"JAVA_HOME": "/nowhere"}], ids=["no java", "JAVA_HOME"])
def test_without_a_java_the_sentence_asks_for_one(
    java: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[dict[str, str]] = []

    def run(*_: Any, env: dict[str, str], **__: Any) -> subprocess.CompletedProcess[str]:
        started.append(env)
        return subprocess.CompletedProcess([], 1, "", "refused")

    monkeypatch.setattr(s3a_jars.subprocess, "run", run)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SPARK_SUBMIT_OPTS", "-Dmine=1")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    for name, value in java.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(JarsError) as refused:
        s3a_jars.resolve(["org.example:one:1.0"], tmp_path)
    if not java:
        assert str(refused.value) == (
            "Spark's resolver needs a Java of version 17 or newer and there is none here: install one or set JAVA_HOME."
        )
        assert started == []
    else:
        # Nothing of the person's own Spark goes along.
        assert "SPARK_SUBMIT_OPTS" not in started[0]
        assert started[0]["JAVA_HOME"] == "/nowhere"


def test_a_lock_is_read_line_by_line(tmp_path: Path) -> None:
    text = "# why\n" + "".join(f"{jar.coordinates} sha256:{jar.sha256}\n" for jar in JARS)
    assert s3a_jars.read(text) == JARS


@pytest.mark.parametrize("line", ["org.example:one:1.0", "a:b:1 sha256:short", "a:../../x:1 sha256:" + "0" * 64])
def test_a_line_that_names_no_jar_is_said(line: str) -> None:
    with pytest.raises(JarsError, match="make it again with `make lock`"):
        s3a_jars.read(f"{line}\n")
