"""A sandbox for the tests, where this machine can have one."""

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cluster import reference
from tests.cluster.operator import Operator
from tests.conftest import Need
from tests.doubles import opening_proxy
from tests.sandbox import handle, machine
from tests.sandbox.cloud import prepared_cloud
from tests.sandbox.machine import SandboxError
from tests.sandbox.sandbox import Sandbox
from tests.sandbox.ssh import Shell


@pytest.fixture(scope="session", autouse=True)
def machine_for_hosts(need: Need) -> None:
    """These tests need a machine that can have hosts."""
    try:
        machine.check()
    except SandboxError as error:
        need(False, str(error))


@pytest.fixture(scope="session")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """SSH with a key that every host of the tests takes."""
    folder = tmp_path_factory.mktemp("ssh")
    handle.make_key(folder)
    return Shell(folder / "id_ed25519")


@pytest.fixture(scope="session")
def public_key(shell: Shell) -> str:
    """The public half of that key."""
    return shell.key.with_suffix(".pub").read_text().strip()


@pytest.fixture(scope="module")
def sandbox(machine_for_hosts: None) -> Iterator[Sandbox]:
    """A sandbox without hosts."""
    with Sandbox() as made:
        yield made


@pytest.fixture(scope="session")
def operator(machine_for_hosts: None, need: Need, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """A person with a checkout and an AWS of their own, real hosts behind it; no cluster is up yet."""
    need(shutil.which("terraform"), "Terraform is not installed")
    with prepared_cloud() as cloud:
        # Another name on demand, such as people's folders have and as programs that quote badly take amiss.
        folder = tmp_path_factory.mktemp("operator") / os.environ.get("ORCHARD_FOLDER", "laptop")
        folder.mkdir()
        yield Operator(folder, cloud)


@pytest.fixture(scope="session")
def company(operator: Operator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A laptop in a company: AWS is there by TLS alone, which a proxy opens with a CA of its own, and only by it."""
    assert operator.cloud.sandbox.run
    authority = opening_proxy.Authority(tmp_path_factory.mktemp("company"))
    address, double = str(operator.cloud.sandbox.run.gateway), urlsplit(operator.cloud.aws.endpoint_url)
    assert double.hostname
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with opening_proxy.serving(listener, authority, {address: (double.hostname, double.port or 80)}):
            by_tls = {
                name: value.replace(operator.cloud.aws.endpoint_url, f"https://{address}")
                for name, value in operator.environment.items()
                if name.startswith("AWS_ENDPOINT_URL")
            }
            yield {
                **dict.fromkeys(("HTTPS_PROXY", "https_proxy"), proxy),
                **dict.fromkeys(("NO_PROXY", "no_proxy", "HTTP_PROXY", "http_proxy"), ""),
                **by_tls,
                "AWS_CA_BUNDLE": str(authority.file),
            }


@pytest.fixture(scope="session")
def whole(operator: Operator) -> None:
    """A cluster that is up: the tests of its beginning have left one, where they were chosen."""
    if not any(thing.startswith("instance ") for thing in operator.left()):
        operator.type("up")


@pytest.fixture(scope="session")
def pictures(fruits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 real pictures, in one folder a class."""
    folder = tmp_path_factory.mktemp("pictures")
    reference.lay_out(fruits, folder)
    return folder


@pytest.fixture(scope="session")
def local_run(pictures: Path, imagenet_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The job on this machine over the same pictures."""
    return reference.run_here(pictures, imagenet_weights, tmp_path_factory.mktemp("local"))
