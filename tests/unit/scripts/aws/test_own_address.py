"""From where SSH is opened: the person's own address, and what they set."""

from pathlib import Path

import pytest

from scripts.aws import own_address
from scripts.errors import InputError


def test_an_address_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "terraform.tfvars").write_text('cluster_name = "fruits"\n')
    monkeypatch.setenv("ORCHARD_TERRAFORM", str(tmp_path))
    with pytest.raises(InputError) as refused:
        own_address.admin_cidrs("my house")
    assert str(refused.value) == "my house is no IPv4 network: write it as 203.0.113.7/32."


def test_the_address_is_asked_for_only_where_none_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "terraform.tfvars").write_text('cluster_name = "fruits"\nadmin_cidrs = ["203.0.113.0/24"]\n')
    monkeypatch.setenv("ORCHARD_TERRAFORM", str(tmp_path))
    monkeypatch.setattr(own_address, "own_address", lambda: "198.51.100.9")
    assert own_address.admin_cidrs() == ["203.0.113.0/24", "198.51.100.9/32"]
    monkeypatch.setattr(own_address, "own_address", lambda: "203.0.113.9")
    assert own_address.admin_cidrs() == ["203.0.113.0/24"]
    assert own_address.admin_cidrs("198.51.100.0/24") == ["203.0.113.0/24", "198.51.100.0/24"]
