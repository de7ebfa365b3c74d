"""A person hands in what they have done: a page of links that expire, and a page of evidence.

The tests share the cluster and the run of test_operator_day, and come after it and before test_operator_end.
"""

import json
import re
import urllib.error
import urllib.request
from html import unescape
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cluster.browser import chromium, keep_picture
from tests.cluster.operator import Operator
from tests.conftest import Need

RUN = "first"


@pytest.fixture(autouse=True)
def run_is_there(operator: Operator, whole: None, imagenet_weights: Path, pictures: Path) -> None:
    """The run of the day; where its tests were not chosen, one like it."""
    found = operator.cloud.aws.client("s3").list_objects_v2(Bucket=operator.bucket, Prefix=f"runs/{RUN}/run.json")
    if not found.get("Contents"):
        operator.type("upload", f"--data={pictures}")
        operator.type("run", f"--run={RUN}", f"--weights={imagenet_weights}", "--args=--components 20")


def status_of(address: str) -> int:
    try:
        with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_page_of_links_opens_in_a_browser_that_has_no_account(operator: Operator, need: Need) -> None:
    done = operator.make("share", f"RUN={RUN}", "HOURS=2")
    assert done.code == 0, done.text
    assert re.search(
        r"^The links work until \d{4}-\d\d-\d\d \d\d:\d\d UTC, signed by arn:\S+\.$", done.out, re.MULTILINE
    )
    [address] = re.findall(r"^Link to it +(\S+)$", done.out, re.MULTILINE)
    assert status_of(urlsplit(address)._replace(query="").geturl()) == 403
    file = operator.checkout / "results" / RUN / "share.html"
    assert file.stat().st_mode & 0o777 == 0o600
    linked = [unescape(link) for link in re.findall(r'href="(.*?)"', file.read_text())]
    assert {status_of(link) for link in linked} == {200}
    assert "X-Amz-Signature" not in operator.log()
    with chromium(need) as browser:
        page = browser.new_page(viewport={"width": 1180, "height": 1000})
        page.goto(address)
        page.wait_for_load_state("networkidle")
        assert page.locator("figure img").count() == 12
        keep_picture(page, "share")
        page.get_by_role("link", name=re.compile("^Report")).click()
        page.wait_for_selector("#map canvas")


def test_a_page_of_evidence_has_nothing_that_is_not_good(operator: Operator, need: Need) -> None:
    done = operator.make("evidence", f"RUN={RUN}")
    assert (done.code, done.err) == (0, ""), done.text
    file = operator.checkout / "results" / RUN / "evidence.html"
    assert f"Evidence         {file}\n" in done.out
    with chromium(need) as browser:
        page = browser.new_page(viewport={"width": 1180, "height": 1000})
        page.goto(file.as_uri())
        keep_picture(page, "evidence")
        verdicts = page.locator(".verdict").all_inner_texts()
        assert set(verdicts) == {"good", "as it is"}
        text = page.inner_text("main")
    assert "REHEARSAL: " in text
    assert f"tcp 22 from {operator.settings['admin_cidrs'][0]}. Nothing else." in text
    assert re.search(r"of 300 pictures", text)
    assert "are there on 2 workers" in text


def test_a_run_that_is_not_there_is_named(operator: Operator) -> None:
    for task in ("share", "evidence"):
        assert operator.refused(7, task, "--run=none").startswith("There is no run none in s3://")
    s3 = operator.cloud.aws.client("s3")
    record = json.loads(s3.get_object(Bucket=operator.bucket, Key=f"runs/{RUN}/run.json")["Body"].read())
    assert record["hosts"]
