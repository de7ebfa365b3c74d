"""Hosts that cannot become a cluster: the playbook says so in one sentence, before it changes anything."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.sandbox import handle
from tests.sandbox.host import Host
from tests.sandbox.sandbox import MIB, Sandbox

ENOUGH, TOO_LITTLE = 2048 * MIB, 512 * MIB


@pytest.fixture(scope="module")
def plan(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Cluster]:
    """Hosts with so much memory each, as a cluster that is yet to be made."""
    folder = tmp_path_factory.mktemp("preflight") / "terraform"
    key = handle.make_key(folder)

    def planned(**memory: int) -> Cluster:
        hosts = [sandbox.add_plain([name], key, memory=size)[0] for name, size in memory.items()]
        for host in hosts:
            host.wait_until_ready()
        return Cluster(sandbox, folder, hosts, "none", {})

    return planned


@pytest.fixture(scope="module")
def fit(plan: Callable[..., Cluster]) -> Cluster:
    """A master and a worker that have all they need, and nothing on them."""
    return plan(master=ENOUGH, fit=ENOUGH)


@pytest.fixture(scope="module")
def small(plan: Callable[..., Cluster], fit: Cluster) -> Cluster:
    """The same master with a worker that is too small."""
    worker = plan(small=TOO_LITTLE).hosts[0]
    return Cluster(fit.sandbox, fit.folder, [fit.master, worker], "none", {})


def refusal(cluster: Cluster, *words: str) -> str:
    """What the playbook says when it refuses, having changed nothing on any host."""
    before = [changes(host) for host in cluster.hosts]
    played = cluster.play(*words)
    assert played.code != 0, played.text
    assert set(played.changed.values()) == {0}, played.text
    assert [changes(host) for host in cluster.hosts] == before
    return " ".join(played.text.split())


def changes(host: Host) -> set[Path]:
    """Files below /etc, /opt and /usr that the host has beside its image's."""
    upper = host.folder / "upper"
    return {path for part in ("etc", "opt", "usr") for path in (upper / part).rglob("*")}


def test_a_worker_with_too_little_memory_is_refused(small: Cluster) -> None:
    sentence = refusal(small)
    assert "sandbox-small has 512 MB of memory and a worker needs 1800" in sentence
    assert "choose a larger type, worker_instance_types in terraform.tfvars." in sentence


def test_another_debian_release_is_refused(fit: Cluster) -> None:
    worker = fit.workers[0]
    before = fit.shell.must(worker, "cat /etc/debian_version")
    # The first is a link; this makes it a file of its own.
    fit.shell.must(worker, "sudo sed -i 's/12/11/g; s/bookworm/bullseye/g' /etc/os-release /etc/debian_version")
    sentence = refusal(fit)
    fit.shell.must(worker, f"sudo ln -sf ../usr/lib/os-release /etc; echo {before} | sudo tee /etc/debian_version")
    assert "sandbox-fit runs Debian 11 and Orchard needs Debian 12" in sentence
    assert "leave ami_id out of terraform.tfvars or name such an image." in sentence


def test_a_missing_lock_file_is_named(fit: Cluster, tmp_path: Path) -> None:
    sentence = refusal(fit, "--extra-vars", f"environment_lock={tmp_path / 'nodes.txt'}")
    assert f"There is no lock file {tmp_path / 'nodes.txt'}: run `make lock`" in sentence


def test_a_full_disk_is_refused(fit: Cluster) -> None:
    sentence = refusal(fit, "--extra-vars", '{"environment_free_mb": 100000000}')
    assert "MB of disk free and the environment needs 100000000: raise root_volume_gb in terraform.tfvars." in sentence


def test_a_worker_that_the_security_group_cuts_off_is_told(fit: Cluster, sandbox: Sandbox) -> None:
    worker = fit.workers[0]
    # Only SSH from outside is left.
    worker.allow(sandbox.plain_rules()[:1])
    sentence = refusal(fit)
    worker.allow(sandbox.plain_rules())
    assert (
        f"sandbox-fit does not reach the master at {fit.master.address}: check that both are in the same subnet"
        in sentence
    )
