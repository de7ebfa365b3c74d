"""`make evidence`: the page. What is read of AWS is held to a real configuration in tests/terraform."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.aws import clients
from scripts.aws.bucket import Bucket, record_key
from scripts.errors import NoClusterError
from scripts.findings import hosts
from scripts.findings.finding import GOOD, NOT_GOOD, UNKNOWN, Answer, Call, Finding
from scripts.handin import evidence
from tests.unit.scripts.handin.conftest import RUN, record

Aws = Callable[[str], Any]


@pytest.fixture
def page(bucket: Bucket, tmp_path: Path) -> Callable[..., str]:
    """Makes the page of a run, and gives its text."""

    def make(run_id: str = RUN) -> str:
        evidence.evidence(run_id, str(tmp_path))
        [file] = tmp_path.glob("*/evidence.html")
        assert file.stat().st_mode & 0o777 == 0o600
        return file.read_text()

    return make


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """What AWS is taken to have said: three lines, of which one is as it should be."""
    call = Call("s3:GetBucketPolicy", "12:00:00", "REQUEST-1")
    lines = [
        Finding("Is it encrypted?", "a-bucket", Answer(GOOD, "Yes."), (call,)),
        Finding("Is it <open>?", "a-bucket", Answer(NOT_GOOD, "To \x1b[2J anybody.", '{\n "a": 1\n}'), (call,)),
        Finding("Who may?", "a-role", Answer(UNKNOWN, "AWS would not say: AccessDenied."), (call,)),
    ]
    monkeypatch.setattr(evidence, "read", lambda *_: {"The data": lines})
    return lines


def test_each_line_has_its_verdict_answer_thing_and_call(page: Callable[..., str], found: list[Finding]) -> None:
    text = page()
    for row, (verdict, words) in zip(
        re.findall(r"<tr>\n<td><span class=\"verdict.*?</tr>", text, re.DOTALL),
        [("good", "Yes."), ("not good", "To \\x1b[2J anybody."), ("not known", "AWS would not say: AccessDenied.")],
        strict=True,
    ):
        for said in (f">{verdict}</span>", words, "s3:GetBucketPolicy", "12:00:00", "REQUEST-1"):
            assert said in row
    assert "Is it &lt;open&gt;?" in text
    assert "{\n &#34;a&#34;: 1\n}" in text
    assert "1 of these lines is not as it should be" in text
    assert "1 of these lines could not be read" in text


def test_what_is_not_good_or_not_known_is_said_at_once(
    page: Callable[..., str], found: list[Finding], capsys: pytest.CaptureFixture[str]
) -> None:
    page()
    printed = capsys.readouterr()
    assert "1 good, 1 not good, 1 not known" in printed.out
    assert printed.err == (
        "not good: Is it <open>? To \\x1b[2J anybody.\nnot known: Who may? AWS would not say: AccessDenied.\n"
    )


def test_the_run_is_told_with_counts_times_and_cost(page: Callable[..., str], bucket: Bucket) -> None:
    submission = {"size": "mini", "words": [], "weights": "imagenet", "submitted_at": "x", "currency": "USD"}
    bucket.write_json(f"submissions/{RUN}.json", submission | {"price_per_hour": 12.0})
    text = page()
    for said in ("<b>298</b>", "of 300 pictures", "<b>30 s</b>", "<b>0.10 USD</b>", "on 16 cores of 2 hosts"):
        assert said in text
    assert re.search(r"<td>features</td><td class=\"n\">10\.0</td>", text)


def test_the_speed_over_workers_is_a_table_where_there_is_something_to_compare(
    page: Callable[..., str], bucket: Bucket
) -> None:
    assert "are there on 2 workers (16 cores) only" in page()
    bucket.write_json(record_key("one"), record(hosts=["a"], cores=8, images_per_second=20.0))
    text = page()
    assert re.search(r"<td class=\"n\">1\.49</td><td class=\"n\">74%</td>", text), text
    bucket.write_json(record_key(RUN), record(attempts=2))
    assert "and is compared with none" in page()


def test_without_any_run_the_rest_is_told(page: Callable[..., str], bucket: Bucket, aws: Aws) -> None:
    aws("s3").delete_object(Bucket=bucket.name, Key=record_key(RUN))
    assert "No run has ended yet." in page("")
    with pytest.raises(NoClusterError):
        page("another")


def test_the_cluster_is_drawn_while_terraform_has_one(page: Callable[..., str]) -> None:
    text = page()
    assert "Drawn from Terraform's outputs" in text
    assert all(f">{name}</text>" in text for name in ("master", "worker-1", "worker-2"))


def test_an_answer_of_another_form_leaves_the_drawing_without_rules(
    page: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(*_: object) -> list[str]:
        raise TypeError("of another form")

    monkeypatch.setattr(hosts, "open_to", odd)
    assert "not known" in page()


def test_once_the_cluster_is_down_the_page_says_so_and_the_bucket_is_read(page: Callable[..., str], down: None) -> None:
    text = page()
    assert "nothing to draw" in text
    assert "EC2 has no host of this cluster (any more)." in text
    assert "IAM has no role and no user of this cluster (any more)." in text
    assert "s3:GetPublicAccessBlock" in text


def test_a_rehearsal_is_never_taken_for_amazon(page: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "REHEARSAL" not in page()
    monkeypatch.setattr(clients, "rehearsal", lambda *_: "REHEARSAL: http://127.0.0.1 plays AWS.")
    assert "REHEARSAL: http://127.0.0.1 plays AWS. What follows says nothing of an account of Amazon" in page()


def test_random_weights_are_told_of(page: Callable[..., str], bucket: Bucket) -> None:
    bucket.write_json(record_key(RUN), record(weights="random"))
    assert "the features mean nothing" in page()


def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing(page: Callable[..., str], bucket: Bucket) -> None:
    bucket.write_json(record_key(RUN), record(weights="<script>alert(1)</script>", seconds={"<b>": 1.0, "total": 30.0}))
    text = page()
    assert "<script" not in text
    assert "&lt;b&gt;" in text
    assert re.findall(r"(?:src|href)=|url\((?!#)|@import", text) == []
    assert "default-src 'none'; style-src 'unsafe-inline'" in text


def test_no_secret_of_the_person_stands_on_it(page: Callable[..., str], aws: Aws) -> None:
    iam = aws("iam")
    iam.create_user(
        UserName="orchard-fruits-person",
        Tags=[{"Key": "Project", "Value": "orchard"}, {"Key": "Cluster", "Value": "fruits"}],
    )
    key = iam.create_access_key(UserName="orchard-fruits-person")["AccessKey"]
    text = page()
    assert key["AccessKeyId"] in text
    assert key["SecretAccessKey"] not in text
