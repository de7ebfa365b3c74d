"""The cluster that Terraform's outputs describe."""

import os
from pathlib import Path
from typing import Any

from scripts import tfvars
from scripts.aws import clients
from scripts.cluster import Cluster, Host, Limits
from scripts.errors import MissingError, NoClusterError
from scripts.terraform import workspace


def current() -> Cluster:
    """The cluster that terraform.tfvars names. Raises InputError without settings, NoClusterError when it is not up."""
    name = tfvars.read()["cluster_name"]
    outputs = workspace.Workspace(name).outputs()
    _refuse_another_account(outputs)
    if not outputs.get("master"):
        raise NoClusterError(f"No cluster is up by the name {name}: run `make up`.")
    # Terraform tells nothing of workers while one of them could not be made.
    if "workers" not in outputs:
        raise NoClusterError(f"Cluster {name} is half made: `make up` goes on with it, `make down` takes it away.")
    return from_outputs(outputs)


def check_account(name: str) -> None:
    """Raise MissingError where the cluster of that name is in another account than the credentials in force are of."""
    _refuse_another_account(workspace.Workspace(name).outputs())


def _refuse_another_account(outputs: dict[str, Any]) -> None:
    """Of a cluster in another account AWS says that nothing is there, and Terraform would make it once more."""
    # What an earlier Orchard applied does not say where it is.
    made_in = outputs.get("account")
    if made_in and (own := clients.account(outputs["region"])) != made_in:
        profile = os.environ.get("AWS_PROFILE")
        of = f"profile {profile}" if profile else "your credentials"
        raise MissingError(
            f"Cluster {outputs['cluster_name']} is in AWS account {made_in}, and {of} in {own}: choose the profile of "
            f"{made_in} (AWS_PROFILE=name), or another cluster_name in terraform.tfvars. Nothing was touched."
        )


def from_outputs(outputs: dict[str, Any]) -> Cluster:
    """The cluster that these outputs describe."""
    return Cluster(
        name=outputs["cluster_name"],
        region=outputs["region"],
        bucket=outputs["bucket"],
        master=Host(**outputs["master"]),
        workers=tuple(Host(**worker) for worker in outputs["workers"]),
        ssh_user=outputs["ssh_user"],
        ssh_key_path=Path(outputs["ssh_key_path"]),
        # Terraform has no output that is null.
        ssh_proxy_command=outputs.get("ssh_proxy_command"),
        # Terraform has no output that is null.
        iam_user=outputs.get("iam_user_name"),
        master_type=outputs["master_instance_type"],
        worker_type=outputs["worker_instance_type"],
        spot=outputs["worker_spot"],
        root_volume_gb=outputs["root_volume_gb"],
        ends=_limits(outputs),
        tags=outputs["tags"],
    )


def _limits(outputs: dict[str, Any]) -> Limits:
    # A cluster that an earlier Orchard applied has none until the next `make up`.
    ends = outputs.get("ends") or {"idle_minutes": 0, "max_age_hours": 0}
    return Limits(ends["idle_minutes"], ends["max_age_hours"])
