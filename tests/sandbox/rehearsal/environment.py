"""What a shell needs so that this checkout's own commands work on the sandbox's cloud, their state kept apart."""

import getpass
import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from scripts.tfvars import Value, literal
from tests.doubles.aws.provider_mirror import cli_config
from tests.sandbox.cloud import Cloud

ROOT = Path(__file__).resolve().parents[3]
# What would lead elsewhere than to the sandbox's cloud.
FOREIGN = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL_S3",
    "TF_WORKSPACE",
    "TF_DATA_DIR",
)
TFVARS = """\
# The settings of a rehearsal. `make init` changes them, as it does those of a real cluster.
"""


def variables(
    folder: Path, cloud: Cloud, checkout: Path, spark_environment: Mapping[str, str] = MappingProxyType({}), **more: Any
) -> dict[str, str]:
    """The environment variables: AWS is the cloud's double, and hosts reach their S3 and their keeper's AWS there, too.

    Files that they name are written into `folder`; `more` are variables for Ansible, `spark_environment` is one of
    them, added to what leads to S3.
    """
    inventory = folder / "variables.yml"  # JSON is YAML, too
    spark = {"AWS_ENDPOINT_URL_S3": cloud.aws.endpoint_url, "AWS_ALLOW_HTTP": "true", **spark_environment}
    keeper = {"AWS_ENDPOINT_URL": cloud.aws.endpoint_url}
    led = {"spark_environment": spark, "keeper_environment": keeper}
    inventory.write_text(json.dumps({"all": {"vars": more | led}}))
    return {
        **cloud.aws.environment(),
        **cli_config(folder),
        # The address of S3 comes to Ansible as one more inventory.
        "ANSIBLE_INVENTORY": f"{checkout / 'ansible/inventory.py'},{inventory}",
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "aws-credentials"),
        "AWS_CONFIG_FILE": str(folder / "aws-config"),
    }


def write(folder: Path, cloud: Cloud) -> dict[str, str]:
    """A Terraform folder of its own, linked to the checkout's, and `environment` to source; gives what that sets."""
    assert cloud.sandbox.run
    run = cloud.sandbox.run
    terraform = folder / "terraform"
    terraform.mkdir()
    for file in (ROOT / "terraform").iterdir():
        if file.suffix == ".tf" or file.name in (".terraform.lock.hcl", "terraform.tfvars.example"):
            (terraform / file.name).symlink_to(file)
    settings: dict[str, Value] = {
        "cluster_name": "rehearsal",
        "owner": getpass.getuser(),
        # The only network that this machine's hosts can be in.
        "vpc_cidr": str(run.network),
        # Lifecycle rules take a minute to settle, in AWS as here.
        "bucket_lifecycle": False,
    }
    text = "".join(f"{name} = {literal(value)}\n" for name, value in settings.items())
    (terraform / "terraform.tfvars").write_text(TFVARS + text)
    own = f"{run.network},{run.public_network}"
    proxied = {name: f"{os.environ[name]},{own}" for name in ("NO_PROXY", "no_proxy") if os.environ.get(name)}
    chosen = variables(folder, cloud, ROOT) | {"ORCHARD_TERRAFORM": str(terraform)} | proxied
    (folder / "environment").write_text(_script(chosen))
    return chosen


def outside(chosen: dict[str, str]) -> dict[str, str]:
    """This process's environment, changed as the sourced file changes a shell's."""
    foreign = (*FOREIGN, "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")
    return {name: value for name, value in os.environ.items() if name not in foreign} | chosen


def _script(chosen: dict[str, str]) -> str:
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in chosen.items())
    return (
        "# Source this in a shell: its make commands then work on the cloud that runs on this machine.\n"
        f"unset {' '.join(FOREIGN)}\n{exports}"
        'PS1="(rehearsal) ${PS1-}"\n'
    )
