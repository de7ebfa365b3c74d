"""Keeps in the bucket what outlives the cluster: Spark's event logs and people's notebooks. Each minute, and at an end.

    keep_in_bucket.py events FOLDER
    keep_in_bucket.py notebooks FOLDER SHIPPED

It runs as the user whose files these are, by the environment's Python, and takes the bucket from ORCHARD_BUCKET. What
it has put is noted in FOLDER: where nothing has changed, nobody is asked anything. The first time on a host it brings
notebooks back first. Exit codes: 0 fine, 75 something was left for the next time, and a line says what.
"""

import json
import os
import re
import signal
import stat
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

NOTED = ".orchard-kept.json"
EVENTS, NAMES, NOTEBOOKS = "events", "events/names", "notebooks"
# An application's log: parts, which Spark closes at 10 MiB (Ansible's setting), and an empty file that says how it is.
LOG = re.compile(
    r"eventlog_v2_([A-Za-z0-9_-]{1,200})/"
    r"(?:appstatus_\1(\.inprogress)?|(?P<part>events_[0-9]{1,9}_\1)(?P<codec>\.zstd|\.lz4|\.lzf|\.snappy)?)"
)
GOING = ".inprogress"
STARTED, HEAD_BYTES = b'"SparkListenerApplicationStart"', 4 * 1024**2
NAME_BYTES, KEY_BYTES, DEPTH = 200, 900, 8
FILE_BYTES, NOTEBOOK_BYTES = 128 * 1024**2, 32 * 1024**2
FILES, NOTEBOOKS_MOST, LOOKED_AT = 100_000, 2_000, 200_000
# In people's folders data lie, too: none of these uses up what all have.
FOLDER_ENTRIES = 5_000
# What is not there by then waits for the next minute; whoever ends the cluster waits for this.
SECONDS = 40.0
# It is looked at between files: this ends whatever is under way, before systemd does.
CLOCK_SECONDS = 45
TOLD = 5
# As sysexits.h has it: another time may do.
LEFT = 75

Stamp = tuple[int, int]


@dataclass
class Noted:
    """What is known of the bucket: each file's size, time (ns) and whether it was put; applications that have names."""

    bucket: str
    kept: dict[str, tuple[int, int, bool]] = field(default_factory=dict)
    named: list[str] = field(default_factory=list)
    is_restored: bool = False

    @classmethod
    def read(cls, folder: Path, bucket: str) -> "Noted":
        """As it was written; nothing where it is of another bucket, or broken."""
        try:
            read = json.loads((folder / NOTED).read_text())
            kept = {str(name): (int(size), int(at), bool(put)) for name, (size, at, put) in read["kept"].items()}
            if read["bucket"] == bucket:
                return cls(bucket, kept, [str(name) for name in read["named"]], bool(read["is_restored"]))
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            pass
        return cls(bucket)

    def write(self, folder: Path) -> None:
        """Replace what was noted."""
        new = folder / f"{NOTED}.{os.getpid()}"
        new.write_text(json.dumps(vars(self)))
        new.replace(folder / NOTED)

    def is_new(self, name: str, stamp: Stamp) -> bool:
        """Whether the file has changed since."""
        return self.kept.get(name, ())[:2] != stamp

    def was_put(self, name: str) -> bool:
        """Whether the bucket has had it."""
        return self.kept.get(name, (0, 0, False))[2]


class LateError(BaseException):
    """The clock has struck. No Exception: urllib3 would ask the next address, and botocore once more."""


