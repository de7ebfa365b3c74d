"""Spark's own resolver asks the repository that it is told of, and what it says comes out as one sentence."""

import hashlib
import secrets
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import s3a_jars
from s3a_jars import Jar, JarsError

POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>org.example.{group}</groupId><artifactId>fruit</artifactId><version>1.0</version></project>
"""
Serve = Callable[[str], Jar]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Have a repository serve a jar of this group; the jar as a lock would name it."""
    repository = tmp_path / "repository"
    repository.mkdir()
    monkeypatch.setenv("DEFAULT_ARTIFACT_REPOSITORY", f"{repository.as_uri()}/")

    def served(group: str) -> Jar:
        folder = repository / "org" / "example" / group / "fruit" / "1.0"
        folder.mkdir(parents=True)
        (folder / "fruit-1.0.pom").write_text(POM.format(group=group))
        with zipfile.ZipFile(folder / "fruit-1.0.jar", "w") as jar:
            jar.writestr("said", secrets.token_hex(4))
        content = (folder / "fruit-1.0.jar").read_bytes()
        return Jar(f"org.example.{group}", "fruit", "1.0", hashlib.sha256(content).hexdigest())

    return served


def test_two_jars_come_whose_names_are_alike(serve: Serve, tmp_path: Path) -> None:
    jars = [serve("apple"), serve("pear")]
    s3a_jars.provide(jars, tmp_path / "jars" / "lock")
    found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in (tmp_path / "jars/lock").iterdir()}
    assert found == {jar.file: jar.sha256 for jar in jars}


def test_a_jar_that_is_not_served_is_named(serve: Serve, tmp_path: Path) -> None:
    serve("apple")
    missing = Jar("org.example.pear", "fruit", "1.0", "0" * 64)
    with pytest.raises(JarsError, match=r"unresolved dependency: org\.example\.pear#fruit;1\.0: not found\): let this"):
        s3a_jars.provide([missing], tmp_path / "jars" / "lock")
    assert list((tmp_path / "jars").iterdir()) == []


def test_a_repository_out_of_reach_is_said_with_the_way_to_another(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEFAULT_ARTIFACT_REPOSITORY", "http://127.0.0.1:9/")
    with pytest.raises(JarsError, match=r"not to be had from the Maven repository .*DEFAULT_ARTIFACT_REPOSITORY"):
        s3a_jars.provide([Jar("org.example.kiwi", "fruit", "1.0", "0" * 64)], tmp_path / "jars" / "lock")
