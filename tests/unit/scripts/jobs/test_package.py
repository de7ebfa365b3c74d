"""What of a person's program is sent, and what is refused before anything is."""

import errno
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from scripts.errors import InputError
from scripts.jobs import package


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a person's, who works in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, **files: str) -> None:
    for name, content in files.items():
        (folder / f"{name}.py").write_text(content)


def packed(job: str, beside: str = "") -> dict[str, str]:
    """The archive's content."""
    target = Path("code.zip").absolute()
    package.write(package.collect(job, beside), target)
    with zipfile.ZipFile(target) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_a_file_goes_alone_and_what_is_named_lies_beside_it(here: Path) -> None:
    write(here, my="print()", other="x = 1")
    (here / "my data").mkdir()
    (here / "my data" / "table.csv").write_text("1")
    assert packed("my.py") == {"my.py": "print()"}
    assert packed("my.py", "other.py 'my data/'") == {"my.py": "print()", "other.py": "x = 1", "my data/table.csv": "1"}


def test_of_a_folder_all_goes_but_what_is_hidden_or_a_cache(here: Path) -> None:
    folder = here / "count"
    for inner in ("", "inner", ".venv", "__pycache__"):
        (folder / inner).mkdir(exist_ok=True)
        write(folder / inner, __main__="print()")
    (folder / ".secret").write_text("secret")
    assert sorted(packed("count")) == ["__main__.py", "inner/__main__.py"]
    code = package.collect("count", "")
    assert (code.main, code.stem) == ("__main__.py", "count")


def test_the_same_files_make_the_same_archive_whenever_they_were_written(here: Path) -> None:
    write(here, my="print()")
    code = package.collect("my.py", "")
    first = package.write(code, here / "1.zip")
    os.utime(here / "my.py", (1, 1))
    assert package.write(code, here / "2.zip") == first


@pytest.mark.parametrize(
    ("job", "beside", "sentence"),
    [
        ("", "", "No program was named: give a Python file, or a folder with __main__.py, JOB=path."),
        ("none.py", "", "There is no file none.py: give a Python file, or a folder with __main__.py, JOB=path."),
        ("empty", "", "The folder empty has no __main__.py: add one, which is what is run, or give JOB=file.py."),
        ("data.csv", "", "data.csv is no Python file: give one whose name ends in .py, or a folder, JOB=path."),
        ("my.py", "none", "There is no file none: FILES names files and folders that the program is to find."),
        ("my.py", "empty/my.py", "Two files would be called my.py beside the program: rename one of them."),
        ("my.py", "'", "FILES cannot be split into words (No closing quotation): close the quotation mark."),
        ("my.py", "a\x1bb", "The name 'a\\x1bb' cannot be sent: give the file another."),
    ],
)
def test_what_is_not_there_or_cannot_be_sent_is_named(here: Path, job: str, beside: str, sentence: str) -> None:
    (here / "empty").mkdir()
    write(here, my="print()")
    for name in ("data.csv", "empty/my.py", "a\x1bb"):
        (here / name).touch()
    with pytest.raises(InputError) as refused:
        package.collect(job, beside)
    assert str(refused.value) == sentence


def test_a_link_in_a_folder_is_not_followed(here: Path) -> None:
    (here / "count").mkdir()
    write(here / "count", __main__="print()")
    (here / "count" / "passwords").symlink_to("/etc/passwd")
    with pytest.raises(InputError, match=r"^count/passwords is a link or no ordinary file, and is not sent: "):
        package.collect("count", "")


def test_a_virtual_environment_stays_at_home_with_its_links_and_a_link_to_one_is_refused(here: Path) -> None:
    (here / "count" / "venv" / "bin").mkdir(parents=True)
    write(here / "count", __main__="print()")
    (here / "count" / "venv" / "pyvenv.cfg").touch()
    (here / "count" / "venv" / "bin" / "python").symlink_to("/usr/bin/python3")
    assert sorted(packed("count")) == ["__main__.py"]
    (here / "count" / "env").symlink_to("venv")
    with pytest.raises(InputError, match=r"^count/env is a link or no ordinary file, and is not sent: "):
        package.collect("count", "")


def test_what_cannot_be_read_or_has_vanished_is_named(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(here, my="print()", other="x = 1")
    code = package.collect("my.py", "other.py")
    (here / "other.py").unlink()
    for reads in (lambda: package.check_syntax(code, "3.11"), lambda: package.write(code, here / "code.zip")):
        with pytest.raises(InputError) as refused:
            reads()
        assert str(refused.value) == (
            "other.py cannot be read (No such file or directory): see that it is there and yours to read; "
            "nothing was sent."
        )
    monkeypatch.setattr(Path, "read_bytes", lambda path: closed(path))
    with pytest.raises(InputError, match=r"^my\.py cannot be read \(Permission denied\): "):
        package.check_syntax(code, "3.11")


def test_a_folder_that_cannot_be_looked_into_is_named_and_not_left_out(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "count" / "inner").mkdir(parents=True)
    write(here / "count", __main__="print()")
    scandir = os.scandir
    # As it is for whoever is not root.
    monkeypatch.setattr(os, "scandir", lambda path: closed(path) if str(path).endswith("inner") else scandir(path))
    with pytest.raises(InputError, match=r"^count/inner cannot be read \(Permission denied\): .*; nothing was sent\.$"):
        package.collect("count", "")


def closed(path: Any) -> Any:
    raise PermissionError(errno.EACCES, "Permission denied", str(path))


def test_data_is_sent_to_the_bucket_and_not_to_every_executor(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(here, my="print()")
    monkeypatch.setattr(package, "MOST_BYTES", 3)
    with pytest.raises(InputError, match=r"put data into the bucket and read it from there\.$"):
        package.collect("my.py", "")


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (
            "def f(:\n    pass\n",
            r"my\.py:1 is no program for Python 3\.11 \(invalid syntax\): mend it; nothing was sent",
        ),
        ("x = 1\nreturn x\n", r"my\.py:2 is no program for Python 3\.11 \('return' outside function\)"),
        ("x = '\0'", r"my\.py.* is no program for Python 3\.11 "),
        ("# coding: none\n", r"my\.py.* is no program for Python 3\.11 "),
    ],
)
def test_an_error_of_syntax_is_named_by_file_and_line(here: Path, source: str, why: str) -> None:
    write(here, my=source)
    with pytest.raises(InputError, match=rf"^{why}"):
        package.check_syntax(package.collect("my.py", ""), "3.11")


def test_what_only_a_younger_python_takes_is_an_error(here: Path) -> None:
    write(here, my="type Number = int | float\n")
    with pytest.raises(InputError, match=r"^my\.py:1 is no program for Python 3\.11 "):
        package.check_syntax(package.collect("my.py", ""), "3.11")
    # Whatever this machine's own Python takes.
    write(here, my="match 1:\n    case 1:\n        pass\n")
    package.check_syntax(package.collect("my.py", ""), "3.11")
    with pytest.raises(InputError, match=r"^my\.py:3 is no program for Python 3\.9 "):
        package.check_syntax(package.collect("my.py", ""), "3.9")


def test_programs_that_are_right_are_taken_and_other_files_not_looked_at(here: Path) -> None:
    write(here, my="import re\nre.compile('\\d')\nprint(f'{1}')\n")  # a warning is none of ours
    (here / "notes.txt").write_text("def f(:")
    package.check_syntax(package.collect("my.py", "notes.txt"), "3.11")
