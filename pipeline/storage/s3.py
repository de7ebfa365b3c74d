"""Pictures and results in an S3 bucket. boto3 lists, explains and sends large files; obstore moves all else.

obstore, because it read this project's small pictures about twice as fast as pyarrow's file system, which asks for an
object's head before it gets it, and two to three times as fast as boto3, from the same server on the same cores
(benchmarks/s3_clients.md).
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any

import pyarrow as pa
from boto3.s3.transfer import TransferConfig

from pipeline.errors import InputError, StorageError
from pipeline.storage.base import SinkKind, listed_into_one
from pipeline.storage.local import full_disk_as_such
from pipeline.storage.s3_connection import check_region, client, store
from pipeline.storage.s3_errors import s3_errors_as_input_errors, trying
from pipeline.storage.s3_pages import pages
from pipeline.storage.s3_ranges import DisorderError, RangeLister

# From this size on a file goes up in parts of this size, each tried again by itself.
CHUNK_BYTES = 16 * 1024 * 1024
_LARGE_FILES = TransferConfig(multipart_threshold=CHUNK_BYTES, multipart_chunksize=CHUNK_BYTES, max_concurrency=4)
# obstore takes the time in which a body goes out for the server's silence; over a slow line a larger one is boto3's.
QUICK_BYTES = 256 * 1024
# Under this name an upload leaves the content's MD5 in the object's metadata.
MD5 = "md5"
# What boto3 itself has tried again: once more, for credentials that were refused are then found anew, and for a large
# upload whose end was done and denied.
_BOTO3_TURNS = 2


@dataclass(frozen=True)
class Remote:
    """What an object's content is known by without reading it; None where the server and the sender left no MD5."""

    size: int
    md5: str | None


