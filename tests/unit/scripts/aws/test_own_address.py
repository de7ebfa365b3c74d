"""From where SSH is opened: the person's own address, and what they set."""

import io
import urllib.error
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


def test_the_address_is_the_one_that_aws_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: io.BytesIO(b"203.0.113.7\n"))
    assert own_address.own_address() == "203.0.113.7"


def test_an_answer_that_is_no_address_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: io.BytesIO(b"<html>log in"))
    with pytest.raises(InputError, match=r"gives no IPv4 address \(<html>log in\): give your address yourself"):
        own_address.own_address()


@pytest.mark.parametrize("known", [True, False])
def test_without_an_answer_the_networks_that_are_set_are_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], known: bool
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    monkeypatch.setenv("ORCHARD_TERRAFORM", str(tmp_path))
    networks = 'admin_cidrs = ["203.0.113.0/24"]\n' if known else ""
    (tmp_path / "terraform.tfvars").write_text(f'cluster_name = "fruits"\n{networks}')
    if known:
        assert own_address.admin_cidrs() == ["203.0.113.0/24"]
        assert "(no route)" in capsys.readouterr().err
    else:
        with pytest.raises(InputError, match="does not tell this machine's address"):
            own_address.admin_cidrs()


def test_who_comes_over_a_jump_host_names_its_network_and_nobodys_address_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHARD_TERRAFORM", str(tmp_path))
    monkeypatch.setattr(own_address, "own_address", lambda: pytest.fail("this machine logs in nowhere"))
    settings = tmp_path / "terraform.tfvars"
    settings.write_text('cluster_name = "fruits"\nssh_proxy_jump = "me@jump"\nadmin_cidrs = ["203.0.113.0/24"]\n')
    assert own_address.admin_cidrs() == ["203.0.113.0/24"]
    settings.write_text('cluster_name = "fruits"\nssh_proxy_jump = "me@jump"\n')
    with pytest.raises(InputError, match=r"^ssh_proxy_jump leads over me@jump: name the network .* in admin_cidrs\.$"):
        own_address.admin_cidrs()
