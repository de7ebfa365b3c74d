"""What a program requires beyond the cluster's packages: resolved here for the nodes, with hashes, and packed once.

uv does it, as the person has it: its own variables and settings say which index is asked.
"""

import gzip
import hashlib
import os
import re
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from scripts import console, processes
from scripts.doctor import environment
from scripts.errors import InputError

LOCK = console.CHECKOUT / "requirements" / "nodes.txt"
WORKERS_LOCK = LOCK.with_name("workers.txt")
KEPT = console.CHECKOUT / ".orchard" / "environments"
RESOLVE_SECONDS, INSTALL_SECONDS = 300, 1800
# Programs of packages name this machine's Python, and uv's own lock is nobody's.
LEFT_OUT = ("bin", ".lock", "__pycache__")


@dataclass(frozen=True)
class Nodes:
    """What a package must be built for: the nodes' Python, as `3.11`, and uv's name of their platform.

    `are_alike` where workers have all that the master has.
    """

    python: str
    platform: str
    are_alike: bool = True

    def __str__(self) -> str:
        return f"Python {self.python}, {self.platform}"

    @property
    def processor(self) -> str:
        """The kernel's name of it."""
        return self.platform.partition("-")[0]


@dataclass(frozen=True)
class Environment:
    """Packages beyond the cluster's own as one archive: `packages` as name==version, the archive and its SHA-256."""

    packages: tuple[str, ...]
    archive: Path
    digest: str


def build(given: str, nodes: Nodes) -> Environment | None:
    """Have what a file of requirements asks for in an archive; None where the cluster has all of it.

    Raises InputError where there is no such file, no wheel for the nodes, or a conflict with the cluster's own.
    """
    file = Path(given).expanduser()
    if not file.is_file():
        raise InputError(f"There is no file {given}: REQUIREMENTS names one of pip's form, such as requirements.txt.")
    with tempfile.TemporaryDirectory(prefix="orchard-requirements-") as folder:
        lock = Path(folder) / "lock.txt"
        _resolve(file, lock, nodes)
        packages = packages_of(lock.read_text())
        if not packages:
            return None
        archive = KEPT / f"{_named(lock, nodes)}.tar.gz"
        if not archive.is_file():
            _install(lock, Path(folder) / "packages", nodes)
            _pack(Path(folder) / "packages", archive)
    with archive.open("rb") as packed:
        return Environment(packages, archive, hashlib.file_digest(packed, "sha256").hexdigest())


def packages_of(lock: str) -> tuple[str, ...]:
    """What a lock of uv's asks for, as name==version; of an address or a path the file's name, for it is shown."""
    asked = [line for line in lock.splitlines() if line.strip() and not line.startswith((" ", "#", "--"))]
    return tuple(_shown(line.removesuffix("\\").partition(" ;")[0].strip()) for line in asked)


def of_cluster(nodes: Nodes) -> list[str]:
    """Names of the packages that each of the nodes has of its own, by their lock."""
    where = {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": nodes.processor,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{nodes.python}.0",
        "python_version": nodes.python,
        "sys_platform": "linux",
    }
    lock = LOCK if nodes.are_alike else WORKERS_LOCK
    lines = [line.removesuffix("\\") for line in lock.read_text().splitlines() if re.match(r"\w", line)]
    found = [Requirement(line) for line in lines]
    return [its.name for its in found if its.marker is None or its.marker.evaluate(where)]


def _shown(asked: str) -> str:
    if re.fullmatch(r"[\w.-]+==\S+", asked):
        return asked
    # An address may hold a password, before the file's name and after it.
    return re.split(r"[?#]", asked)[0].rstrip("/").rpartition("/")[2]


def _resolve(file: Path, lock: Path, nodes: Nodes) -> None:
    words = ["uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--generate-hashes"]
    words += ["--emit-index-url", "--emit-find-links", "--constraints", str(LOCK), "--output-file", str(lock)]
    words += [f"--no-emit-package={name}" for name in of_cluster(nodes)]
    done = processes.capture([*words, *_for(nodes), str(file)], env=environment.for_uv(), timeout=RESOLVE_SECONDS)
    if done.code:
        raise InputError(
            f"What {file} asks for cannot be had for the nodes ({nodes}), where the cluster's own packages stay as "
            f"requirements/nodes.txt has them: {_reason(done.err)}"
        )


def _install(lock: Path, target: Path, nodes: Nodes) -> None:
    words = ["uv", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target", str(target)]
    words += [*_for(nodes), "--requirements", str(lock)]
    done = processes.capture(words, env=environment.for_uv(), timeout=INSTALL_SECONDS)
    if done.code:
        raise InputError(f"The packages could not be fetched: {_reason(done.err)}")


def _for(nodes: Nodes) -> list[str]:
    return ["--python-version", nodes.python, "--python-platform", nodes.platform, "--only-binary", ":all:"]


def _reason(said: str) -> str:
    """Why uv failed, as one sentence of its own."""
    first = re.split(r"\n\s*\n|\nhint:", said.strip())[0]
    words = re.sub(r"\s+", " ", first).removeprefix("error: ").replace(" cause: ", ": ")
    words = words.removeprefix("No solution found when resolving dependencies: ") or "uv gave no reason"
    return f"{console.one_line(words).rstrip('.')}."


def _named(lock: Path, nodes: Nodes) -> str:
    """A name for what the lock comes to on these nodes."""
    return hashlib.sha256(f"{nodes}\n{lock.read_text()}".encode()).hexdigest()


def _pack(folder: Path, target: Path) -> None:
    """Write an archive that is the same for the same files, in place once it is whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    made = target.with_name(f"{os.getpid()}.part")  # another command may be making the same
    with (
        made.open("wb") as file,
        gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for path in _files(folder):
            tar.add(path, str(path.relative_to(folder)), recursive=False, filter=_anonymous)
    made.replace(target)


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder).parts
        if path.is_file() and inner[0] not in LEFT_OUT and "__pycache__" not in inner:
            yield path


def _anonymous(entry: Any) -> Any:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755 if entry.mode & 0o100 else 0o644
    return entry