class Left:
    """What was left for the next time; `has_failed` where that is because of S3 as a whole."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.has_failed = False
        self._until = time.monotonic() + SECONDS

    def add(self, what: str, why: object) -> None:
        """Note one."""
        self.lines.append(ascii(f"{what}: {why}")[1:-1])

    def is_late(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() > self._until


class Bucket:
    """The bucket, by the host's role. Methods raise what boto3 raises."""

    def __init__(self, name: str) -> None:
        # Half a second that is spent only where something has changed.
        import boto3
        from botocore.config import Config

        # boto3 gives the metadata service one second, once: too little for a host that is busy.
        os.environ.setdefault("AWS_METADATA_SERVICE_TIMEOUT", "5")
        os.environ.setdefault("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "2")
        config = Config(connect_timeout=2, read_timeout=15, retries={"max_attempts": 2, "mode": "standard"})
        self._s3, self._name = boto3.session.Session().client("s3", config=config), name

    def put(self, key: str, content: bytes) -> None:
        """Put an object."""
        self._s3.put_object(Bucket=self._name, Key=key, Body=content)

    def delete(self, key: str) -> None:
        """Delete it."""
        self._s3.delete_object(Bucket=self._name, Key=key)

    def keys(self, prefix: str) -> Iterator[str]:
        """Every key below a prefix."""
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._name, Prefix=prefix):
            yield from (entry["Key"] for entry in page.get("Contents", []))

    def get(self, key: str, most: int) -> bytes | None:
        """An object; None where it is larger."""
        content: bytes = self._s3.get_object(Bucket=self._name, Key=key)["Body"].read(most + 1)
        return content if len(content) <= most else None

    def has_none(self, error: Exception) -> bool:
        """Whether `get` raised this because the object has gone, or is archived: another time will not do."""
        return isinstance(error, self._s3.exceptions.NoSuchKey | self._s3.exceptions.InvalidObjectState)


def keep_events(folder: Path, bucket: str, left: Left) -> None:
    """Put parts of event logs that are new or have grown; what Spark's history server deletes here stays there."""
    noted = Noted.read(folder, bucket)
    there = found(folder, lambda name: LOG.fullmatch(name) is not None, FILES, LOOKED_AT, left)
    # How an application is comes after its parts.
    new = sorted((name for name in there if noted.is_new(name, there[name])), key=lambda name: (not part(name), name))
    if new:
        with noting(noted, folder, left):
            s3 = Bucket(bucket)
            for name, content, stamp in read_in_time(new, folder, FILE_BYTES, noted, left):
                put_event_log(s3, noted, name, content)
                noted.kept[name] = (*stamp, True)
    elif gone := noted.kept.keys() - there.keys():
        with noting(noted, folder, left):
            noted.kept = {name: stamp for name, stamp in noted.kept.items() if name not in gone}
            apps = {application(name) for name in there}
            noted.named = [app for app in noted.named if app in apps]


def put_event_log(s3: Bucket, noted: Noted, name: str, content: bytes) -> None:
    """Put one file of an event log, compressed; with its first part the application's name."""
    app = application(name)
    if part(name).startswith("events_1_") and app not in noted.named and (title := title_in(name, content)):
        s3.put(f"{NAMES}/{title_key(title)}/{app}", b"")
        noted.named.append(app)
    s3.put(f"{EVENTS}/{key_of(name)}", packed(name, content))
    if is_end(name):
        # Noted or not: the answer to that put may have been lost.
        s3.delete(f"{EVENTS}/{name}{GOING}")


def application(name: str) -> str:
    """Which application's log a file is of."""
    matched = LOG.fullmatch(name)
    return matched[1] if matched else ""


def part(name: str) -> str:
    """The part that a file is of a log, without its codec; empty for the file that says how the application is."""
    matched = LOG.fullmatch(name)
    return (matched and matched["part"]) or ""


def is_end(name: str) -> bool:
    """Whether the file says that the application has ended: Spark gives its other name up for this one."""
    return not part(name) and not name.endswith(GOING)


def key_of(name: str) -> str:
    """Where a file lies below `events/`: Spark knows by the name how a part is compressed."""
    matched = LOG.fullmatch(name)
    return f"{name}.zstd" if matched and matched["part"] and not matched["codec"] else name


def packed(name: str, content: bytes) -> bytes:
    """The content as its key says that it is."""
    if key_of(name) == name:
        return content
    import zstandard

    return zstandard.compress(content)


def title_in(name: str, content: bytes) -> str:
    """The application's name by its log's first part; empty while it has not been written, or cannot be read."""
    if name.endswith(".zstd"):
        import zstandard

        with suppress(zstandard.ZstdError), zstandard.ZstdDecompressor().stream_reader(content) as stream:
            content = stream.read(HEAD_BYTES)
    for line in content[:HEAD_BYTES].split(b"\n"):
        if STARTED in line:
            with suppress(ValueError, KeyError, TypeError, RecursionError):
                return str(json.loads(line)["App Name"])
    return ""


