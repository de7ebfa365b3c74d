"""Both sides on a real terminal of any locale: letters that it has, and no traceback."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
JOB = """
from pipeline.progress import Narrator, take_any_terminal
take_any_terminal()
narrator = Narrator()
with narrator.phase("list", "Listing \\u00c4pfel \\u2026"):
    pass
with narrator.pictures("features", "Features", 10) as phase:
    phase.report(5)
"""
OPERATOR = """
from scripts import console
console.begin("test", verbose=False)
with console.phase("Listing") as under_way:
    under_way.note("\\u00c4pfel \\u2026")
    under_way.result = "\\u00c4pfel \\u2026"
with console.bar("Features") as bar:
    bar.show(5, 10, "\\u00c4pfel")
"""


def printed(program: str, columns: int, **environment: str) -> str:
    """What comes to a terminal that is so wide, in this environment."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    words = [sys.executable, "-c", program]
    with subprocess.Popen(
        words, cwd=ROOT, env=kept | environment, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        said = b""
        while piece := _read(ours):
            said += piece
    os.close(ours)
    assert process.returncode == 0, said
    return said.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # so Linux says that nobody writes to it any more
        return b""


both = pytest.mark.parametrize("program", [JOB, OPERATOR], ids=["job", "operator"])


@both
@pytest.mark.parametrize("locale", [{}, {"LANG": "C"}, {"LC_ALL": "POSIX"}, {"LANG": "de_DE.ISO-8859-1"}], ids=str)
def test_where_the_locale_has_no_utf8_all_is_ascii(program: str, locale: dict[str, str]) -> None:
    said = printed(program, 80, TERM="xterm", **locale)
    assert said.isascii()
    assert r"\xc4pfel \u2026" in said


@both
@pytest.mark.parametrize("columns", [40, 200])
def test_elsewhere_letters_are_what_they_are(program: str, columns: int) -> None:
    assert "Äpfel …" in printed(program, columns, TERM="xterm", LANG="de_DE.UTF-8")


@both
def test_without_colours_there_are_none(program: str) -> None:
    said = printed(program, 80, TERM="xterm", LANG="C.UTF-8", NO_COLOR="1")
    assert not {"\x1b[3", "\x1b[9"} & {said[at : at + 3] for at in range(len(said))}


@both
def test_a_dumb_terminal_gets_lines_alone(program: str) -> None:
    assert "\x1b" not in printed(program, 80, TERM="dumb", LANG="C.UTF-8")
