"""scripts.doctor.environment: before anything is installed, on whatever Python there is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.doctor import environment

ROOT = Path(__file__).resolve().parents[4]
PIPS = """\
global.cert='/etc/company.pem'
global.index-url='https://files/simple'
install.index-url='https://mirror/simple'
global.extra-index-url='\\nhttps://one/simple\\nhttps://two/simple'
"""


@pytest.fixture(autouse=True)
def no_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without uv."""
    monkeypatch.setattr(environment.shutil, "which", lambda name: None if name == "uv" else f"/usr/bin/{name}")


@pytest.mark.parametrize(("version", "fits"), [((3, 10, 14), False), ((3, 11, 0), True), ((3, 14, 1), False)])
def test_a_python_outside_the_range_is_named(version: tuple[int, ...], fits: bool) -> None:
    spelled = ".".join(map(str, version))
    assert environment.unfit(version) == ("" if fits else f"Orchard needs Python 3.11 to 3.13; this is {spelled}")


@pytest.mark.parametrize(
    ("system", "machine", "translated", "why"),
    [
        ("Linux", "x86_64", False, ""),
        ("Linux", "aarch64", False, ""),
        ("Darwin", "arm64", False, ""),
        ("Darwin", "x86_64", False, "TensorFlow has no wheels for Macs with Intel processors"),
        ("Darwin", "x86_64", True, "one for Intel processors, and the Mac has another"),
        ("Linux", "armv7l", False, "no wheels for armv7l processors"),
        ("Windows", "AMD64", False, "take WSL"),
    ],
)
def test_a_kind_of_machine_that_has_no_wheels_is_told_before_anything_is_installed(
    system: str, machine: str, translated: bool, why: str
) -> None:
    said = environment.platform_unfit(system, machine, translated)
    assert why in said
    assert bool(said) == bool(why)


def test_another_python_is_refused_with_what_to_type_and_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(environment.sys, "version_info", (3, 9, 6, "final", 0))
    monkeypatch.setattr(environment.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(environment.platform, "machine", lambda: "arm64")
    assert environment.make(str(tmp_path / "made")) == 1
    assert capsys.readouterr().err == (
        "Orchard needs Python 3.11 to 3.13; this is 3.9.6, and no other was found. Get one: brew install python@3.12. "
        "Or name one that you have: make PYTHON=/path/to/python3.12.\n"
    )
    assert not (tmp_path / "made").exists()


def test_where_uv_has_another_python_that_one_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    uv = tmp_path / "uv"
    uv.write_text(f"#!/bin/sh\necho {sys.executable}\n")
    uv.chmod(0o755)
    monkeypatch.setattr(environment.shutil, "which", lambda name: str(uv) if name == "uv" else None)
    monkeypatch.setattr(environment.sys, "version_info", (3, 9, 6, "final", 0))
    taken: list[str] = []
    monkeypatch.setattr(environment, "_make", lambda python, *_: taken.append(python) or 0)
    assert environment.make("made") == 0
    assert taken == [sys.executable]
    assert f"this is 3.9.6: {sys.executable} is taken" in capsys.readouterr().out


def test_uv_goes_by_pips_settings_and_the_systems_certificates() -> None:
    told = environment._for_uv({"HOME": "/"}, PIPS)
    assert told == {
        "UV_SYSTEM_CERTS": "1",
        "UV_DEFAULT_INDEX": "https://mirror/simple",
        "UV_INDEX": "https://one/simple https://two/simple",
        "SSL_CERT_FILE": "/etc/company.pem",
    }


def test_a_variable_comes_before_pips_file_and_uvs_own_before_both() -> None:
    there = {"HOME": "/", "UV_INDEX": "https://mine/simple", "AWS_CA_BUNDLE": "/aws.pem"}
    told = environment._for_uv(there, f"{PIPS}:env:.index-url='https://shell/simple'\n")
    assert (told["UV_DEFAULT_INDEX"], told["SSL_CERT_FILE"]) == ("https://shell/simple", "/aws.pem")
    assert "UV_INDEX" not in told


def test_where_home_cannot_be_written_uv_keeps_no_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environment.os, "access", lambda path, _: path != str(tmp_path))
    assert environment._for_uv({"HOME": str(tmp_path)}, "")["UV_NO_CACHE"] == "1"


def test_pip_itself_is_asked_for_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UV_DEFAULT_INDEX", raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "https://asked/simple")
    assert environment.for_uv()["UV_DEFAULT_INDEX"] == "https://asked/simple"


def test_it_runs_with_nothing_but_pythons_own_library() -> None:
    words = [sys.executable, "-I", "-S", ROOT / "scripts/doctor/environment.py", "make", "/dev/null/no"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=dict(os.environ), check=False)
    assert done.returncode == 1
    assert "Python can't make an environment, see above: " in done.stderr
