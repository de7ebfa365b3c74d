"""Copies a folder to a bucket and back: only what is missing or different, many files at once.

A copy that stops is gone on with by starting it again: each file is there whole or not at all, and what is there with
the same size and MD5 is not sent again. Nothing is ever deleted.
"""

import hashlib
import mimetypes
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from io import BufferedReader
from itertools import count
from pathlib import Path

from pipeline.errors import (
    DiskFullError,
    IncompleteTransferError,
    InputError,
    OrchardError,
    RefusedKeysError,
    StorageError,
)
from pipeline.parallel import run_ahead
from pipeline.progress import Narrator
from pipeline.storage.base import NAMED, left_out_sentence, some_of
from pipeline.storage.local import LocalStorage
from pipeline.storage.paths import UnsafeKeyError, path_below
from pipeline.storage.s3 import CHUNK_BYTES, MD5, S3Storage

# Small files wait for the network, so many go at once; large ones fill it, and each takes a few chunks of memory.
SMALL_AT_ONCE = 32
LARGE_AT_ONCE = 4
# One object may be past reading for a reason of its own; so many, and the store itself fails.
FAILURES_BORNE = 3
# What the standard library does not know on every machine.
CONTENT_TYPES = {
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".heic": "image/heic",
    ".heif": "image/heif",
    ".parquet": "application/vnd.apache.parquet",
}


@dataclass(frozen=True)
class Copy:
    """One file to copy: its key below either end, its bytes, and what the bucket's list said of the object, if any."""

    key: str
    size: int
    object_size: int | None
    etag: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of one: bytes sent, None where it was there already; or why it could not be copied."""

    key: str
    sent: int | None
    fault: str = ""


@dataclass
class Summary:
    """Counts, bytes and wall-clock seconds of a copy."""

    files: int = 0
    sent: int = 0
    bytes: int = 0
    seconds: float = 0.0
    faults: list[Outcome] = field(default_factory=list)

    @property
    def kept(self) -> int:
        """Files that were there already."""
        return self.files - self.sent - len(self.faults)

    def sentence(self, verb: str, target: str) -> str:
        """What was done, in one line."""
        rate = self.sent / self.seconds if self.seconds else 0
        return (
            f"{verb} {self.sent:,} of {self.files:,} files ({self.bytes:,} bytes) to {target} in {self.seconds:.1f} s "
            f"({rate:,.0f} files/s); {self.kept:,} were there already."
        )


def upload(
    folder: LocalStorage, target: S3Storage, narrator: Narrator, is_wanted: Callable[[str], bool] = lambda _: True
) -> Summary:
    """Copy the folder's files to the prefix, those whose keys are wanted.

    Raises InputError, StorageError where the server fails, IncompleteTransferError where single files cannot be sent.
    """
    found = {key: size for batch in folder.list() for key, size in zip(*batch.to_pydict().values(), strict=True)}
    sizes = {key: size for key, size in found.items() if is_wanted(key)}
    if folder.left_out:
        narrator.say(left_out_sentence(folder.left_out))
    if len(sizes) < len(found):
        others = sorted(found.keys() - sizes.keys())
        narrator.say(f"Left {len(others):,} files that are no pictures ({some_of(others)}).")
    if not sizes:
        raise InputError(f"{folder.root} holds no picture; give the folder whose pictures are to be uploaded.")
    target.check_writable()
    there = {key: (size, etag) for key, size, etag in target.list_objects() if key in sizes}
    copies = [Copy(key, size, *there.get(key, (None, ""))) for key, size in sorted(sizes.items())]
    return _copy(copies, partial(_send, folder, target), "Uploading", narrator)


def download(source: S3Storage, folder: LocalStorage, narrator: Narrator, leave: Sequence[str] = ()) -> Summary:
    """Copy the prefix's objects into the folder, but those whose keys begin with a word of `leave`.

    0-byte "folder" objects are left out. Raises as `upload`, and RefusedKeysError, when all else has come, where a key
    would be a file outside of the folder.
    """
    found = [Copy(key, size, size, etag) for key, size, etag in source.list_objects()]
    if not found:
        raise InputError(f"There is no object below {source.uri}; check the prefix.")
    wanted = [copy for copy in found if not copy.key.startswith(tuple(leave))]
    folder.check_writable()
    copies: list[Copy] = []
    refused: list[str] = []
    for copy in wanted:
        if _is_below(folder, copy.key):
            copies.append(copy)
        else:
            refused.append(repr(copy.key))
    sentence = (
        f"{len(refused):,} of {len(wanted):,} objects were refused, for their names lead out of the folder "
        f"({some_of(refused)}); the others are there. Find out who wrote these: nobody names a file so by accident."
    )
    try:
        summary = _copy(copies, partial(_fetch, source, folder), "Downloading", narrator)
    except OrchardError:
        if refused:
            narrator.say(sentence)
        raise
    if refused:
        raise RefusedKeysError(sentence)
    return summary


def _is_below(folder: LocalStorage, key: str) -> bool:
    try:
        path_below(folder.root, key)
    except UnsafeKeyError:
        return False
    return True


def _copy(copies: list[Copy], one: Callable[[Copy], int | None], doing: str, narrator: Narrator) -> Summary:
    started, summary = time.perf_counter(), Summary(len(copies))
    # What is there already is done at once, so the time that is left is reckoned from bytes and not from files.
    sizes, done = {copy.key: copy.size for copy in copies}, 0
    with narrator.bytes("copy", f"{doing} {len(copies):,} files", sum(sizes.values())) as phase:
        for outcome in _outcomes(copies, one):
            done += sizes[outcome.key]
            if outcome.fault:
                summary.faults.append(outcome)
            elif outcome.sent is not None:
                summary.sent += 1
                summary.bytes += outcome.sent
            phase.report(done)
    summary.seconds = time.perf_counter() - started
    if summary.faults:
        raise IncompleteTransferError(_incomplete_sentence(summary))
    return summary


def _outcomes(copies: Iterable[Copy], one: Callable[[Copy], int | None]) -> Iterator[Outcome]:
    small = [copy for copy in copies if copy.size < CHUNK_BYTES]
    large = [copy for copy in copies if copy.size >= CHUNK_BYTES]
    failures = count(1)
    for group, threads in ((small, SMALL_AT_ONCE), (large, LARGE_AT_ONCE)):
        yield from run_ahead(partial(_outcome, one, failures), group, threads, 2 * threads)


def _outcome(one: Callable[[Copy], int | None], failures: Iterator[int], copy: Copy) -> Outcome:
    try:
        return Outcome(copy.key, one(copy))
    except DiskFullError:
        raise
    except StorageError as error:
        # Raised here, what is on its way is waited for, and nothing comes after the sentence.
        if next(failures) >= FAILURES_BORNE:
            raise
        return Outcome(copy.key, None, str(error.strerror))
    except OSError as error:
        return Outcome(copy.key, None, error.strerror or str(error))


def _incomplete_sentence(summary: Summary) -> str:
    some = "; ".join(f"{some_of([fault.key])}: {fault.fault}" for fault in summary.faults[:NAMED])
    more = "; ..." if len(summary.faults) > NAMED else ""
    return (
        f"{len(summary.faults):,} of {summary.files:,} files could not be copied ({some}{more}); "
        "mend them and start the same command again: it sends only these."
    )


def _send(folder: LocalStorage, target: S3Storage, copy: Copy) -> int | None:
    if copy.size >= CHUNK_BYTES:
        return _send_large(folder, target, copy)
    data = folder.read(copy.key)
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if copy.object_size == len(data) and _is_object(target, copy, md5):
        return None
    target.send(copy.key, data, _attributes(copy.key, md5))
    return len(data)


def _send_large(folder: LocalStorage, target: S3Storage, copy: Copy) -> int | None:
    with folder.open(copy.key) as file:
        md5 = _md5_of(file)
        if copy.object_size == copy.size and _is_object(target, copy, md5):
            return None
        file.seek(0)
        target.send_file(copy.key, file, _attributes(copy.key, md5))
    return copy.size


def _is_object(storage: S3Storage, copy: Copy, md5: str) -> bool:
    """Whether the object has this MD5: by the list's ETag, or where that is none, by the MD5 that the upload left."""
    return md5 == copy.etag or md5 == storage.remote(copy.key).md5


