"""scripts.cluster: what belongs to a cluster lies in the cluster's folder."""

from dataclasses import replace
from pathlib import Path

import pytest

from scripts.cluster import Cluster, Host
from scripts.hosts import host_keys

CLUSTER = Cluster(
    name="fruits",
    region="eu-west-1",
    bucket="bucket",
    master=Host("master", "i-0", "10.0.0.10", "1.2.3.4"),
    workers=(),
    ssh_user="admin",
    ssh_key_path=Path("key"),
    iam_user="person",
    master_type="m6i.large",
    worker_type="c6i.2xlarge",
    spot=False,
    root_volume_gb=30,
    tags={},
)


def test_a_key_in_the_persons_ssh_folder_leaves_their_known_hosts_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHARD_TERRAFORM", str(tmp_path / "checkout" / "terraform"))
    theirs = tmp_path / ".ssh" / "known_hosts"
    theirs.parent.mkdir()
    theirs.write_text("1.2.3.4 ssh-ed25519 AAAAtheirs\n")
    cluster = replace(CLUSTER, ssh_key_path=theirs.with_name("id_ed25519"))
    host_keys.write(cluster.known_hosts, cluster.hosts, {"i-0": ["ssh-ed25519 AAAAours"]})
    assert theirs.read_text() == "1.2.3.4 ssh-ed25519 AAAAtheirs\n"
    ours = tmp_path / "checkout" / ".orchard" / "fruits" / "known_hosts"
    assert ours.read_text() == "i-0,1.2.3.4 ssh-ed25519 AAAAours\n"
