"""An S3 server of a bucket with any number of keys, fast enough to measure a listing against: it makes up each page.

Several processes share its port. It knows ListObjectsV2, HeadBucket, GetBucketLocation, and HEAD and GET of any key,
which is a tiny JPEG of the bytes that are listed. It looks at no signature and takes nothing.
"""

import argparse
import asyncio
import io
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import parse_qsl, quote_plus, unquote, urlsplit
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.doubles.s3.many_keys import BUCKET, DIGITS, SUFFIX, Folder, ManyKeys, Page

REGION = "eu-west-1"
MOST = 1000
PICTURES = 64
ROOT_OF_TREE = Path(__file__).resolve().parents[3]
_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_REASONS = {200: "OK", 206: "Partial Content", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed"}
# A page is 300 KB: the kernel takes it at once.
_SEND_BYTES = 1 << 20


@dataclass(frozen=True)
class Answer:
    """A status, a body and what type it has."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/xml"),)


def refusal(status: int, code: str, message: str) -> Answer:
    """An error as S3 words it."""
    body = f"{_XML}<Error><Code>{code}</Code><Message>{message}</Message><RequestId>0</RequestId></Error>"
    return Answer(status, body.encode())


def digits(numbers: NDArray[np.int64], width: int) -> NDArray[np.uint8]:
    """The decimal digits of each number as ASCII, shape (n, width)."""
    powers = 10 ** np.arange(width - 1, -1, -1, dtype=np.int64)
    return (numbers[:, None] // powers % 10 + ord("0")).astype(np.uint8)


@lru_cache(maxsize=1024)
def _row(folder: Folder, is_encoded: bool) -> tuple[NDArray[np.uint8], int, int, int]:
    """A key's XML with zeros in the place of digits, and where these begin: in key, ETag and size."""
    prefix = escape(quote_plus(folder.prefix, safe="/") if is_encoded else folder.prefix)
    etag, size = folder.etag(0)[:-DIGITS], "0" * folder.size_digits
    key = f"<Contents><Key>{prefix}"
    tag = f"{key}{'0' * DIGITS}{SUFFIX}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;{etag}"
    before = f"{tag}{'0' * DIGITS}&quot;</ETag><Size>"
    row = f"{before}{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
    return np.frombuffer(row.encode(), np.uint8), len(key.encode()), len(tag.encode()), len(before.encode())


def contents(folder: Folder, run: range, is_encoded: bool) -> bytes:
    """The `Contents` elements of these pictures of a folder."""
    row, key, etag, size = _row(folder, is_encoded)
    numbers = np.arange(run.start, run.stop, dtype=np.int64)
    rows = np.empty((len(numbers), len(row)), np.uint8)
    rows[:] = row
    rows[:, key : key + DIGITS] = rows[:, etag : etag + DIGITS] = digits(numbers, DIGITS)
    # The same formula for all of them at once.
    # `size` takes an array as well as a number.
    rows[:, size : size + folder.size_digits] = digits(folder.size(numbers), folder.size_digits)  # type: ignore[arg-type]
    return rows.tobytes()


class ListingS3:
    """What the server answers."""

    def __init__(self, keys: ManyKeys) -> None:
        self.keys = keys

    def answer(self, method: str, target: str, byte_range: str = "") -> Answer:
        """The answer to one request."""
        address = urlsplit(target)
        bucket, _, key = unquote(address.path).lstrip("/").partition("/")
        if method not in ("GET", "HEAD"):
            return refusal(405, "MethodNotAllowed", "This bucket is only read.")
        if bucket != BUCKET:
            return refusal(404, "NoSuchBucket", "The specified bucket does not exist")
        if key:
            return self._picture(key, byte_range)
        query = dict(parse_qsl(address.query, keep_blank_values=True))
        if "location" in query:
            where = f'{_XML}<LocationConstraint xmlns="{_NAMESPACE}">{REGION}</LocationConstraint>'
            return Answer(200, where.encode())
        if method == "HEAD":
            return Answer(200, b"")
        return self._list(query)

    def _list(self, query: dict[str, str]) -> Answer:
        if query.get("list-type") != "2":
            return refusal(400, "InvalidArgument", "Only ListObjectsV2 is known here.")
        token, asked = query.get("continuation-token"), query.get("max-keys", str(MOST))
        if not asked.isdecimal() or (token is not None and not token.isdecimal()):
            return refusal(400, "InvalidArgument", "The continuation token or max-keys provided is incorrect")
        prefix, delimiter, most = query.get("prefix", ""), query.get("delimiter", ""), min(int(asked), MOST)
        # With a token S3 does not look at start-after any more.
        after = "" if token else query.get("start-after", "")
        page = self.keys.page(prefix, delimiter, int(token or 0), most, after)
        return Answer(200, b"".join(self._xml(query, page, most)))

    def _xml(self, query: dict[str, str], page: Page, most: int) -> Iterator[bytes]:
        is_encoded = query.get("encoding-type") == "url"

        def text(value: str) -> str:
            return escape(quote_plus(value, safe="/") if is_encoded else value)

        told = {"prefix": "Prefix", "delimiter": "Delimiter", "start-after": "StartAfter"}
        echoes = "".join(f"<{tag}>{text(query[name])}</{tag}>" for name, tag in told.items() if name in query)
        echoes += "<EncodingType>url</EncodingType>" if is_encoded else ""
        if token := query.get("continuation-token"):
            echoes += f"<ContinuationToken>{token}</ContinuationToken>"
        if page.goes_on_at is not None:
            echoes += f"<NextContinuationToken>{page.goes_on_at}</NextContinuationToken>"
        yield (
            f'{_XML}<ListBucketResult xmlns="{_NAMESPACE}"><Name>{BUCKET}</Name>{echoes}<MaxKeys>{most}</MaxKeys>'
            f"<KeyCount>{page.count}</KeyCount><IsTruncated>{str(page.goes_on_at is not None).lower()}</IsTruncated>"
        ).encode()
        for entry in page.entries:
            if isinstance(entry, str):
                yield f"<CommonPrefixes><Prefix>{text(entry)}</Prefix></CommonPrefixes>".encode()
            else:
                yield from (contents(folder, run, is_encoded) for folder, run in self.keys.pieces(entry))
        yield b"</ListBucketResult>"

    def _picture(self, key: str, byte_range: str) -> Answer:
        if (found := self.keys.find(key)) is None:
            return refusal(404, "NoSuchKey", "The specified key does not exist.")
        folder, number = found
        body = picture(folder, number)
        tags: tuple[tuple[str, str], ...] = (
            ("ETag", f'"{folder.etag(number)}"'),
            ("Content-Type", "image/jpeg"),
            ("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT"),
            ("Accept-Ranges", "bytes"),
        )
        if not byte_range:
            return Answer(200, body, tags)
        first, _, last = byte_range.removeprefix("bytes=").partition("-")
        begin, end = int(first), min(int(last or len(body)), len(body) - 1)
        return Answer(206, body[begin : end + 1], (*tags, ("Content-Range", f"bytes {begin}-{end}/{len(body)}")))


@lru_cache(maxsize=PICTURES)
def _tiny(kind: int) -> bytes:
    """A JPEG of 8 x 8 pixels of one colour, less than the smallest picture that is listed."""
    colour = (kind * 37 % 256, kind * 101 % 256, kind * 173 % 256)
    file = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(file, "JPEG")
    return file.getvalue()


def picture(folder: Folder, number: int) -> bytes:
    """The content of a key: a tiny JPEG, and zeros behind its end up to the size that is listed."""
    return _tiny((number + folder.number) % PICTURES).ljust(folder.size(number), b"\0")


class _Connection(asyncio.Protocol):
    """One connection of HTTP/1.1, kept open. Each answer comes `late` seconds later than it could."""

    def __init__(self, bucket: ListingS3, late: float) -> None:
        self._bucket, self._late, self._waiting = bucket, late, b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        while (end := self._waiting.find(b"\r\n\r\n")) >= 0:
            head, rest = self._waiting[:end].decode("latin-1"), self._waiting[end + 4 :]
            first, *lines = head.split("\r\n")
            named = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            length = int(named.get("content-length", 0))
            if len(rest) < length:
                return
            self._waiting = rest[length:]
            method, target, _ = first.split(" ", 2)
            answer = self._bucket.answer(method, target, named.get("range", ""))
            if self._late:
                asyncio.get_running_loop().call_later(self._late, self._send, method, answer)
            else:
                self._send(method, answer)

    def _send(self, method: str, answer: Answer) -> None:
        headers = (*answer.headers, ("x-amz-bucket-region", REGION), ("Content-Length", str(len(answer.body))))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        head = f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}\r\n{lines}\r\n".encode()
        self._transport.writelines([head, b"" if method == "HEAD" else answer.body])


