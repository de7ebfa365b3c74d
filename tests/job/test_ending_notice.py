"""What tells an open page of JupyterLab that the cluster is about to stop: the role's own server, asked and looked at.

No run of the job, but as slow as one: a server and a browser, and no hosts.
"""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from jinja2 import Environment, StrictUndefined
from playwright.sync_api import Locator, Page, Request, expect

from tests.cluster.browser import chromium, keep_picture
from tests.conftest import Need
from tests.waiting import wait_until

ROLE = Path(__file__).resolve().parents[2] / "ansible" / "roles" / "jupyter"
TOKEN = "t" * 48
ENVIRONMENT = Environment(undefined=StrictUndefined, autoescape=False)  # noqa: S701  # settings are no pages
ENDING = "**/orchard/ending"
# What the page has read once this is read, it has done something with.
READ_ANOTHER = "fetch('/api').then(answer => answer.json())"
SENTENCE = (
    "Cluster fruits stops at 10:30 UTC, for it has been idle since 10:00: "
    "`make keep HOURS=2` on your laptop or `keep 2` on the master puts it off."
)

# Shorter than the page's own pause, which is never waited for.
expect.set_options(timeout=15_000)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@dataclass(frozen=True)
class Role:
    """The role, with all that it has on a host in one folder."""

    folder: Path
    port: int

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def keeper_file(self) -> Path:
        return self.folder / "run" / "status.json"

    def render(self, text: str, **more: Any) -> str:
        variables = yaml.safe_load((ROLE / "vars" / "main.yml").read_text()) | {
            "orchard_config": str(self.folder / "etc"),
            "orchard_keeper_file": str(self.keeper_file),
            "jupyter_home": str(self.home),
            "jupyter_port": self.port,
            "jupyter_runs": "s3://b/runs",
            "jupyter_token_file": str(self.folder / "token"),
        }
        # What is put in may name variables itself.
        while "{{" in text:
            text = ENVIRONMENT.from_string(text).render(variables | more)
        return text

    def template(self, name: str) -> str:
        return self.render((ROLE / "templates" / name).read_text())

    def install(self) -> None:
        """Have the token, the settings, and what the role's own tasks copy."""
        for folder in (self.home, self.keeper_file.parent):
            folder.mkdir()
        (self.folder / "token").write_text(TOKEN)
        folders, files = yaml.safe_load((ROLE / "tasks" / "ending_notice.yml").read_text())
        for folder in folders["loop"]:
            Path(self.render(folder)).mkdir(parents=True)
        copy = files["ansible.builtin.copy"]
        for item in files["loop"]:
            source = ROLE / "files" / self.render(copy["src"], item=item)
            Path(self.render(copy["dest"], item=item)).write_bytes(source.read_bytes())
        settings = Path(self.render("{{ jupyter_config }}/jupyter_server_config.py"))
        settings.write_text(self.template("jupyter_server_config.py.j2"))

    def environment(self) -> dict[str, str]:
        """What the unit's server has, and nothing of the person's who runs the tests."""
        lines = [line for line in self.template("environment.j2").splitlines() if not line.startswith("#")]
        return {"PATH": os.environ["PATH"], "HOME": str(self.home)} | dict(line.split("=", 1) for line in lines)


