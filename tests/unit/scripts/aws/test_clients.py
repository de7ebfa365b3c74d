"""Who answers for AWS is said where it is not Amazon."""

from collections.abc import Iterator

import pytest

from scripts.aws import clients


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """No client of another test, none for the next one."""
    clients.forget()
    yield
    clients.forget()


def test_amazons_own_endpoint_is_no_rehearsal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert clients.rehearsal("eu-west-1") is None
    assert clients.rehearsal("cn-north-1") is None


def test_another_endpoint_is_said_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://10.77.1.1")
    said = "REHEARSAL: http://10.77.1.1 plays AWS. No account is touched, nothing is paid for."
    assert clients.rehearsal("eu-west-1") == said


def test_a_name_that_only_looks_like_amazons_is_said_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://notamazonaws.com")
    assert clients.rehearsal("eu-west-1") is not None
