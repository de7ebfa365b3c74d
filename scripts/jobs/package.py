"""The code of a person's program as one archive: a file, or a folder with `__main__.py`, and what lies beside it."""

import ast
import hashlib
import os
import shlex
import stat
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts import console
from scripts.errors import InputError

MAIN = "__main__.py"
VIRTUAL = "pyvenv.cfg"
# Data belongs into the bucket: all of this goes to each executor.
MOST_FILES, MOST_BYTES = 10_000, 256 * 1024**2
MIB = 1024**2
# An archive of the same files is the same, whenever it is made.
STAMP = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Code:
    """What is sent: files by their names in the archive, of which `main` is run; the job is called by `stem`."""

    main: str
    stem: str
    files: dict[str, Path]


@contextmanager
def _readable() -> Iterator[None]:
    """Raises InputError for what the person may not read, or what has vanished."""
    try:
        yield
    except OSError as error:
        name = console.one_line(str(error.filename or "A file"))
        raise InputError(
            f"{name} cannot be read ({error.strerror}): see that it is there and yours to read; nothing was sent."
        ) from None


@_readable()
def collect(job: str, beside: str) -> Code:
    """What JOB and FILES name. Raises InputError where something is not there, cannot be read, or is too much."""
    if not job:
        raise InputError("No program was named: give a Python file, or a folder with __main__.py, JOB=path.")
    path = Path(job).expanduser()
    files: dict[str, Path] = {}
    if path.is_dir():
        if not (path / MAIN).is_file():
            raise InputError(f"The folder {job} has no {MAIN}: add one, which is what is run, or give JOB=file.py.")
        main, stem = MAIN, path.resolve().name
        _add(files, path, Path())
    elif path.is_file():
        if path.suffix != ".py":
            raise InputError(f"{job} is no Python file: give one whose name ends in .py, or a folder, JOB=path.")
        main, stem = path.name, path.stem
        _add(files, path, Path(path.name))
    else:
        raise InputError(f"There is no file {job}: give a Python file, or a folder with {MAIN}, JOB=path.")
    for name in split(beside, "FILES"):
        named = Path(name).expanduser()
        if not named.exists():
            raise InputError(f"There is no file {name}: FILES names files and folders that the program is to find.")
        _add(files, named, Path(named.resolve().name))
    _bound(files)
    return Code(main, stem, files)


def split(given: str, variable: str) -> tuple[str, ...]:
    """A variable as a shell splits it. Raises InputError for an open quotation mark."""
    try:
        return tuple(shlex.split(given))
    except ValueError as error:
        raise InputError(f"{variable} cannot be split into words ({error}): close the quotation mark.") from None


def check_syntax(code: Code, python: str) -> None:
    """See that every Python file would be taken by the nodes' Python, such as `3.11`. Raises InputError."""
    grammar = tuple(int(number) for number in python.split("."))[:2]
    for name, path in code.files.items():
        if path.suffix != ".py":
            continue
        source = _read(path)
        try:
            with warnings.catch_warnings(action="ignore"):
                # As far as this machine's Python knows an older one's grammar; compiling finds what parsing does not.
                ast.parse(source, name, feature_version=grammar)  # type: ignore[arg-type]  # two numbers
                compile(source, name, "exec", dont_inherit=True)
        except SyntaxError as error:
            where = f"{path}:{error.lineno}" if error.lineno else str(path)
            raise InputError(
                f"{where} is no program for Python {python} ({error.msg}): mend it; nothing was sent."
            ) from None
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{path} is no program for Python {python} ({error}): mend it; nothing was sent."
            ) from None


def write(code: Code, target: Path) -> str:
    """Write the archive; gives its SHA-256. Raises InputError for a file that cannot be read."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in sorted(code.files.items()):
            entry = zipfile.ZipInfo(name, STAMP)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
            archive.writestr(entry, _read(path))
    with target.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@_readable()
def _read(path: Path) -> bytes:
    return path.read_bytes()


def _add(files: dict[str, Path], path: Path, name: Path) -> None:
    """Take a file, or all of a folder, under a name. Raises InputError for what is no ordinary file."""
    for file, its in _walk(path, name):
        shown = its.as_posix()
        if shown in files:
            raise InputError(f"Two files would be called {shown} beside the program: rename one of them.")
        if not shown.isprintable():
            raise InputError(f"The name '{console.one_line(shown)}' cannot be sent: give the file another.")
        files[shown] = file


def _walk(path: Path, name: Path) -> Iterator[tuple[Path, Path]]:
    if path.is_file():
        yield path, name
        return
    for folder, folders, names in os.walk(path, onerror=_raise):
        # Caches, virtual environments, a checkout's own: nobody's program.
        folders[:] = sorted(kept for kept in folders if not _stays_at_home(Path(folder) / kept))
        below = name / Path(folder).relative_to(path)
        for kept in sorted(kept for kept in [*names, *folders] if not kept.startswith(".")):
            file = Path(folder) / kept
            mode = file.lstat().st_mode
            if stat.S_ISREG(mode):
                yield file, below / kept
            elif not stat.S_ISDIR(mode):
                raise InputError(f"{file} is a link or no ordinary file, and is not sent: put the file itself there.")


def _stays_at_home(folder: Path) -> bool:
    if folder.name.startswith(".") or folder.name == "__pycache__":
        return True
    return not folder.is_symlink() and (folder / VIRTUAL).is_file()


def _raise(error: OSError) -> None:
    raise error


def _bound(files: dict[str, Path]) -> None:
    size = sum(path.stat().st_size for path in files.values())
    if len(files) > MOST_FILES or size > MOST_BYTES:
        raise InputError(
            f"The program has {len(files):,} files of {size / MIB:,.0f} MiB in all, and {MOST_FILES:,} of "
            f"{MOST_BYTES // MIB} MiB are the most: put data into the bucket and read it from there."
        )
