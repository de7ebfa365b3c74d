"""`make bake` on real hosts: an image is a layer of a host that had booted, and has nothing of that host's own."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.operator import Operator, Typed
from tests.conftest import Need
from tests.sandbox.cloud import prepared_cloud

STAMP = "sudo ls -A /opt/orchard/venv | grep '^.lock-'"
# What Debian's image has of these, made by its packages.
EMPTY_LOGS = {"lastlog", "wtmp", "btmp", "faillog"}


@pytest.fixture(scope="module")
def operator(machine_for_hosts: None, need: Need, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """A person whose cluster has a master only, in a cloud of its own."""
    need(__import__("shutil").which("terraform"), "Terraform is not installed")
    with prepared_cloud() as cloud:
        yield Operator(tmp_path_factory.mktemp("operator"), cloud, "images", worker_count=0)


@pytest.fixture(scope="module")
def baked(operator: Operator) -> Typed:
    """How the bake ended, beside a cluster that is up."""
    operator.type("up")
    return operator.type("bake")


@pytest.fixture(scope="module")
def layers(operator: Operator, baked: Typed) -> dict[str, Path]:
    """The uppermost layer of each image by its id: what its host has written since it was made."""
    ids = re.findall(r"^\S+-debian12 +(ami-\w+) ", baked.out, re.MULTILINE)
    assert len(ids) == 2, baked.text
    return {image: operator.cloud.images[image][0] for image in ids}


def test_an_image_has_neither_keys_nor_names_nor_logs_of_the_host_that_it_was_made_of(
    operator: Operator, layers: dict[str, Path]
) -> None:
    for layer in layers.values():
        names = {str(path.relative_to(layer)) for path in layer.rglob("*")}
        logs = [path for path in layer.glob("var/log/**/*") if path.is_file() and path.name not in EMPTY_LOGS]
        assert [log.name for log in logs if log.stat().st_size] == []
        kept = (
            "etc/ssh/ssh_host",
            "home/admin/.ssh/",
            "home/admin/.ansible/",
            "var/lib/cloud/",
            "root/.ansible",
            "tmp/",
        )
        assert [name for name in names if name.startswith(kept) and (layer / name).is_file()] == []
        assert not any("etc/orchard/" in name or name.endswith("random-seed") for name in names)
        machine = layer / "etc/machine-id"
        assert not machine.exists() or machine.read_bytes() == b""


def test_no_byte_of_an_image_names_the_cluster_its_hosts_its_bucket_or_its_key(
    operator: Operator, layers: dict[str, Path]
) -> None:
    key = (operator.state / "id_ed25519.pub").read_text().split()[1]
    said = [key, operator.bucket, f"orchard-{operator.cluster_name}", str(operator.cloud.sandbox.run.network)[:-5]]  # type: ignore[union-attr]
    for layer in layers.values():
        words = [word for text in said for word in ("-e", text)]
        found = subprocess.run(["grep", "-rlIFa", *words, layer], capture_output=True, text=True, check=False).stdout
        assert found == ""


def test_a_worker_from_the_image_has_its_software_and_works(operator: Operator, layers: dict[str, Path]) -> None:
    with operator.other_settings(worker_count=1):
        up = operator.type("up")
        worker = operator.host("worker-1")
        assert worker.metadata.identity.image_id in layers
        assert f"Hosts start from image {worker.metadata.identity.image_id} (worker), baked 20" in up.out
        for task in ("Install Java", "Install the time service", "Install what makes the environment"):
            assert task not in ran(operator), task
        assert operator.alive() == 1
        # Another host than the one that it was made of, and than the other.
        ids = {operator.shell.must(operator.host(name), "cat /etc/machine-id") for name in ("master", "worker-1")}
        assert len(ids) == 2


def test_down_with_purge_leaves_neither_image_nor_snapshot(operator: Operator) -> None:
    operator.type("down", "--purge", YES="1")
    ec2 = operator.cloud.aws.client("ec2")
    assert ec2.describe_images(Owners=["self"])["Images"] == []
    assert (
        ec2.describe_snapshots(OwnerIds=["self"], Filters=[{"Name": "tag-key", "Values": ["Contents"]}])["Snapshots"]
        == []
    )
    assert operator.left() == []


def ran(operator: Operator) -> str:
    """Names of the tasks that changed something in the last playbook, as its log has them."""
    text = operator.log()
    return "\n".join(
        task
        for task, body in re.findall(r"^TASK \[(.*?)\][ *]*\n((?:(?!TASK \[).*\n)*)", text, re.M)
        if "changed:" in body
    )
