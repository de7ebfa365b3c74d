"""Pages of S3's list, read in columns: botocore makes a dict of each key, which takes most of a long list's time."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from typing import Any
from urllib.parse import unquote_plus

import pyarrow as pa

from pipeline.storage.base import LISTING_SCHEMA
from pipeline.storage.s3_connection import lister

_FIRST, _LAST = b"<Contents>", b"</Contents>"
_KEY, _SIZE = re.compile(rb"<Key>([^<]*)</Key>"), re.compile(rb"<Size>([0-9]+)</Size>")
# Under these names a page has its columns.
_KEYS, _SIZES = "OrchardKeys", "OrchardSizes"


@dataclass(frozen=True)
class Page:
    """Keys in the server's order, the bytes of each, and whether more come after them."""

    keys: list[str]
    sizes: list[int]
    has_more: bool

    def below(self, prefix: str) -> pa.RecordBatch:
        """The page as a batch of LISTING_SCHEMA, its paths without the prefix; the prefix's own object is left out."""
        first = int(bool(self.keys) and self.keys[0] == prefix)
        paths = [key[len(prefix) :] for key in self.keys[first:]]
        arrays = [pa.array(paths, pa.string()), pa.array(self.sizes[first:], pa.int64())]
        return pa.RecordBatch.from_arrays(arrays, schema=LISTING_SCHEMA)


def pages(bucket: str, prefix: str, after: str = "") -> Iterator[Page]:
    """The pages of all keys that begin with `prefix` and come after `after`. Raises what boto3 raises."""
    words = {"Bucket": bucket, "Prefix": prefix}
    if after > prefix:
        words["StartAfter"] = after
    while True:
        answer = _client().list_objects_v2(**words)
        page = _page(answer)
        yield page
        if not page.has_more:
            return
        words = {"Bucket": bucket, "Prefix": prefix, "ContinuationToken": answer["NextContinuationToken"]}


def folders(bucket: str, prefix: str, after: str) -> list[str]:
    """The first folders directly below `prefix` that come after `after`, at most a page of them.

    Some servers also give the one that holds `after`; S3 does not.
    """
    start = {"StartAfter": after} if after > prefix else {}
    answer = _client().list_objects_v2(Bucket=bucket, Prefix=prefix, Delimiter="/", **start)
    return [entry["Prefix"] for entry in answer.get("CommonPrefixes", ())]


def first_key(bucket: str, prefix: str, after: str) -> str | None:
    """The first key that begins with `prefix` and comes after `after`; None for none."""
    answer = _client().list_objects_v2(Bucket=bucket, Prefix=prefix, StartAfter=after, MaxKeys=1)
    return next(iter(_page(answer).keys), None)


def _client() -> Any:
    return lister(_columns)


def _page(answer: dict[str, Any]) -> Page:
    if _KEYS in answer:
        return Page(answer[_KEYS], answer[_SIZES], answer["IsTruncated"])
    entries = answer.get("Contents", ())
    return Page([entry["Key"] for entry in entries], [entry["Size"] for entry in entries], answer["IsTruncated"])


def _columns(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    """Takes the keys out of an answer before botocore reads it. What looks otherwise than S3's is left to botocore."""
    body = response_dict["body"]
    if response_dict["status_code"] == 200 and not body.rstrip().endswith(b"ListBucketResult>"):
        # An error, or a list that was cut. As botocore does it: tried again, as any other failure of the server's.
        response_dict["status_code"] = 500
    first, last = body.find(_FIRST), body.rfind(_LAST)
    if response_dict["status_code"] != 200 or first < 0 or last < first:
        return
    inner, rest = body[first:last], body[:first] + body[last + len(_LAST) :]
    keys, sizes = _KEY.findall(inner), _SIZE.findall(inner)
    # A key without an end is a cut answer, which botocore is to find.
    if b"<CommonPrefixes>" in inner or not len(keys) == len(sizes) == inner.count(_FIRST) or _FIRST in rest:
        return
    response_dict["body"] = rest
    customized_response_dict[_KEYS] = _names(keys, is_encoded=b"<EncodingType>url</EncodingType>" in rest)
    customized_response_dict[_SIZES] = list(map(int, sizes))


def _names(keys: list[bytes], *, is_encoded: bool) -> list[str]:
    # No key as it is sent has a line's end in it. All at once is quicker by much than one by one.
    text = b"\n".join(keys).decode()
    if "&" in text or (is_encoded and "%0a" in text.lower()):
        names = [unescape(name) for name in text.split("\n")]
        return [unquote_plus(name) for name in names] if is_encoded else names
    return (unquote_plus(text) if is_encoded else text).split("\n")
