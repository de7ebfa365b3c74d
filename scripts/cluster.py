"""What cluster there is, as Terraform's outputs tell it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts import settings, terraform
from scripts.errors import NoClusterError


@dataclass(frozen=True)
class Host:
    """A host: `name` is `master` or `worker-1` and so on; `public_ip` is None where it has none, as when stopped."""

    name: str
    id: str
    private_ip: str
    public_ip: str | None

    @property
    def address(self) -> str:
        """Where SSH goes to."""
        return self.public_ip or self.private_ip


@dataclass(frozen=True)
class Cluster:
    """A cluster that is up, or was when Terraform last looked."""

    name: str
    region: str
    bucket: str
    master: Host
    workers: tuple[Host, ...]
    ssh_user: str
    ssh_key_path: Path
    iam_user: str
    master_type: str
    worker_type: str
    spot: bool
    root_volume_gb: int
    tags: dict[str, str]

    @property
    def hosts(self) -> tuple[Host, ...]:
        """The master, then the workers in order."""
        return (self.master, *self.workers)

    @property
    def known_hosts(self) -> Path:
        """The file in which the hosts' keys are pinned, where Ansible's inventory looks too."""
        return self.ssh_key_path.parent / "known_hosts"

    @property
    def folder(self) -> Path:
        """Where this machine keeps what belongs to the cluster."""
        return settings.state_folder(self.name)

    def host(self, name: str) -> Host:
        """The host of that name. Raises NoClusterError."""
        for host in self.hosts:
            if host.name == name:
                return host
        names = ", ".join(host.name for host in self.hosts)
        raise NoClusterError(f"Cluster {self.name} has no host {name}: it has {names}.")


def current() -> Cluster:
    """The cluster that terraform.tfvars names. Raises InputError without settings, NoClusterError when it is not up."""
    name = settings.read()["cluster_name"]
    outputs = terraform.outputs(name)
    if not outputs.get("master"):
        raise NoClusterError(f"No cluster is up by the name {name}: run `make up`.")
    # Terraform tells nothing of workers while one of them could not be made.
    if "workers" not in outputs:
        raise NoClusterError(f"Cluster {name} is half made: `make up` goes on with it, `make down` takes it away.")
    return from_outputs(outputs)


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
        iam_user=outputs["iam_user_name"],
        master_type=outputs["master_instance_type"],
        worker_type=outputs["worker_instance_type"],
        spot=outputs["worker_spot"],
        root_volume_gb=outputs["root_volume_gb"],
        tags=outputs["tags"],
    )
