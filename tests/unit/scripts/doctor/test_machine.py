"""scripts.doctor.machine: what this machine has to be, and the sentence where it is not."""

import shutil
import sys
from pathlib import Path

import pytest

from scripts.doctor import machine
from scripts.errors import InputError, MissingError


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of its own."""
    for name in machine.UNIX_FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("one\ntwo\n")
    (tmp_path / "terraform").mkdir()
    monkeypatch.setattr(machine, "CHECKOUT", tmp_path)
    monkeypatch.setenv("ORCHARD_TERRAFORM", str(tmp_path / "terraform"))
    return tmp_path


def test_a_machine_that_will_do_is_told_in_a_few_words_and_left_as_it_was(checkout: Path) -> None:
    before = sorted(checkout.rglob("*"))
    assert machine.python().startswith(f"{sys.version_info[0]}.{sys.version_info[1]}")
    assert machine.line_ends() == "as Unix has them"
    assert machine.secrets() == f"keys are kept in {checkout}/.orchard"
    assert machine.disk().endswith(" GB free")
    assert sorted(checkout.rglob("*")) == before


def test_the_job_itself_says_which_java_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    assert "; JAVA_HOME (/nowhere) is no Java that runs" in machine.java()


def test_another_python_than_the_locks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.sys, "version_info", (3, 14, 0, "final", 0))
    with pytest.raises(MissingError, match=r"^Orchard needs Python 3\.11 to 3\.13; this is 3\.14\.0\.$"):
        machine.python()


def test_a_disk_whose_files_are_everybodys_takes_no_key(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As WSL's /mnt/c does it: no error, and no effect.
    monkeypatch.setattr(Path, "chmod", lambda path, _: shutil.os.chmod(path, 0o777))
    with pytest.raises(InputError) as refused:
        machine.secrets()
    assert str(refused.value) == (
        f"Files in {checkout} cannot be kept from others (they are 0777 whatever is asked), and ssh takes no such key: "
        "clone Orchard below your home of Linux (in WSL not below /mnt)."
    )


def test_a_checkout_that_cannot_be_written_is_told(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(machine.tempfile, "NamedTemporaryFile", refuse)
    with pytest.raises(InputError, match=r"cannot be written \(Permission denied\): clone Orchard elsewhere\.$"):
        machine.secrets()


def test_lines_that_git_has_turned_are_told_with_how_to_have_them_back(checkout: Path) -> None:
    (checkout / "requirements/lock.sh").write_bytes(b"one\r\ntwo\r\n")
    with pytest.raises(InputError, match=r"^requirements/lock\.sh has the line ends of Windows: git config core"):
        machine.line_ends()


def test_a_disk_that_is_full_is_told(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 9 * 10**8, 10**8))
    with pytest.raises(InputError, match=r"^0\.1 GB are free at .*: make room\.$"):
        machine.disk()


def test_a_home_that_cannot_be_written_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.os, "access", lambda *_: False)
    with pytest.raises(InputError, match=r"export HOME to a folder of yours\.$"):
        machine.home()