def title_key(title: str) -> str:
    """An application's name as one word of a key; a dot is no folder above."""
    word = quote(title.encode("utf-8", "replace"), safe="")[:NAME_BYTES]
    return f"%2E{word[1:]}" if word.startswith(".") else word


def keep_notebooks(folder: Path, bucket: str, shipped: Path, left: Left) -> None:
    """Put notebooks that were changed; on a new host bring back first what others like it have put."""
    noted = Noted.read(folder, bucket)
    if not noted.is_restored:
        with noting(noted, folder, left):
            restore(Bucket(bucket), noted, folder, left)
        if left.has_failed:
            return  # what nobody knows of yet is not written over
    there = found(folder, is_notebook, NOTEBOOKS_MOST, FOLDER_ENTRIES, left)
    if new := sorted(name for name in there if noted.is_new(name, there[name])):
        with noting(noted, folder, left):
            s3 = Bucket(bucket)
            for name, content, stamp in read_in_time(new, folder, NOTEBOOK_BYTES, noted, left):
                is_changed = noted.was_put(name) or not is_as_shipped(shipped, name, content)
                if is_changed:
                    s3.put(f"{NOTEBOOKS}/{name}", content)
                noted.kept[name] = (*stamp, is_changed)


def is_as_shipped(shipped: Path, name: str, content: bytes) -> bool:
    """Whether a notebook is as Ansible laid it."""
    ours = content_of(shipped / name, NOTEBOOK_BYTES) if "/" not in name else None
    return ours is not None and ours[0] == content


def notebooks_in(s3: Bucket) -> Iterator[str]:
    """Names of the notebooks in the bucket. Others write there, too: a key is no path as it is."""
    return filter(is_notebook, (key.removeprefix(f"{NOTEBOOKS}/") for key in s3.keys(f"{NOTEBOOKS}/")))


def restore(s3: Bucket, noted: Noted, folder: Path, left: Left) -> None:
    """Bring back those of the notebooks that are not here: what is here is of this host, and newer.

    Of one that has no place here is told once. One that S3 did not give now is asked for again the next time.
    """
    names, is_whole = list(islice(notebooks_in(s3), NOTEBOOKS_MOST)), True
    # One that is noted was here: it was deleted since.
    missing = [name for name in names if name not in noted.kept and not os.path.lexists(folder / name)]
    for name in in_time(missing, left):
        try:
            content = s3.get(f"{NOTEBOOKS}/{name}", NOTEBOOK_BYTES)
        except Exception as error:  # one that is closed keeps no other from coming
            left.add(name, f"{type(error).__name__}: {error}")
            is_whole = is_whole and s3.has_none(error)
            continue
        try:
            if content is not None:
                lay(folder, name, content)
        except OSError as error:
            left.add(name, f"{type(error).__name__}: {error}")
        if read := content_of(folder / name, NOTEBOOK_BYTES):
            noted.kept[name] = (*read[1], True)
    noted.is_restored = is_whole and not left.is_late()


def lay(folder: Path, name: str, content: bytes) -> None:
    """Write a file that is not there yet, whole or not at all. Raises OSError, FileExistsError where it is."""
    at = folder
    for word in name.split("/")[:-1]:
        at = at / word
        at.mkdir(mode=0o700, exist_ok=True)
        if at.is_symlink():
            raise NotADirectoryError(0, "a link is on the way", str(at))
    new = at / f".orchard-{os.getpid()}"
    new.unlink(missing_ok=True)
    try:
        new.write_bytes(content)
        (at / name.rpartition("/")[2]).hardlink_to(new)
    finally:
        new.unlink()


def is_notebook(name: str) -> bool:
    """Whether a name is a notebook's, in no folder that is hidden: there are settings that programs obey."""
    words = name.split("/")
    is_plain = name.isprintable() and "\\" not in name and len(name.encode("utf-8", "replace")) <= KEY_BYTES
    is_shown = all(word and not word.startswith(".") for word in words)
    return is_plain and is_shown and len(words) <= DEPTH and name.endswith(".ipynb")


