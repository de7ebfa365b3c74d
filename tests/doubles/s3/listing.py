"""An S3 server that only lists: as many keys as wanted, made up page by page, so that they cost nothing to store."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

from tests.doubles.s3.serving import serving

PAGE = 1000
ENTRY = (
    "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
    "<ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><Size>{size}</Size>"
    "<StorageClass>STANDARD</StorageClass></Contents>"
)
LIST = (
    '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<Name>many</Name><Prefix>{prefix}</Prefix><MaxKeys>1000</MaxKeys><KeyCount>{count}</KeyCount>"
    "<IsTruncated>{truncated}</IsTruncated>{token}{entries}</ListBucketResult>"
)


def key_of(number: int) -> str:
    """The key with this number, in the order of keys."""
    return f"pictures/class {number // 1000:05d}/{number:07d}_100.jpg"


def size_of(number: int) -> int:
    """The bytes that the listing gives for it."""
    return 4000 + number % 1000


@contextmanager
def listing_s3(keys: int, page: int = PAGE) -> Iterator[str]:
    """The endpoint of a server whose every bucket lists this many keys, at most `page` at once."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            start = int(query.get("continuation-token", 0))
            numbers = range(start, min(start + page, keys))
            more = numbers.stop < keys
            body = LIST.format(
                prefix=escape(query.get("prefix", "")),
                count=len(numbers),
                truncated=str(more).lower(),
                token=f"<NextContinuationToken>{numbers.stop}</NextContinuationToken>" if more else "",
                entries="".join(ENTRY.format(key=key_of(number), size=size_of(number)) for number in numbers),
            ).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815  # the names that http.server asks for

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with serving(Handler) as endpoint:
        yield endpoint
