"""Everything that the operator's side prints or asks, and the log file that keeps the tools' own words."""

import getpass
import io
import logging
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.status import Status
from rich.table import Table
from rich.text import Text

from scripts.errors import BusyError, InputError, MissingError

CHECKOUT = Path(__file__).resolve().parents[1]
LOGS = CHECKOUT / ".orchard" / "logs"
NAME_WIDTH = 16
_REST = "bright_black"  # of a bar, as in the job: grey on any terminal
PAGE_WIDTH = 1000  # wider than any table here: a terminal breaks a line itself

# What a terminal obeys and a person does not see: the job has the same rule for what it prints itself.
_OBEYED = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
_errors = Console(highlight=False, markup=False, emoji=False, soft_wrap=True, stderr=True)


class _Session:
    """One task's way to print: how much, and where the tools' words go."""

    verbose = False
    task = "orchard"
    log: Path | None = None
    status: Status | None = None


_session = _Session()


def visible(text: str) -> str:
    """The text with every character that a terminal would obey shown as `\\x1b` or `\\u202e`.

    Names, log lines and errors come from the bucket and from hosts, and are others' words.
    """
    return _OBEYED.sub(
        lambda found: f"\\x{ord(found[0]):02x}" if found[0] < "\u0100" else f"\\u{ord(found[0]):04x}", text
    )


def one_line(text: str) -> str:
    """A name as `visible` shows it, in one line: it cannot end the one that it stands in."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


class _ToLog(logging.Handler):
    """What libraries have to say goes to the log file: left alone, Python would print it as it is."""

    def emit(self, record: logging.LogRecord) -> None:
        log(self.format(record))


def begin(task: str, verbose: bool) -> None:
    """Start a task: name its log file, made when it is first written to."""
    _take_any_terminal()
    if not logging.getLogger().handlers:
        logging.getLogger().addHandler(_ToLog())
    _session.task, _session.verbose, _session.log = task, verbose, None


def _take_any_terminal() -> None:
    """Speak in letters that the terminal has, as the job does: ASCII where its locale is none of UTF-8."""
    locale = os.environ.get("LC_ALL") or os.environ.get("LANG") or "C"
    is_plain = "utf8" not in locale.lower().replace("-", "")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            encoding = "ascii" if is_plain and stream.isatty() else None
            stream.reconfigure(encoding=encoding, errors="backslashreplace")


def is_verbose() -> bool:
    """Whether the tools' own output is shown."""
    return _session.verbose


def log_file() -> Path:
    """The task's log file, in `.orchard/logs`. Only its owner may read it."""
    if _session.log is None:
        LOGS.mkdir(parents=True, exist_ok=True)
        stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
        _session.log = LOGS / f"{stamp}-{_session.task}-{os.getpid()}.log"
        _session.log.touch(mode=0o600)
    return _session.log


def log(text: str) -> None:
    """Keep text in the log file, where it can be; show it too when asked to be verbose."""
    text = visible(text.rstrip("\n"))
    # Where the disk is full, whatever has to be written says so; what is only read does without a log.
    with suppress(OSError), log_file().open("a", encoding="utf-8") as file:
        file.write(f"{text}\n")
    if _session.verbose:
        _print(_console, text)


def say(text: str = "") -> None:
    """Print a line, or several."""
    _print(_console, text)