@dataclass(frozen=True)
class Lab:
    """The role's JupyterLab at work, and the file that the keeper writes."""

    address: str
    keeper_file: Path
    output: Path

    def keeper_says(self, warning: str | None) -> None:
        self.keeper_file.write_text(json.dumps({"ends_at": 1764153000.0, "warning": warning}))

    def ask(self, path: str = "orchard/ending", token: str | None = TOKEN) -> requests.Response:
        headers = {"Authorization": f"token {token}"} if token else {}
        return requests.get(f"{self.address}/{path}", headers=headers, timeout=30)

    def log(self) -> str:
        return self.output.read_text()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    role = Role(tmp_path_factory.mktemp("host"), free_port())
    role.install()
    lab = Lab(f"http://127.0.0.1:{role.port}", role.keeper_file, role.folder / "log")
    words = [Path(sys.executable).with_name("jupyter-lab"), "--no-browser", "--allow-root"]
    with lab.output.open("wb") as output:
        server = subprocess.Popen(
            words, cwd=role.home, env=role.environment(),
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        wait_until(lambda: server.poll() is not None or "is running at" in lab.log(), "JupyterLab", 60)
        assert server.poll() is None, lab.log()
        yield lab
    finally:
        server.kill()
        server.wait()


# What the server answers


def test_the_server_starts_with_it_and_has_nothing_to_say_against_it(lab: Lab) -> None:
    started = lab.log().partition("is running at")[0]
    assert "ending_notice | extension was successfully loaded." in started
    assert not re.search(r"^\[[WEC] |Warning|Traceback", started, re.MULTILINE), started


def test_the_keeper_s_sentence_is_told_to_whom_has_the_token(lab: Lab) -> None:
    lab.keeper_says(SENTENCE)
    assert lab.ask().json() == {"warning": SENTENCE}
    lab.keeper_says(None)
    assert lab.ask().json() == {"warning": None}


@pytest.mark.parametrize("token", [None, "another"])
def test_without_the_token_nothing_is_told(lab: Lab, token: str | None) -> None:
    lab.keeper_says(SENTENCE)
    answer = lab.ask(token=token)
    assert answer.status_code == 403
    assert "fruits" not in answer.text


@pytest.mark.parametrize("content", [None, "[" * 10_000, f'{{"warning": "soon"{" " * 20_000}}}'])
def test_whatever_is_in_the_keeper_s_place_the_server_answers(lab: Lab, content: str | None) -> None:
    lab.keeper_file.unlink(missing_ok=True)
    if content is not None:
        lab.keeper_file.write_text(content)
    assert lab.ask().json() == {"warning": None}


def test_who_asks_is_nobody_at_work_and_leaves_no_line_in_the_log(lab: Lab) -> None:
    def known() -> tuple[str, int]:
        return lab.ask("api/status").json()["last_activity"], lab.log().count("/orchard/ending")

    before = known()
    assert lab.ask().ok
    assert known() == before


def test_no_browser_keeps_the_page_s_half_when_there_is_a_newer(lab: Lab) -> None:
    answer = lab.ask("lab/extensions/ending-notice/remoteEntry.js")
    assert answer.ok
    assert answer.headers["Cache-Control"] == "no-cache"


# What a page shows


@dataclass(frozen=True)
class OpenPage:
    """An open page of JupyterLab, whose clock the test puts forward."""

    page: Page
    asked: list[Request]
    heard: list[Request]

    @property
    def toasts(self) -> Locator:
        return self.page.locator(".jp-Notification-Toast-warning")

    @property
    def notices(self) -> Locator:
        return self.toasts.locator(".jp-toast-message")

    def let_pass(self, seconds: int) -> None:
        self.page.clock.fast_forward(seconds * 1000)

    def settle(self) -> None:
        """Wait until the page has read the answer to whatever it asked."""
        wait_until(lambda: self.page.evaluate(READ_ANOTHER) and len(self.heard) == len(self.asked), "all answers")
        self.page.evaluate(READ_ANOTHER)

    def listen(self) -> None:
        """Let time pass until the page has asked once more and read the answer."""
        self.settle()
        enough = len(self.asked) + 1
        wait_until(lambda: self._asks(enough), "the page to ask")
        self.settle()

    def _asks(self, enough: int) -> bool:
        """Put the clock forward unless it has asked: its patience goes by that clock, too, and would end a question."""
        if len(self.asked) < enough:
            self.let_pass(30)
            # What began before this has been noted when this is answered.
            self.page.evaluate(READ_ANOTHER)
        return len(self.asked) >= enough

    def end_animations(self) -> None:
        """Have whatever moves arrive: JupyterLab ends a notification's time by an animation."""
        self.page.evaluate(
            "for (const moves of document.getAnimations())"
            "  if (isFinite(moves.effect.getComputedTiming().endTime)) moves.finish()"
        )

    def turn(self, away: bool) -> None:
        """Have the person go to another tab, or come back."""
        self.page.evaluate("away => Object.defineProperty(document, 'hidden', {value: away, configurable: true})", away)
        self.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def note(known: list[Request], request: Request) -> None:
    if request.url.endswith("/orchard/ending"):
        known.append(request)


@pytest.fixture(scope="module")
def only_page(lab: Lab, need: Need) -> Iterator[OpenPage]:
    with chromium(need) as browser:
        opened = OpenPage(browser.new_page(viewport={"width": 1000, "height": 600}), [], [])
        opened.page.on("request", partial(note, opened.asked))
        opened.page.on("requestfinished", partial(note, opened.heard))
        opened.page.on("requestfailed", partial(note, opened.heard))
        opened.page.clock.install()
        with opened.page.expect_response(ENDING):
            opened.page.goto(f"{lab.address}/lab?token={TOKEN}")
        yield opened


@pytest.fixture
def opened(lab: Lab, only_page: OpenPage) -> OpenPage:
    """The open page, while there is nothing to be said."""
    lab.keeper_says(None)
    only_page.listen()
    expect(only_page.notices).to_have_count(0)
    return only_page


def test_a_warning_appears_within_half_a_minute_and_goes_when_the_end_is_put_off(lab: Lab, opened: OpenPage) -> None:
    lab.keeper_says("The cluster stops at 10:30 UTC.")
    opened.listen()
    expect(opened.notices).to_have_text(["The cluster stops at 10:30 UTC."])
    lab.keeper_says("The cluster stops at 12:30 UTC.")
    opened.let_pass(30)
    expect(opened.notices).to_have_text(["The cluster stops at 12:30 UTC."])
    lab.keeper_says(None)
    opened.let_pass(30)
    expect(opened.notices).to_have_count(0)


def test_a_warning_is_text_whatever_is_in_it(lab: Lab, opened: OpenPage) -> None:
    lab.keeper_says("The <b>cluster</b> stops.<img src=x>")
    opened.listen()
    expect(opened.notices).to_have_text(["The <b>cluster</b> stops.<img src=x>"])
    assert opened.notices.locator("b, img").count() == 0


def test_a_warning_stays_until_dismissed_and_is_not_said_twice(lab: Lab, opened: OpenPage) -> None:
    lab.keeper_says("The cluster stops at 10:30 UTC.")
    opened.listen()
    opened.end_animations()
    opened.listen()
    expect(opened.notices).to_have_text(["The cluster stops at 10:30 UTC."])
    opened.toasts.get_by_title("Hide notification").click()
    expect(opened.notices).to_have_count(0)
    opened.listen()
    expect(opened.notices).to_have_count(0)


def test_a_long_warning_is_shown_whole(lab: Lab, opened: OpenPage) -> None:
    # JupyterLab itself cuts it off in the middle of what to do.
    assert len(SENTENCE) > 140
    lab.keeper_says(SENTENCE)
    opened.listen()
    first, second = SENTENCE.split(": ")
    expect(opened.notices).to_have_text([f"{first}:", second])
    for toast in opened.toasts.all():
        expect(toast).to_be_in_viewport(ratio=1)
    keep_picture(opened.page, "ending-notice")
    lab.keeper_says("word " * 100)
    opened.listen()
    expect(opened.notices).to_have_text([" ".join(["word"] * words) for words in (28, 28, 28, 16)])


def test_a_page_that_nobody_sees_asks_nothing_until_somebody_is_back(lab: Lab, opened: OpenPage) -> None:
    opened.turn(away=True)
    lab.keeper_says("The cluster stops at 10:30 UTC.")
    asked = len(opened.asked)
    for _ in range(3):
        opened.let_pass(60)
    opened.settle()
    assert len(opened.asked) == asked
    opened.turn(away=False)
    expect(opened.notices).to_have_text(["The cluster stops at 10:30 UTC."])


def test_a_server_that_does_not_answer_leaves_the_warning_there(lab: Lab, opened: OpenPage) -> None:
    lab.keeper_says("The cluster stops at 10:30 UTC.")
    opened.listen()
    opened.page.route(ENDING, lambda route: route.abort())
    opened.listen()
    expect(opened.notices).to_have_text(["The cluster stops at 10:30 UTC."])
    opened.page.unroute(ENDING)
    lab.keeper_says(None)
    opened.listen()
    expect(opened.notices).to_have_count(0)


def test_a_page_that_is_refused_asks_seldom(opened: OpenPage) -> None:
    opened.page.route(ENDING, lambda route: route.fulfill(status=403))
    opened.listen()
    asked = len(opened.asked)
    for _ in range(4):
        opened.let_pass(30)
    opened.settle()
    assert len(opened.asked) == asked
    opened.page.unroute(ENDING)
    opened.listen()


def test_a_page_whose_cookies_are_gone_asks_with_its_token(lab: Lab, opened: OpenPage) -> None:
    opened.page.context.clear_cookies()
    lab.keeper_says("The cluster stops at 10:30 UTC.")
    opened.listen()
    expect(opened.notices).to_have_text(["The cluster stops at 10:30 UTC."])
