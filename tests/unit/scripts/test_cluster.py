"""scripts.cluster: what belongs to a cluster lies in the cluster's folder."""

from pathlib import Path

import pytest

from scripts.hosts import host_keys
from tests.doubles.fake_hosts import cluster_of


def test_a_key_in_the_persons_ssh_folder_leaves_their_known_hosts_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHARD_TERRAFORM", str(tmp_path / "checkout" / "terraform"))
    theirs = tmp_path / ".ssh" / "known_hosts"
    theirs.parent.mkdir()
    theirs.write_text("1.2.3.4 ssh-ed25519 AAAAtheirs\n")
    cluster = cluster_of(workers=0, folder=theirs.parent)
    host_keys.write(cluster.known_hosts, cluster.hosts, {"i-00": ["ssh-ed25519 AAAAours"]})
    assert theirs.read_text() == "1.2.3.4 ssh-ed25519 AAAAtheirs\n"
    ours = tmp_path / "checkout" / ".orchard" / "fruits" / "known_hosts"
    assert ours.read_text() == "i-00,198.51.100.5 ssh-ed25519 AAAAours\n"
