"""Links of `make share` on a real S3 server: they work, end when they say, and are nothing without their signature."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import Message
from html import unescape
from pathlib import Path
from urllib.parse import urlsplit

import botocore.auth
import botocore.crt.auth
import pytest

from scripts.aws import clients
from scripts.aws.bucket import Bucket
from scripts.errors import AwsError
from scripts.handin import links, share
from scripts.handin.links import Signer
from scripts.terraform import outputs
from tests.doubles.aws.double import AwsDouble
from tests.doubles.fake_hosts import cluster_of
from tests.doubles.s3.server import REGION, S3Server

REPORT, CSV = "runs/first/report.html", "runs/first/pca.csv"
RECORD = {
    "status": "complete", "ended_at": "2026-01-01T00:00:00+00:00", "seconds": {"total": 1.0}, "cores": 2,
    "counts": {"listed": 1, "features": 1, "errors": 0}, "settings": {"images": "s3://elsewhere/pictures"},
}  # fmt: skip


def ask(address: str) -> tuple[int, bytes, Message]:
    """Status, content and headers, as somebody without an account gets them."""
    try:
        with urllib.request.urlopen(address, timeout=20) as answer:  # noqa: S310
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


@pytest.fixture
def signer(s3_server: S3Server) -> Iterator[Signer]:
    """Whoever has the server's key, for two hours."""
    with s3_server.bucket() as name:
        client = s3_server.client(signature_version="s3v4", s3={"addressing_style": "virtual"})
        for key in (REPORT, CSV):
            client.put_object(Bucket=name, Key=key, Body=key.encode())
        until = datetime.now(UTC) + timedelta(hours=2)
        yield Signer(Bucket(name, REGION), client, "arn:aws:iam::123456789012:user/me", until, False, False)


@pytest.fixture
def signed_earlier(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Lets links be signed so long ago."""

    def let(ago: timedelta) -> None:
        def then(remove_tzinfo: bool = True) -> datetime:
            now = datetime.now(UTC) - ago
            return now.replace(tzinfo=None) if remove_tzinfo else now

        # boto3 signs by either, whichever is installed.
        for module in (botocore.auth, botocore.crt.auth):
            monkeypatch.setattr(module, "get_current_datetime", then)

    return let


def test_a_link_works_without_an_account_and_names_what_it_leads_to(signer: Signer) -> None:
    status, content, headers = ask(signer.link(REPORT, "first-report.html"))
    assert (status, content) == (200, REPORT.encode())
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Content-Disposition"] == "inline; filename*=UTF-8''first-report.html"
    assert ask(signer.link(CSV))[2]["Content-Disposition"] == "attachment; filename*=UTF-8''pca.csv"
    links.check(signer.link(REPORT))


def test_it_works_until_its_time_and_is_refused_after_it(
    signer: Signer, signed_earlier: Callable[[timedelta], None]
) -> None:
    signed_earlier(timedelta(hours=1, minutes=59))
    assert ask(signer.link(REPORT))[0] == 200
    signed_earlier(timedelta(hours=2, minutes=1))
    expired = signer.link(REPORT)
    assert ask(expired)[0] == 403
    with pytest.raises(AwsError, match="is answered with 403"):
        links.check(expired)


def test_without_its_signature_or_with_another_it_is_refused(signer: Signer) -> None:
    signed = signer.link(REPORT)
    assert ask(urlsplit(signed)._replace(query="").geturl())[0] == 403
    assert ask(signed.replace("Expires=7", "Expires=9"))[0] == 403
    assert ask(signed.replace("report.html", "../other/report.html"))[0] in (400, 403)
    # One object's signature opens no other.
    assert ask(signed.replace("report.html?", "pca.csv?"))[0] == 403


def test_it_only_reads(signer: Signer) -> None:
    request = urllib.request.Request(signer.link(REPORT), b"theirs", method="PUT")  # noqa: S310
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(request, timeout=20)  # noqa: S310
    assert ask(signer.link(REPORT))[1] == REPORT.encode()


def test_the_page_itself_is_opened_by_its_link_and_every_link_on_it_works(
    moto_bucket: str, aws_double: AwsDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    clients.forget()
    monkeypatch.setattr(outputs, "current", lambda: replace(cluster_of(), bucket=moto_bucket, region=aws_double.region))
    for name in ("report.html", "pca.csv", "errors.parquet", "pca/part-00000.parquet", "pca_model/mean.json"):
        aws_double.client("s3").put_object(Bucket=moto_bucket, Key=f"runs/first/{name}", Body=name.encode())
    record = json.dumps(RECORD).encode()
    aws_double.client("s3").put_object(Bucket=moto_bucket, Key="runs/first/run.json", Body=record)
    share.share("first", "24", str(tmp_path))
    [address] = re.findall(r"^Link to it +(\S+)$", capsys.readouterr().out, re.MULTILINE)
    status, page, headers = ask(address)
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert page.decode() == (tmp_path / "first" / "share.html").read_text()
    on_it = [unescape(link) for link in re.findall(r'href="(.*?)"', page.decode())]
    assert len(on_it) == 6
    assert {ask(link)[0] for link in on_it} == {200}
    assert ask(urlsplit(address)._replace(query="").geturl())[0] == 403
    clients.forget()
