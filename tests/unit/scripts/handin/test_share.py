"""`make share`: one private page with links to a whole run's results, and the truth on their end."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from scripts import console
from scripts.aws.bucket import Bucket, record_key
from scripts.errors import AwsError, InputError
from scripts.handin import links, share
from tests.unit.scripts.handin.conftest import BUCKET, RUN, record

Aws = Callable[[str], Any]


@pytest.fixture(autouse=True)
def checked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Links that were tried; nothing here answers a browser, as tests/s3 has it."""
    tried: list[str] = []
    monkeypatch.setattr(links, "check", tried.append)
    return tried


def made(bucket: Bucket, folder: Path, hours: str = "24") -> str:
    """The page of the run."""
    share.share(RUN, hours, str(folder))
    return (folder / RUN / "share.html").read_text()


def linked(page: str) -> list[str]:
    """Keys that the page leads to."""
    return [unquote(urlsplit(unescape(address)).path[1:]) for address in re.findall(r'href="(.*?)"', page)]


def in_bucket(aws: Aws) -> list[str]:
    return [entry["Key"] for entry in aws("s3").list_objects_v2(Bucket=BUCKET, Prefix="shared/").get("Contents", [])]


def test_the_page_leads_to_what_the_run_came_to_and_to_some_pictures(bucket: Bucket, tmp_path: Path) -> None:
    names = [key.removeprefix(f"runs/{RUN}/") for key in linked(made(bucket, tmp_path))]
    pictures = [name for name in names if name.startswith("pictures/")]
    assert [name for name in names if name not in pictures] == [
        "report.html",
        "pca.csv",
        "run.json",
        "errors.parquet",
        "pca/part-00000.parquet",
        "pca_model/mean.json",
    ]
    assert pictures
    assert all(re.fullmatch(r"pictures/(Apple|Banana|Cherry)/\d+\.jpg", name) for name in pictures)


def test_the_page_lies_in_the_bucket_and_beside_the_results_and_its_link_is_printed(
    bucket: Bucket, aws: Aws, tmp_path: Path, capsys: pytest.CaptureFixture[str], checked: list[str]
) -> None:
    page = made(bucket, tmp_path)
    said = capsys.readouterr().out
    [key] = in_bucket(aws)
    assert re.fullmatch(rf"shared/{RUN}/\d{{8}}T\d{{6}}Z-[0-9a-f]{{8}}\.html", key)
    stored = aws("s3").get_object(Bucket=BUCKET, Key=key)
    assert stored["Body"].read().decode() == page
    assert (stored["ContentType"], stored["CacheControl"]) == ("text/html; charset=utf-8", "private, no-store")
    assert (tmp_path / RUN / "share.html").stat().st_mode & 0o777 == 0o600
    assert f"/{key}?" in said
    assert "X-Amz-Signature" in said
    assert [urlsplit(address).path for address in checked] == [f"/{record_key(RUN)}"]
    granted = aws("s3").get_object_acl(Bucket=BUCKET, Key=key)["Grants"]
    assert [grant["Grantee"]["Type"] for grant in granted] == ["CanonicalUser"]


def test_no_link_stands_in_a_log(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "LOGS", tmp_path / "logs")
    console.begin("share", verbose=True)
    made(bucket, tmp_path)
    assert "X-Amz" not in "".join(file.read_text() for file in (tmp_path / "logs").glob("*"))


