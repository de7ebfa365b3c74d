"""Behind a jump host: SSH, Ansible, Fabric and tunnels all go through it, and none gets in past it."""

import json
import os
import socket
import subprocess
import threading
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
from paramiko import Transport

from scripts.cluster import Cluster, Host
from scripts.errors import HostError, InputError
from scripts.hosts import tunnels
from scripts.hosts.ssh import Hosts
from scripts.hosts.tunnels import Page
from tests.cluster.cluster import BIN, ROOT
from tests.doubles.fake_hosts import cluster_of
from tests.sandbox import handle
from tests.sandbox.kernel.firewall import Rule
from tests.sandbox.sandbox import ANYWHERE, Sandbox
from tests.waiting import wait_until

PORT = 8123


@pytest.fixture(scope="module")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Terraform folder of a checkout, with the cluster's key."""
    return tmp_path_factory.mktemp("checkout") / "terraform"


@pytest.fixture(scope="module")
def behind(sandbox: Sandbox, terraform: Path) -> Cluster:
    """A master that only the jump host reaches, as this machine's operator sees it."""
    key = handle.make_key(terraform)
    jump, master = sandbox.add_plain(["jump", "master"], key)
    for host in (jump, master):
        host.wait_until_ready()
    master.allow([Rule(True, "tcp", 22, 22, (f"{jump.address}/32",)), Rule(False, "-1", -1, -1, (ANYWHERE,))])
    handle.write(terraform, [master])
    known = terraform.parent / ".orchard" / handle.CLUSTER / "known_hosts"
    known.write_text(f"{master.address} {master.host_key()}\n")
    own = terraform / "persons_own_settings"
    own.write_text(f"Host *\n  IdentityFile {terraform}/id_ed25519\n  UserKnownHostsFile {terraform}/jump_known\n")
    (terraform / "jump_known").write_text(f"{jump.metadata.identity.public_ip} {jump.host_key()}\n")
    through = f"ssh -F {own} -a -x -o BatchMode=yes -W '[%h]:%p' ssh://admin@{jump.metadata.identity.public_ip}"
    there = Host("master", master.metadata.identity.instance_id, str(master.address), None)
    _tell_ansible(terraform, through, there)
    return replace(
        cluster_of(0),
        name=handle.CLUSTER,
        master=there,
        ssh_key_path=terraform / "id_ed25519",
        ssh_proxy_command=through,
    )


def _tell_ansible(terraform: Path, through: str, master: Host) -> None:
    file = terraform / "terraform.tfstate"
    state = json.loads(file.read_text())
    state["outputs"]["ssh_proxy_command"] = {"value": through, "type": "string"}
    state["outputs"]["master"]["value"]["public_ip"] = state["outputs"]["master"]["value"]["private_ip"] = (
        master.private_ip
    )
    file.write_text(json.dumps(state))


@pytest.fixture(autouse=True)
def pinned(terraform: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cluster, "known_hosts", terraform.parent / ".orchard" / handle.CLUSTER / "known_hosts")


def test_past_the_jump_host_nobody_gets_in(behind: Cluster) -> None:
    with Hosts(replace(behind, ssh_proxy_command=None), connect_seconds=2) as hosts, pytest.raises(HostError):
        hosts.run(behind.master, "true")


def test_fabric_and_openssh_go_through_it_to_the_pinned_host(behind: Cluster) -> None:
    with Hosts(behind) as hosts:
        assert hosts.run(behind.master, "hostname").out.strip() == "master"
        said = subprocess.run([*hosts.ssh_words(behind.master), "hostname"], capture_output=True, text=True, check=True)
        assert said.stdout.strip() == "master"


def test_ansible_goes_through_it_to_the_pinned_host(behind: Cluster, terraform: Path) -> None:
    done = subprocess.run(
        [BIN / "ansible", "all", "-m", "ansible.builtin.command", "-a", "hostname"],
        cwd=ROOT / "ansible",
        env=os.environ | {"ORCHARD_TERRAFORM": str(terraform), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "sandbox-master | CHANGED" in done.stdout, done.stdout + done.stderr
    assert done.stdout.strip().endswith("master")


def test_another_host_key_is_refused_through_it_too(behind: Cluster, terraform: Path) -> None:
    known = terraform.parent / ".orchard" / handle.CLUSTER / "known_hosts"
    pinned = known.read_text()
    known.write_text(pinned.replace(pinned.split()[2], (terraform / "id_ed25519.pub").read_text().split()[1]))
    try:
        with Hosts(behind) as hosts:
            with pytest.raises(HostError, match="shows another host key than the one pinned"):
                hosts.run(behind.master, "true")
            refused = subprocess.run(
                [*hosts.ssh_words(behind.master), "true"], capture_output=True, text=True, check=False
            )
        assert "Host key verification failed" in refused.stderr
    finally:
        known.write_text(pinned)
    # Whoever was refused leaves nobody here who goes on listening.
    wait_until(lambda: not [thread for thread in threading.enumerate() if isinstance(thread, Transport)], "its end")


def test_a_tunnel_goes_through_it_on_a_port_that_is_ssh_s_own(behind: Cluster) -> None:
    page, same = Page("A page", "127.0.0.1", PORT), Page("By another name", "localhost", PORT)
    with Hosts(behind) as hosts:
        serve = f"sudo systemd-run --quiet --unit=page --working-directory=/usr/share/doc python3 -m http.server {PORT}"
        hosts.run(behind.master, f"{serve} --bind 127.0.0.1; until ss -Hltn | grep -q :{PORT}; do sleep 0.1; done")
        with tunnels.opened(hosts, [page, same]) as (_, ports):
            assert len(set(ports)) == 2
            for port in ports:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as answer:
                    assert b"Directory listing" in answer.read()
        with socket.create_server(("127.0.0.1", 0)) as neighbour:
            taken = neighbour.getsockname()[1]
            with pytest.raises(InputError, match=rf"^Port {taken} of this machine is taken by another program"):
                tunnels.opened(hosts, [page], str(taken)).__enter__()
