"""Terraform on this machine, an AWS for it, and working copies of the configuration."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Need
from tests.doubles.aws.double import AwsDouble
from tests.doubles.aws.provider_mirror import cli_config
from tests.terraform.configuration import Configuration

Make = Callable[..., Configuration]

# Lifecycle rules take a minute to settle, in AWS as in the double: only the story of a whole cluster has them.
QUICK = {"owner": "tester", "admin_cidrs": ["203.0.113.7/32"], "bucket_lifecycle": False}


@pytest.fixture(scope="session")
def terraform_environment(need: Need, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What lets `terraform` install the provider here."""
    need(shutil.which("terraform"), "Terraform is not installed")
    return cli_config(tmp_path_factory.mktemp("terraform-rc"))


@pytest.fixture(scope="session")
def aws() -> Iterator[AwsDouble]:
    """One AWS for all tests; each cluster in it has a name of its own."""
    with AwsDouble() as double:
        yield double


@pytest.fixture(scope="session")
def public_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh key pair's public half."""
    key = tmp_path_factory.mktemp("keys") / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    return key.with_suffix(".pub")


@pytest.fixture(scope="session")
def make_configuration(
    terraform_environment: dict[str, str], public_key: Path, tmp_path_factory: pytest.TempPathFactory
) -> Make:
    """Makes a working copy for a cluster of that name in that AWS, not yet initialised."""

    def make(aws: AwsDouble, cluster_name: str, **variables: Any) -> Configuration:
        folder = tmp_path_factory.mktemp(cluster_name) / "terraform"
        given = {"cluster_name": cluster_name, "ssh_public_key_path": str(public_key)} | QUICK | variables
        return Configuration(folder, aws.environment() | terraform_environment, **given)

    return make


@pytest.fixture(scope="session", autouse=True)
def early(request: pytest.FixtureRequest, make_configuration: Make, aws: AwsDouble) -> Iterator[dict[str, Future[Any]]]:
    """Applies that mostly wait, begun at once and used when their turn comes: each module's `begin_early`."""
    modules = {item.module for item in request.session.items if hasattr(item.module, "begin_early")}
    with ThreadPoolExecutor(max_workers=len(modules) or 1) as pool:
        yield {module.__name__: pool.submit(module.begin_early, make_configuration, aws) for module in modules}