def test_it_is_said_until_when_and_who_can_make_it_longer(
    bucket: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = made(bucket, tmp_path, "2")
    said = capsys.readouterr().out
    until = re.search(r"The links work until (.+?) UTC, signed by (arn:\S+)\.\n", said)
    assert until
    at = datetime.strptime(until[1], "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    assert abs(at - datetime.now(UTC) - timedelta(hours=2)) <= timedelta(minutes=1)
    assert f"by `make share RUN={RUN} HOURS=168` (seven days at most each time)" in said
    # The page is written there, too.
    assert "whoever else may read and write the bucket" in said
    assert until[1] in page
    assert until[2] in page
    assert f"<code>make share RUN={RUN} HOURS=168</code>" in page


@pytest.mark.parametrize(("ends", "said"), [(3, "whose credentials end then"), (None, "do not say when they end")])
def test_credentials_that_end_earlier_are_told_of_with_a_way_to_longer_links(
    bucket: Bucket,
    tmp_path: Path,
    temporary: Callable[[datetime | None], None],
    capsys: pytest.CaptureFixture[str],
    ends: int | None,
    said: str,
) -> None:
    temporary(datetime.now(UTC) + timedelta(hours=ends) if ends else None)
    made(bucket, tmp_path)
    printed = capsys.readouterr().out
    assert said in printed
    assert f"`make credentials`, then `AWS_PROFILE=orchard-fruits make share RUN={RUN} HOURS=168`" in printed


@pytest.mark.parametrize("hours", ["0", "abc", "-1", "1000"])
def test_hours_that_are_none_leave_nothing_behind(bucket: Bucket, aws: Aws, tmp_path: Path, hours: str) -> None:
    with pytest.raises(InputError, match="is no time for links to work"):
        share.share(RUN, hours, str(tmp_path))
    assert in_bucket(aws) == []
    assert not (tmp_path / RUN).exists()


def test_a_run_that_is_not_whole_is_not_shared(bucket: Bucket, aws: Aws, tmp_path: Path) -> None:
    bucket.write_json(record_key(RUN), record(status="too many bad pictures"))
    with pytest.raises(InputError, match=rf"^Run {RUN} is not whole \(too many bad pictures\), and only whole runs"):
        share.share(RUN, "24", str(tmp_path))
    assert in_bucket(aws) == []


def test_where_links_do_not_work_there_is_no_page(
    bucket: Bucket, aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: str) -> None:
        raise AwsError("A link that was just signed is answered with 403.")

    monkeypatch.setattr(links, "check", refuse)
    with pytest.raises(AwsError):
        share.share(RUN, "24", str(tmp_path))
    assert in_bucket(aws) == []
    assert not (tmp_path / RUN).exists()


def test_a_folder_that_cannot_be_leaves_nothing_in_the_bucket(bucket: Bucket, aws: Aws, tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    with pytest.raises(InputError, match=r"name another folder with FOLDER=\.$"):
        share.share(RUN, "24", str(tmp_path / "results"))
    assert in_bucket(aws) == []


def test_a_bucket_that_does_not_take_the_page_leaves_none_on_this_machine(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> str:
        raise AwsError("AWS would not write it.")

    monkeypatch.setattr(share, "_put", refuse)
    with pytest.raises(AwsError, match="would not write"):
        share.share(RUN, "24", str(tmp_path))
    assert list(tmp_path.rglob("*.html")) == []


def test_it_works_once_the_cluster_is_down(bucket: Bucket, down: None, tmp_path: Path) -> None:
    assert f"runs/{RUN}/report.html" in linked(made(bucket, tmp_path))


def test_names_that_are_not_the_jobs_are_not_linked_and_hostile_words_are_only_shown(
    bucket: Bucket, aws: Aws, tmp_path: Path
) -> None:
    for name in ("pca/<img src=x>.parquet", "pca/../../pictures/a", 'pca/"x', "pca/\x1b[2J", "pca_model/a/..", "evil"):
        aws("s3").put_object(Bucket=BUCKET, Key=f"runs/{RUN}/{name}", Body=b"")
    bucket.write_json(record_key(RUN), record(weights="<script>", ended_at="<b>\x1b[2J\u202e"))
    page = made(bucket, tmp_path)
    assert "<script>" not in page
    assert "&lt;b&gt;\\x1b[2J\\u202e" in page
    assert [key for key in linked(page) if key.startswith(f"runs/{RUN}/pca/")] == [f"runs/{RUN}/pca/part-00000.parquet"]


def test_the_page_asks_nobody_else_and_tells_nobody_where_it_lies(bucket: Bucket, tmp_path: Path) -> None:
    page = made(bucket, tmp_path)
    assert "<script" not in page
    assert '<meta name="referrer" content="no-referrer">' in page
    addresses = re.findall(r'(?:src|href)="(.*?)"', page)
    assert {urlsplit(unescape(address)).hostname for address in addresses} == {f"{BUCKET}.s3.eu-west-1.amazonaws.com"}


def test_of_many_parts_the_first_are_linked_and_the_rest_are_counted(
    bucket: Bucket, aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(share, "MOST_PARTS", 2)
    for number in range(5):
        aws("s3").put_object(Bucket=BUCKET, Key=f"runs/{RUN}/pca/part-{number:05d}.parquet", Body=b"")
    page = made(bucket, tmp_path)
    assert len([key for key in linked(page) if "/pca/" in key]) == 2
    assert "And 3 more parts" in page
