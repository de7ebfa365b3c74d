"""`make doctor`: a line each, and what to type."""

from pathlib import Path

import pytest

from scripts.doctor import look
from scripts.doctor.look import Check
from scripts.errors import InputError, MissingError


def no(sentence: str) -> str:
    raise InputError(sentence)


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Three checks, one of which fails."""
    monkeypatch.setenv("ORCHARD_TERRAFORM", str(tmp_path))
    (tmp_path / "terraform.tfvars").write_text('cluster_name = "fruits"\nregion = "eu-central-1"\n')
    monkeypatch.setattr(look, "MACHINE", (Check("python", lambda: "3.12"), Check("disk", lambda: no("Make room."))))
    monkeypatch.setattr(look, "NETWORK", ())
    monkeypatch.setattr(look, "PACKAGES", Check("packages", lambda: "had"))
    monkeypatch.setattr(look.credentials, "of", lambda region: f"account 1 in {region}")
    monkeypatch.setattr(look.network, "address", lambda region, name: f"let in by {name} in {region}")


@pytest.mark.usefixtures("checks")
def test_each_check_has_a_line_and_what_fails_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MissingError, match=r"^1 of 5 are not ready: see above\.$"):
        look.doctor()
    assert capsys.readouterr().out == (
        "  python        3.12\n"
        "  disk          NOT READY: Make room.\n"
        "  packages      had\n"
        "  credentials   account 1 in eu-central-1\n"
        "  address       let in by fruits in eu-central-1\n"
    )


@pytest.mark.usefixtures("checks")
def test_where_all_is_ready_the_next_step_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(look, "MACHINE", look.MACHINE[:1])
    look.doctor()
    assert capsys.readouterr().out.endswith("\nReady. Next: make init, or make up\n")