def columns(rows: Iterable[Sequence[str]]) -> list[str]:
    """The rows as lines, each column as wide as the widest cell in it and two spaces from the next."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    for row in rows:
        grid.add_row(*(Text(one_line(cell)) for cell in row))
    page = Console(file=io.StringIO(), width=PAGE_WIDTH)
    with page.capture() as printed:
        page.print(grid)
    return [line.rstrip() for line in printed.get().splitlines()]


def is_terminal() -> bool:
    """Whether what is said appears on a terminal, where a line may change in place."""
    return _console.is_terminal


def warn(text: str) -> None:
    """Print a line on standard error."""
    _print(_errors, text)


class Phase:
    """A part of a task that takes time; `note` says what it waits for, `result` what it came to."""

    def __init__(self, name: str, status: Status | None) -> None:
        self.name, self.result = name, ""
        self._status, self._noted = status, ""

    def note(self, text: str) -> None:
        """Say what is going on now: on a terminal in place, elsewhere as a line when it changes."""
        if text == self._noted:
            return
        self._noted = text
        if self._status is not None:
            # As Text: a status takes a string for markup.
            self._status.update(Text(visible(f"{self.name:<{NAME_WIDTH}}{text}")))
        else:
            _print(_console, f"  {text}")


@contextmanager
def phase(name: str) -> Iterator[Phase]:
    """Print a line with the seconds that the block took and what it came to, or that it failed."""
    started = time.monotonic()
    status = _console.status(name, spinner=_spinner()) if _console.is_terminal else None
    if status is not None:
        status.start()
    _session.status = status
    under_way = Phase(name, status)
    ended = "failed"
    try:
        yield under_way
        ended = under_way.result
    finally:
        _session.status = None
        if status is not None:
            status.stop()
        _print(_console, f"{name:<{NAME_WIDTH}}{time.monotonic() - started:>4.0f} s  {ended}".rstrip())


def _spinner() -> str:
    """rich's spinner of letters that the terminal has."""
    return "line" if _console.options.ascii_only else "dots"


class Bar:
    """How much is done of a whole, in one line that stays below what is said meanwhile."""

    def __init__(self, name: str, live: Progress) -> None:
        self._live = live
        self._task = live.add_task(visible(name), total=None, beside="")

    def show(self, done: int, total: int, beside: str) -> None:
        """Draw it anew, with more text beside it."""
        self._live.update(self._task, completed=done, total=total, beside=visible(beside))


@contextmanager
def bar(name: str) -> Iterator[Bar]:
    """A bar for the time of the block; gone at its end."""
    text = TextColumn("{task.description}", markup=False)
    beside = TextColumn("{task.fields[beside]}", markup=False)
    columns = (SpinnerColumn(_spinner()), text, BarColumn(bar_width=30, style=_REST), beside)
    with Progress(*columns, console=_console, transient=True) as live:
        yield Bar(name, live)


def answers_yes() -> bool:
    """Whether YES=1 answers every question."""
    return os.environ.get("YES", "") not in ("", "0", "no")


def ask(question: str) -> bool:
    """Ask yes or no. YES=1 answers yes; without a terminal raises BusyError that says so."""
    if answers_yes():
        return True
    if not sys.stdin.isatty():
        raise BusyError(f"{question} Nobody is here to answer: say YES=1 to go on.")
    with _still():
        return _line(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def enquire(question: str, default: str = "") -> str:
    """Ask for a word; without a terminal, or with YES=1, take the default. Raises InputError when there is none."""
    if answers_yes() or not sys.stdin.isatty():
        if not default:
            raise InputError(f"There is no answer to: {question}")
        return default
    return _line(f"{question} [{default}] ").strip() or default


def enquire_secret(question: str) -> str:
    """Ask for a word that is not shown, as a code of MFA. Raises MissingError where nobody is at the terminal."""
    if not sys.stdin.isatty():
        raise MissingError(f"AWS wants to know, and nobody is at the terminal: {question.strip().rstrip(':')}.")
    with _still():
        return getpass.getpass(visible(question))


@contextmanager
def _still() -> Iterator[None]:
    """A line that is drawn anew ten times a second would write over the answer: it waits for the block."""
    if _session.status is not None:
        _session.status.stop()
    try:
        yield
    finally:
        if _session.status is not None:
            _session.status.start()


def _line(prompt: str) -> str:
    """What the person types; Ctrl-D is an empty answer."""
    try:
        return input(visible(prompt))
    except EOFError:
        _console.print()
        return ""


def _print(console: Console, text: str) -> None:
    try:
        console.print(visible(text))
    except KeyboardInterrupt:
        # Rich keeps a line that Ctrl-C broke off, and would print it again with the next one.
        with console.capture():
            pass
        raise
