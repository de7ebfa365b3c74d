"""Pages: names of others are escaped and shown, and a page is its owner's alone."""

from pathlib import Path

import pytest

from scripts.errors import InputError
from scripts.handin import pages
from scripts.handin.drawing import drawing_of
from tests.doubles.fake_hosts import cluster_of


def test_a_page_is_readable_by_its_owner_alone_and_replaces_the_one_before(tmp_path: Path) -> None:
    for text in ("old", "new"):
        file = pages.write(tmp_path / "results" / "first", "share.html", text)
    assert file.read_text() == "new"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_a_link_where_the_page_is_to_be_is_replaced_and_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("theirs")
    for name in ("share.html", ".share.html.new"):
        (tmp_path / name).symlink_to(elsewhere)
    assert pages.write(tmp_path, "share.html", "mine").read_text() == "mine"
    assert elsewhere.read_text() == "theirs"


def test_a_folder_that_cannot_be_is_named_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    with pytest.raises(InputError, match=r"share\.html cannot be written \(.*\): name another folder with FOLDER=\.$"):
        pages.write(tmp_path / "results", "share.html", "page")


def test_what_others_have_named_is_escaped_and_its_control_characters_are_shown() -> None:
    cluster = cluster_of(workers=9)
    page = pages.render(
        "drawing.svg.j2", drawing=drawing_of(cluster, "<script>\x1b[2J\u202e", ["tcp 22 from 10.0.0.1/32"])
    )
    assert "<script>" not in page
    assert "&lt;script&gt;\\x1b[2J\\u202e" in page
    assert "tcp 22 from 10.0.0.1/32" in page


def test_commands_in_a_sentence_are_set_as_such_and_nothing_else_is_markup() -> None:
    assert str(pages._words("by `make <x>` or <b>")) == "by <code>make &lt;x&gt;</code> or &lt;b&gt;"