def _attributes(key: str, md5: str) -> dict[str, str]:
    suffix = Path(key).suffix.lower()
    kind = CONTENT_TYPES.get(suffix) or mimetypes.guess_type(f"x{suffix}")[0] or "application/octet-stream"
    # The ETag is no MD5 where a bucket encrypts by KMS or the object came in parts.
    return {"Content-Type": kind, MD5: md5}


def _fetch(source: S3Storage, folder: LocalStorage, copy: Copy) -> int | None:
    file = path_below(folder.root, copy.key)
    if file.is_file() and file.stat().st_size == copy.size:
        with folder.open(copy.key) as there:
            if _is_object(source, copy, _md5_of(there)):
                return None
    if copy.size < CHUNK_BYTES:
        data = source.read(copy.key, copy.size)
        folder.write(copy.key, data)
        return len(data)
    return _fetch_large(source, folder, copy)


def _fetch_large(source: S3Storage, folder: LocalStorage, copy: Copy) -> int:
    digest = hashlib.md5(usedforsecurity=False)
    with folder.writer(copy.key) as stream:
        for start in range(0, copy.size, CHUNK_BYTES):
            piece = source.read_range(copy.key, start, min(CHUNK_BYTES, copy.size - start))
            digest.update(piece)
            stream.write(piece)
        now = source.remote(copy.key)
        if now.size != copy.size or now.md5 not in (None, digest.hexdigest()):
            raise StorageError("it changed while it was read", f"{source.uri}/{copy.key}")
    return copy.size


def _md5_of(stream: BufferedReader) -> str:
    return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