def _listening(port: int) -> socket.socket:
    """A socket that other processes may share the port of; it takes part once it listens."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    return made


async def _serve(keys: ManyKeys, port: int, late: float) -> None:
    bucket = ListingS3(keys)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(bucket, late), sock=_listening(port), backlog=256)
    print("ready", flush=True)
    await server.serve_forever()


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


class ManyS3:
    """The processes of a server that runs."""

    def __init__(self, port: int, processes: list["subprocess.Popen[bytes]"]) -> None:
        self.endpoint_url = f"http://127.0.0.1:{port}"
        self._processes = processes

    def environment(self) -> dict[str, str]:
        """The variables that lead boto3 and obstore here."""
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ALLOW_HTTP": "true",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def cpu_seconds(self) -> float:
        """Processor time of all its processes since their start. Linux only."""
        ticks = 0
        for process in self._processes:
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def many_s3(keys: ManyKeys, processes: int = 2, late: float = 0.0) -> Iterator[ManyS3]:
    """A server of these keys, for the time of a block; each answer comes `late` seconds later than it could."""
    # Keeps the port for the processes, and takes no connection, for it does not listen.
    with _listening(0) as place:
        port: int = place.getsockname()[1]
        words = [port, keys.keys, keys.folders, keys.largest, keys.groups, keys.loose, late]
        command = [sys.executable, "-m", __spec__.name, *map(str, words)]
        started = [
            subprocess.Popen(command, cwd=ROOT_OF_TREE, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            for _ in range(processes)
        ]
        try:
            for process in started:
                assert process.stdout
                assert process.stdout.readline() == b"ready\n", "the server of many keys did not start"
            yield ManyS3(port, started)
        finally:
            for process in started:
                process.kill()
                process.communicate()


def main() -> None:
    """Serve until standard input ends, as one of the processes of `many_s3`."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, kind in {"port": int, "keys": int, "folders": int, "largest": float, "groups": int, "loose": int}.items():
        parser.add_argument(name, type=kind)
    parser.add_argument("late", type=float)
    told = parser.parse_args()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    keys = ManyKeys(told.keys, told.folders, told.largest, told.groups, told.loose)
    asyncio.run(_serve(keys, told.port, told.late))


if __name__ == "__main__":
    main()
