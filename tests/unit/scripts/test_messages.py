"""What the operator is told when Ansible says no: word for word."""

from pathlib import Path

import pytest

from scripts import console
from scripts.errors import ConfigurationError, HostError
from scripts.hosts import ansible

LOG = Path("the.log")


@pytest.fixture(autouse=True)
def log_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "log_file", lambda: LOG)


def test_a_host_that_ansible_cannot_configure_is_named_with_the_task() -> None:
    text = """
PLAY [Make each host a Spark node] *****
TASK [environment : Require room for it] *****
fatal: [fruits-worker-2]: FAILED! =>
    assertion: x >= y
    changed: false
    msg: >-
        fruits-worker-2 has 3000 MB of disk free and the environment
        needs 6000: raise root_volume_gb in terraform.tfvars.
PLAY RECAP *****
"""
    told = ansible.explain(text)
    assert isinstance(told, ConfigurationError)
    assert str(told) == (
        "worker-2 could not be configured at `Require room for it`: fruits-worker-2 has 3000 MB of disk free and the "
        "environment needs 6000: raise root_volume_gb in terraform.tfvars. `make up` again goes on from there; the "
        "whole story: the.log"
    )


def test_a_host_that_ansible_does_not_reach_is_named() -> None:
    text = (
        "TASK [Gather]\nfatal: [fruits-master]: UNREACHABLE! =>\n    changed: false\n    msg: 'Connection timed out'\n"
    )
    told = ansible.explain(text)
    assert isinstance(told, HostError)
    assert str(told) == "master could not be reached by Ansible (Connection timed out): `make up` again goes on."
