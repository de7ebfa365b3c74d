"""Headless Chromium, as a person would look at the pages that tunnels open."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.conftest import Need

# Screenshots stay when the tests are over.
ARTEFACTS = Path(__file__).resolve().parents[2] / ".orchard" / "artefacts"
QUIET = [
    "--no-sandbox",  # root has no other way
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def chromium(need: Need) -> Iterator[Browser]:
    """A browser for the time of the block."""
    program = shutil.which("chromium")
    need(program, "Chromium is not installed: python -m tests.sandbox tools")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=program, args=QUIET)


def keep_picture(page: Page, name: str) -> None:
    """Keep what the page looks like as a test artefact."""
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"{name}.png", full_page=True)