@dataclass(frozen=True)
class S3Storage:
    """A key prefix in a bucket. Credentials and endpoint are found where it is used, by AWS's own chain."""

    bucket: str
    prefix: str

    @classmethod
    def at(cls, uri: str) -> "S3Storage":
        """The prefix named by `s3://bucket/prefix`; the prefix is taken as it stands, but for outer slashes."""
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        if not bucket:
            raise InputError(f"{uri} names no bucket; write s3://bucket/prefix.")
        return cls(bucket, prefix.strip("/"))

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def label(self) -> str:
        return self.uri.rpartition("/")[2]

    @property
    def left_out(self) -> Sequence[str]:
        return ()

    def list(self, prefix: str = "") -> Iterator[pa.RecordBatch]:
        """One batch a page of 1,000 keys. The prefix's own 0-byte "folder" object is left out."""
        base = self._key("")
        with s3_errors_as_input_errors(self.bucket):
            check_region(self.bucket)
            for page in pages(self.bucket, base + prefix):
                yield page.below(base)

    def list_into(self, sink: Callable[[], SinkKind]) -> Sequence[SinkKind]:
        with s3_errors_as_input_errors(self.bucket):
            check_region(self.bucket)
            try:
                return RangeLister(self.bucket, self._key(""), sink).run()
            except DisorderError:
                return listed_into_one(self, sink)

    def list_objects(self) -> Iterator[tuple[str, int, str]]:
        """Key, size and ETag of every object but "folders", for comparing them with files."""
        base = self._key("")
        with s3_errors_as_input_errors(self.bucket):
            check_region(self.bucket)
            for page in client().get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=base):
                for entry in page.get("Contents", ()):
                    if not entry["Key"].endswith("/"):
                        yield entry["Key"][len(base) :], entry["Size"], entry["ETag"].strip('"')

    def read(self, key: str, listed: int | None = None) -> bytes:
        return trying(self._uri(key), lambda: self._get_whole(key, listed))

    def _get_whole(self, key: str, listed: int | None) -> bytes:
        """An answer that was cut short may say that it is whole: where the list does not agree, the object's head does.

        Raises StorageError where neither does.
        """
        data = self._get(key)
        if len(data) != listed and len(data) != (size := self._head(key)):
            raise StorageError(f"{len(data)} bytes came of {size}", self._uri(key))
        return data

    def _get(self, key: str) -> bytes:
        try:
            return bytes(store(self.bucket).get(self._key(key)).bytes())
        except ValueError:
            # obstore takes no key with `//`, `..` or a control character in it; S3 does.
            return bytes(client(attempts=1).get_object(**self._where(key))["Body"].read())

    def read_range(self, key: str, start: int, length: int) -> bytes:
        return trying(self._uri(key), lambda: self._get_range(key, start, length))

    def _get_range(self, key: str, start: int, length: int) -> bytes:
        try:
            data = bytes(store(self.bucket).get_range(self._key(key), start=start, length=length))
        except ValueError:
            asked = f"bytes={start}-{start + length - 1}"
            data = bytes(client(attempts=1).get_object(**self._where(key), Range=asked)["Body"].read())
        if len(data) != length:
            raise StorageError(f"{len(data)} bytes came where {length} were asked for", self._uri(key))
        return data

    def size(self, key: str) -> int:
        return trying(self._uri(key), lambda: self._head(key))

    def _head(self, key: str) -> int:
        try:
            return int(store(self.bucket).head(self._key(key))["size"])
        except ValueError:
            return int(client(attempts=1).head_object(**self._where(key))["ContentLength"])

    def remote(self, key: str) -> Remote:
        """Size and MD5 of an object, the MD5 as this project's upload left it or else as the server gives it."""
        head = trying(self._uri(key), lambda: client().head_object(**self._where(key)), _BOTO3_TURNS)
        etag = head["ETag"].strip('"')
        # The ETag of an object that came in parts or is encrypted by a key of KMS is no MD5 of its content.
        plain = "-" not in etag and not head.get("ServerSideEncryption", "").startswith("aws:kms")
        return Remote(head["ContentLength"], head["Metadata"].get(MD5) or (etag if plain else None))

    def write(self, key: str, data: bytes) -> None:
        """One PUT: S3 shows the object when all of it has come, or not at all."""
        self.send(key, data, {})

    def send(self, key: str, data: bytes, attributes: dict[str, str]) -> None:
        """`write` with attributes: `Content-Type`, and user metadata under any other name."""
        trying(self._uri(key), lambda: self._put(key, data, attributes))

    def _put(self, key: str, data: bytes, attributes: dict[str, str]) -> None:
        if len(data) <= QUICK_BYTES:
            with suppress(ValueError):
                store(self.bucket).put(self._key(key), data, attributes=attributes, use_multipart=False)
                return
        client(attempts=1).put_object(**self._where(key), Body=data, **_extra(attributes))

    @contextmanager
    def writer(self, key: str) -> Iterator[IO[bytes]]:
        # Written to a local file first: an upload that begins when the content is whole can be tried again.
        with full_disk_as_such(tempfile.gettempdir()), tempfile.TemporaryFile() as spool:
            yield spool
            spool.seek(0)
            self.send_file(key, spool, {})

    def send_file(self, key: str, file: IO[bytes], attributes: dict[str, str]) -> None:
        """A file as one PUT, or as one multipart upload where it is large; boto3 aborts that where it fails."""
        where, extra = self._where(key), _extra(attributes)

        def upload() -> None:
            # boto3 closes what it has sent.
            with os.fdopen(os.dup(file.fileno()), "rb") as again:
                again.seek(0)
                client().upload_fileobj(again, *where.values(), ExtraArgs=extra, Config=_LARGE_FILES)

        trying(self._uri(key), upload, _BOTO3_TURNS)

    def delete(self, key: str) -> None:
        trying(self._uri(key), lambda: client().delete_object(**self._where(key)), _BOTO3_TURNS)

    def exists(self, key: str) -> bool:
        try:
            self.size(key)
        except FileNotFoundError:
            return False
        return True

    def check_readable(self) -> None:
        with s3_errors_as_input_errors(self.bucket):
            check_region(self.bucket)
            client().list_objects_v2(Bucket=self.bucket, Prefix=self._key(""), MaxKeys=1)

    def check_writable(self) -> None:
        probe = self._where(".orchard-write-check")
        with s3_errors_as_input_errors(self.bucket, "written"):
            check_region(self.bucket)
            client().put_object(**probe, Body=b"")
            client().delete_object(**probe)

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    def _where(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self._key(key)}

    def _uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{self._key(key)}"


def _extra(attributes: dict[str, str]) -> dict[str, Any]:
    """The attributes in boto3's words."""
    metadata = {name: value for name, value in attributes.items() if name != "Content-Type"}
    content_type = attributes.get("Content-Type")
    return {"Metadata": metadata, **({"ContentType": content_type} if content_type else {})}
