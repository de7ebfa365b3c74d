"""Which of the keeper's files have a sentence for the pages of JupyterLab; tests/job has the server and the pages."""

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest

ROLE = Path(__file__).resolve().parents[3] / "ansible" / "roles" / "jupyter"


@pytest.fixture(scope="module")
def notice() -> ModuleType:
    """The part of JupyterLab's server that reads the file."""
    spec = importlib.util.spec_from_file_location(
        "ending_notice", ROLE / "files" / "ending_notice" / "ending_notice.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "status.json"


def test_the_keeper_s_sentence_is_told_and_nothing_where_there_is_none(notice: ModuleType, file: Path) -> None:
    file.write_text('{"warning": "The cluster stops at 10:30 UTC.", "ends_at": 1764153000.0}')
    assert notice.warning_in(file) == "The cluster stops at 10:30 UTC."
    file.write_text('{"warning": null, "ends_at": 1764153000.0}')
    assert notice.warning_in(file) is None


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"warning": "Clus', id="half written"),
        pytest.param(b'{"warning": "\xff"}', id="no text"),
        pytest.param(b"[" * 10_000, id="too deep"),
        pytest.param(b'{"warning": "soon"' + b" " * 20_000 + b"}", id="too long"),
        pytest.param(b'{"warning": 5}', id="a number"),
        pytest.param(b'{"warning": ""}', id="no words"),
        pytest.param(b"{}", id="nothing about it"),
        pytest.param(b'["warning"]', id="a list"),
        pytest.param(b'"warning"', id="a string"),
    ],
)
def test_a_file_that_no_keeper_writes_is_no_warning(notice: ModuleType, file: Path, content: bytes) -> None:
    file.write_bytes(content)
    assert notice.warning_in(file) is None


def test_without_a_keeper_there_is_no_warning(notice: ModuleType, file: Path) -> None:
    assert notice.warning_in(file) is None
    assert notice.warning_in(file.parent) is None
    assert notice.warning_in(file / "status.json") is None


def test_a_pipe_in_the_file_s_place_holds_nobody_up(notice: ModuleType, file: Path) -> None:
    os.mkfifo(file)
    assert notice.warning_in(file) is None
