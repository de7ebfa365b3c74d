"""A bucket by the host's role without boto3: requests that a real S3 server takes, and refuses with other keys."""

import hashlib
import urllib.error
import urllib.request
from io import BytesIO
from pathlib import Path

import pytest

from host_bucket import HostBucket, Keys, signed
from tests.doubles.s3.server import REGION, S3Server


def test_objects_are_put_listed_and_fetched(s3_server: S3Server, tmp_path: Path) -> None:
    keys = Keys(s3_server.keys.access_key_id, s3_server.keys.secret_access_key, "")
    content = b"a wheel" * 1000
    (tmp_path / "wheel").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    with s3_server.bucket() as name:
        bucket = HostBucket(name, REGION, keys, s3_server.endpoint_url)
        names = [f"wheels/cp311-x86_64/{digest}/a_b-1.0+cpu-py3-none-any.{number}.whl" for number in range(3)]
        for key in names:
            bucket.put(key, tmp_path / "wheel", digest)
        s3_server.client().put_object(Bucket=name, Key="elsewhere", Body=b"")
        assert sorted(bucket.keys("wheels/")) == names
        into = BytesIO()
        assert bucket.get(names[0], into, 1 << 20) == digest
        assert into.getvalue() == content
        into = BytesIO()
        assert bucket.get(names[0], into, 10) != digest
        assert len(into.getvalue()) == 10


def test_other_keys_and_another_content_than_was_said_are_refused(s3_server: S3Server, tmp_path: Path) -> None:
    (tmp_path / "wheel").write_bytes(b"a wheel")
    digest = hashlib.sha256(b"a wheel").hexdigest()
    with s3_server.bucket() as name:
        stranger = HostBucket(name, REGION, Keys(s3_server.keys.access_key_id, "guessed", ""), s3_server.endpoint_url)
        with pytest.raises(urllib.error.HTTPError, match="403"):
            stranger.put("wheels/x", tmp_path / "wheel", digest)
        with pytest.raises(urllib.error.HTTPError, match="403"):
            list(stranger.keys("wheels/"))


def test_it_is_signed_as_botocore_signs_it() -> None:
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    keys = Keys("AKIA", "secret", "a/token")
    address = "https://b.s3.eu-west-1.amazonaws.com/?list-type=2&prefix=wheels%2F"
    request = AWSRequest("GET", address)
    request.headers["x-amz-content-sha256"] = hashlib.sha256(b"").hexdigest()
    S3SigV4Auth(Credentials("AKIA", "secret", "a/token"), "s3", "eu-west-1").add_auth(request)
    now = request.headers["X-Amz-Date"]
    ours = signed(
        "GET",
        "b.s3.eu-west-1.amazonaws.com",
        "/",
        "list-type=2&prefix=wheels%2F",
        "eu-west-1",
        keys,
        hashlib.sha256(b"").hexdigest(),
        now,
    )
    assert ours["Authorization"] == request.headers["Authorization"]


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        ("http://10.0.0.1:80", "10.0.0.1"),
        ("https://10.0.0.1:443/", "10.0.0.1"),
        ("http://10.0.0.1:8080", "10.0.0.1:8080"),
        ("", "b.s3.eu-west-1.amazonaws.com"),
    ],
)
def test_a_port_that_goes_without_saying_is_neither_sent_nor_signed(
    endpoint: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[urllib.request.Request] = []
    monkeypatch.setattr(urllib.request, "urlopen", lambda request, **_: asked.append(request) or BytesIO())
    HostBucket("b", REGION, Keys("a", "b", ""), endpoint).get("wheels/x", BytesIO(), 1)
    assert asked[0].get_header("Host") == host


def test_a_long_list_is_asked_for_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [
        b"<r><Key>wheels/a</Key><NextContinuationToken>more/==</NextContinuationToken></r>",
        b"<r><Key>wheels/b</Key></r>",
    ]
    asked: list[object] = []

    def answer(_: object, verb: str, key: str, query: dict[str, str]) -> BytesIO:
        asked.append((verb, key, query.get("continuation-token")))
        return BytesIO(pages[len(asked) - 1])

    monkeypatch.setattr(HostBucket, "_asked", answer)
    assert list(HostBucket("b", REGION, Keys("a", "b", "")).keys("wheels/")) == ["wheels/a", "wheels/b"]
    assert asked == [("GET", "", None), ("GET", "", "more/==")]
