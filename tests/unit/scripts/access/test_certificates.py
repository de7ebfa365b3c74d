"""scripts.access.certificates: what one tool was told holds for all."""

from pathlib import Path

import pytest

from scripts.access import certificates


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Nobody has named any; two files that may be named."""
    for name in certificates.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    made = {}
    for name in ("system", "company"):
        (tmp_path / name).write_text(f"-----{name}-----")
        made[name] = str(tmp_path / name)
    return made


def test_where_none_are_named_nobody_is_told_any() -> None:
    assert (certificates.bundle(), certificates.environment()) == (None, {})


@pytest.mark.parametrize("variable", certificates.VARIABLES)
def test_a_file_that_one_tool_was_told_of_holds_for_all(
    variable: str, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, files["company"])
    told = {"SSL_CERT_FILE": files["company"], "AWS_CA_BUNDLE": files["company"]}
    assert (certificates.bundle(), certificates.environment()) == (files["company"], told)


def test_of_two_files_that_were_named_all_trust_both(files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    # As where a system's own setting stands beside the company's.
    for name in ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, files["system"])
    monkeypatch.setenv("AWS_CA_BUNDLE", files["company"])
    [of_terraform, of_aws] = certificates.environment().values()
    assert of_terraform == of_aws == certificates.bundle()
    assert Path(of_aws).read_text() == "-----company-----\n-----system-----\n"


def test_a_file_that_is_not_there_hides_no_other(files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", "/nowhere.pem")
    monkeypatch.setenv("SSL_CERT_FILE", files["system"])
    bundle = certificates.bundle()
    assert bundle
    assert Path(bundle).read_text() == "-----system-----\n"
