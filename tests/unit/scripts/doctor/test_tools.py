"""scripts.doctor.tools: what a program on the path says that it is."""

from pathlib import Path

import pytest

from scripts.doctor import tools
from scripts.errors import MissingError


@pytest.fixture
def shim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `terraform` that comes first on the path, and is not written yet."""
    monkeypatch.setattr("scripts.processes.search_path", lambda: f"{tmp_path}:/usr/bin:/bin")
    return tmp_path / "terraform"


def says(program: Path, words: str, code: int = 0) -> None:
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{words}\nEND\nexit {code}\n")
    program.chmod(0o755)


def test_terraforms_version_is_told(shim: Path) -> None:
    says(shim, "Terraform v1.11.4\non linux_amd64\n\nYour version of Terraform is out of date!")
    assert tools.terraform() == "1.11.4"


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ("Terraform v1.5.7\non linux_amd64", 0, "Terraform 1.5.7 ({path}) is too old, 1.10 is needed: get it from"),
        ("OpenTofu v1.10.2\non linux_amd64", 0, "{path} is OpenTofu 1.10.2, whose registry is another: get it from"),
        (
            "No version is set for command terraform",
            126,
            "{path} tells no version (it says: No version is set for command terraform): where it is a version "
            "manager's, choose one with it (tfenv use, asdf set, mise use); else get it from",
        ),
        ("", 1, "{path} tells no version (it says: nothing): "),
    ],
)
def test_what_is_no_terraform_that_will_do_is_told_with_the_next_step(
    shim: Path, words: str, code: int, sentence: str
) -> None:
    says(shim, words, code)
    with pytest.raises(MissingError) as refused:
        tools.terraform()
    assert str(refused.value).startswith(sentence.format(path=shim))
    assert str(refused.value).endswith(", then try again.") or not words
