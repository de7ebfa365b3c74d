"""pipeline.storage.s3_pages: what is read of an answer without botocore, and what is left to it."""

from typing import Any
from xml.sax.saxutils import escape

import pytest

from pipeline.storage import s3_pages

HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<Name>b</Name><Prefix>p/</Prefix><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>"
)
END = "</ListBucketResult>"
PREFIX = "<CommonPrefixes><Prefix>p/2/</Prefix></CommonPrefixes>"


def entry(key: str, size: int = 7) -> str:
    return (
        f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        f"<ETag>&quot;0&quot;</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
    )


def read(body: str, status: int = 200) -> tuple[str, dict[str, Any]]:
    """What botocore is left with, and what was read before it."""
    response, found = {"status_code": status, "body": body.encode()}, dict[str, Any]()
    s3_pages._columns(response, found)
    return response["body"].decode(), found


def test_keys_and_sizes_are_read_and_the_rest_is_left_to_botocore() -> None:
    rest, found = read(HEAD + entry("p/Apple+Red/1%252B.jpg", 3) + entry("p/a/%C3%A9%0A.jpg", 2**40) + END)
    assert found == {"OrchardKeys": ["p/Apple Red/1%2B.jpg", "p/a/\u00e9\n.jpg"], "OrchardSizes": [3, 2**40]}
    assert rest == HEAD + END


def test_a_server_that_encodes_no_keys_is_taken_at_its_word() -> None:
    plain = HEAD.replace("<EncodingType>url</EncodingType>", "")
    _, found = read(plain + entry("p/a+b & c%20.jpg") + END)
    assert found["OrchardKeys"] == ["p/a+b & c%20.jpg"]


@pytest.mark.parametrize("body", ["<Error><Code>InternalError</Code></Error>", HEAD + entry("p/1.jpg")[:40], HEAD])
def test_a_failure_that_is_called_a_success_and_a_list_that_was_cut_are_tried_again(body: str) -> None:
    response = {"status_code": 200, "body": body.encode()}
    s3_pages._columns(response, {})
    assert response["status_code"] == 500


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (HEAD + END, 200),
        (HEAD + entry("p/1.jpg") + END, 503),
        (
            HEAD + entry("p/1.jpg") + "<CommonPrefixes><Prefix>p/2/</Prefix></CommonPrefixes>" + entry("p/3.jpg") + END,
            200,
        ),
        (HEAD + entry("p/1.jpg").replace("<Size>7</Size>", "") + END, 200),
    ],
    ids=["empty", "refused", "prefixes between", "without a size"],
)
def test_any_other_answer_is_botocore_s(body: str, status: int) -> None:
    assert read(body, status) == (body, {})
