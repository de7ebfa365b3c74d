"""Pinning host keys: hosts show them on their consoles, and late."""

from pathlib import Path

import pytest

from scripts.cluster import Cluster, Host
from scripts.console import Phase
from scripts.errors import HostError, HostKeyError
from scripts.hosts import host_keys
from tests.doubles.fake_hosts import cluster_of
from tests.unit.scripts.hosts.test_host_keys import ED25519, OTHER, PRINTED

CLUSTER = cluster_of()
MASTER, WORKER = CLUSTER.hosts


def console(key: str) -> str:
    return f"-----BEGIN SSH HOST KEY KEYS-----\nssh-ed25519 {key} root@host\n-----END SSH HOST KEY KEYS-----\n"


@pytest.fixture
def known_hosts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(Cluster, "known_hosts", tmp_path / "known_hosts")
    monkeypatch.setattr(host_keys, "PAUSE_SECONDS", 0.0)
    return tmp_path / "known_hosts"


def consoles(monkeypatch: pytest.MonkeyPatch, **shown: list[str]) -> list[str]:
    """Have hosts show this on their consoles, look by look; gives whose console was looked at."""
    looked: list[str] = []

    def look(region: str, host: Host) -> str:
        assert region == CLUSTER.region
        looked.append(host.name)
        return shown[host.name.partition("-")[0]].pop(0)

    monkeypatch.setattr(host_keys, "console_of", look)
    return looked


def test_consoles_are_looked_at_until_each_host_has_shown_its_key(
    known_hosts: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looked = consoles(monkeypatch, master=[console("M")], worker=["booting", console("W")])
    assert host_keys.pin(CLUSTER, Phase("Host keys", None)) == 2
    assert known_hosts.read_text() == "i-00,198.51.100.5 ssh-ed25519 M\ni-01,198.51.100.6 ssh-ed25519 W\n"
    assert looked == ["master", "worker-1", "worker-1"]
    assert capsys.readouterr().out == "  waiting for worker-1 to show the host key on the console\n"
    # From then on no console is looked at.
    assert host_keys.pin(CLUSTER, Phase("Host keys", None)) == 0


def test_a_host_that_never_shows_its_key_is_named_and_the_others_are_pinned(
    known_hosts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_keys, "CONSOLE_SECONDS", 0)
    consoles(monkeypatch, master=[console("M")], worker=["booting"])
    with pytest.raises(HostError, match=r"^worker-1 has not shown its host key on its console within 0 minutes: look "):
        host_keys.pin(CLUSTER, Phase("Host keys", None))
    assert known_hosts.read_text() == "i-00,198.51.100.5 ssh-ed25519 M\n"
    assert host_keys.unpinned(CLUSTER) == [WORKER]


def test_keys_that_contradict_their_fingerprints_are_not_pinned(
    known_hosts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    consoles(monkeypatch, master=[console("M")], worker=[PRINTED.replace(ED25519, OTHER)])
    with pytest.raises(HostKeyError) as refused:
        host_keys.pin(CLUSTER, Phase("Host keys", None))
    assert refused.value.code == 5
    said = str(refused.value)
    assert said.startswith("The host keys on the console of worker-1 are not to be trusted (an ED25519 key of SHA256:")
    assert "and none was pinned: reboot i-01 in AWS, which has it print them anew, then `make up`;" in said
    assert not known_hosts.exists()