def found(folder: Path, is_wanted: Callable[[str], bool], most: int, each: int, left: Left) -> dict[str, Stamp]:
    """Size and time of the files below a folder that are wanted, by their names in it. No link is followed.

    `most` of them, and `each` folder's first entries; folders that lie higher come first.
    """
    there: dict[str, Stamp] = {}
    waiting, looked_at = deque([""]), 0
    while waiting:
        below = waiting.popleft()
        try:
            with os.scandir(folder / below) as scanned:
                entries = sorted(islice(scanned, each), key=lambda entry: entry.name)
                is_whole = next(scanned, None) is None
        except OSError:
            continue  # gone, or closed
        if not is_whole:
            left.add(f"./{below}", f"there are more than {each} entries, and the rest is left")
        for entry in entries:
            looked_at += 1
            name = f"{below}{entry.name}"
            if looked_at > LOOKED_AT or len(there) >= most:
                left.add(name, "there are too many files, and the rest is left")
                return there
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    if not entry.name.startswith(".") and name.count("/") < DEPTH:
                        waiting.append(f"{name}/")
                elif is_wanted(name) and entry.is_file(follow_symlinks=False):
                    status = entry.stat(follow_symlinks=False)
                    there[name] = (status.st_size, status.st_mtime_ns)
    return there


def read_in_time(
    names: list[str], folder: Path, most: int, noted: Noted, left: Left
) -> Iterator[tuple[str, bytes, Stamp]]:
    """Each file's name, content and stamp, until the time is over. Of one that is too large is told once."""
    for name in in_time(names, left):
        if read := content_of(folder / name, most):
            yield name, *read
            continue
        with suppress(FileNotFoundError):  # it has gone meanwhile
            if (status := os.lstat(folder / name)).st_size > most:
                left.add(name, f"more than {most} bytes")
                noted.kept[name] = (status.st_size, status.st_mtime_ns, noted.was_put(name))


def content_of(path: Path, most: int) -> tuple[bytes, Stamp] | None:
    """What is in an ordinary file, as long as it is now, and its stamp; None for anything else and what is larger."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > most:
            return None
        return file.read(status.st_size), (status.st_size, status.st_mtime_ns)


def in_time(names: list[str], left: Left) -> Iterator[str]:
    """The names, until the time is over."""
    for number, name in enumerate(names):
        if left.is_late():
            left.add(name, f"the time was over, and {len(names) - number} are left")
            return
        yield name


@contextmanager
def noting(noted: Noted, folder: Path, left: Left) -> Iterator[None]:
    """Note at the end of the block whatever was put by then; what S3 refuses is left for the next time."""
    try:
        yield
    except (Exception, LateError) as error:  # boto3 has many kinds
        left.add("S3", f"{type(error).__name__}: {error}")
        left.has_failed = True
    finally:
        with suppress(OSError):  # of a full disk: the same is put once more
            noted.write(folder)


def main(words: list[str]) -> int:
    """Keep what is asked for; gives the exit code."""
    kind, folder, bucket, left = words[0], Path(words[1]), os.environ["ORCHARD_BUCKET"], Left()
    keep: dict[str, Callable[[], Any]] = {
        "events": lambda: keep_events(folder, bucket, left),
        "notebooks": lambda: keep_notebooks(folder, bucket, Path(words[2]), left),
    }
    try:
        keep[kind]()
    except LateError as error:  # while nobody was asked
        left.add("files", error)
    for line in left.lines[:TOLD]:
        # systemd takes the number for a warning's.
        print(f"<4>{kind} were not kept to the last: {line}", file=sys.stderr)
    return LEFT if left.lines else 0


def late(*_: object) -> None:
    """What is called when the clock strikes. Raises LateError."""
    raise LateError(f"it was not done within {CLOCK_SECONDS} s")


if __name__ == "__main__":
    signal.signal(signal.SIGALRM, late)
    signal.alarm(CLOCK_SECONDS)
    sys.exit(main(sys.argv[1:]))
