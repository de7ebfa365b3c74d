"""The cluster's bucket by the host's role, with Python's own library: a host that has no environment yet has no boto3.

Requests are signed as AWS's Signature Version 4 asks, https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
import http.client
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import SplitResult, quote, urlencode, urlsplit

METADATA = "http://169.254.169.254/latest/"
METADATA_SECONDS, METADATA_TRIES = 5, 3
SECONDS = 60
EMPTY = hashlib.sha256(b"").hexdigest()
CHUNK = 1 << 20

# What may go wrong on the way: of the network, of S3, of the metadata.
Failed = (OSError, http.client.HTTPException, ValueError, KeyError)


@dataclass(frozen=True)
class Keys:
    """Temporary ones of the host's role."""

    access_key: str
    secret_key: str
    token: str


def role_keys() -> Keys:
    """The role's, by the instance metadata (IMDSv2). Raises one of `Failed`."""
    token = _metadata("PUT", "api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"}).decode()
    given = {"X-aws-ec2-metadata-token": token}
    path = "meta-data/iam/security-credentials/"
    role = _metadata("GET", path, given).decode().partition("\n")[0]
    if not role:
        raise ValueError("this host has no role")
    said = json.loads(_metadata("GET", path + role, given))
    return Keys(said["AccessKeyId"], said["SecretAccessKey"], said["Token"])


def _metadata(verb: str, path: str, headers: dict[str, str]) -> bytes:
    # Never by a proxy: it would answer for itself.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for left in reversed(range(METADATA_TRIES)):
        try:
            asked = urllib.request.Request(METADATA + path, method=verb, headers=headers)  # noqa: S310  a fixed address
            with opener.open(asked, timeout=METADATA_SECONDS) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError:
            raise
        except OSError:
            if not left:
                raise
            time.sleep(1)  # before asking again: nothing announces that the metadata answers
    raise AssertionError


class HostBucket:
    """Objects of a bucket. Methods raise one of `Failed`."""

    def __init__(self, name: str, region: str, keys: Keys, endpoint: str = "") -> None:
        """`endpoint` is where S3 is not Amazon's, as AWS_ENDPOINT_URL_S3 has it."""
        self._region, self._keys = region, keys
        self._base = f"{endpoint.rstrip('/')}/{name}" if endpoint else f"https://{name}.s3.{region}.amazonaws.com"

    def keys(self, prefix: str) -> Iterator[str]:
        """Every key below a prefix of plain letters, as S3 lists it."""
        after = ""
        while True:
            query = {"list-type": "2", "prefix": prefix} | ({"continuation-token": after} if after else {})
            with self._asked("GET", "", query) as answer:
                page = answer.read().decode()
            yield from re.findall(r"<Key>([^<&]*)</Key>", page)
            found = re.search(r"<NextContinuationToken>([^<]*)</NextContinuationToken>", page)
            if not found:
                return
            after = found[1]

    def get(self, key: str, into: BinaryIO, most: int) -> str:
        """Write an object into a file, as far as it may be long; gives the SHA-256 of that."""
        digest, left = hashlib.sha256(), most
        with self._asked("GET", key) as answer:
            while left and (chunk := answer.read(min(CHUNK, left))):
                digest.update(chunk)
                into.write(chunk)
                left -= len(chunk)
        return digest.hexdigest()

    def put(self, key: str, file: Path, sha256: str) -> None:
        """Put a file whose SHA-256 this is."""
        with file.open("rb") as content, self._asked("PUT", key, body=content, sha256=sha256) as answer:
            answer.read()

    def _asked(
        self,
        verb: str,
        key: str,
        query: dict[str, str] | None = None,
        body: BinaryIO | None = None,
        sha256: str = EMPTY,
    ) -> http.client.HTTPResponse:
        where = urlsplit(f"{self._base}/{quote(key, safe='/-_.~')}")
        words = urlencode(sorted((query or {}).items()), quote_via=quote, safe="-_.~")
        headers = signed(verb, _host(where), where.path, words, self._region, self._keys, sha256, _now())
        if body is not None:
            headers["Content-Length"] = str(os.fstat(body.fileno()).st_size)
        address = where._replace(query=words).geturl()
        asked = urllib.request.Request(address, data=body, method=verb, headers=headers)  # noqa: S310  http(s) alone
        answer: http.client.HTTPResponse = urllib.request.urlopen(asked, timeout=SECONDS)  # noqa: S310
        return answer


def _host(where: SplitResult) -> str:
    """As it is sent and signed: without the port where that goes without saying, for servers sign so."""
    return where.netloc.removesuffix({"http": ":80", "https": ":443"}[where.scheme])


def _now() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")


def signed(
    verb: str, host: str, path: str, query: str, region: str, keys: Keys, sha256: str, now: str
) -> dict[str, str]:
    """Headers of a request to S3, with its signature; `path` and `query` are encoded, `now` is 20260131T235959Z."""
    headers = {"host": host, "x-amz-content-sha256": sha256, "x-amz-date": now}
    if keys.token:
        headers["x-amz-security-token"] = keys.token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = "\n".join([verb, path, query, lines, names, sha256])
    scope = f"{now[:8]}/{region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{keys.secret_key}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    said = f"Credential={keys.access_key}/{scope}, SignedHeaders={names}, Signature={_hmac(key, text).hex()}"
    return headers | {"Authorization": f"AWS4-HMAC-SHA256 {said}"}


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
