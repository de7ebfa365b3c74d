"""A cluster and its hosts, as everything that works on one is given them."""

from dataclasses import dataclass
from pathlib import Path

from scripts import tfvars
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
class Limits:
    """When a cluster ends by itself: minutes with nothing at work, hours of age; 0 is never."""

    idle_minutes: float
    max_age_hours: float


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
    ssh_proxy_command: str | None
    iam_user: str | None
    master_type: str
    worker_type: str
    spot: bool
    root_volume_gb: int
    ends: Limits
    tags: dict[str, str]

    @property
    def hosts(self) -> tuple[Host, ...]:
        """The master, then the workers in order."""
        return (self.master, *self.workers)

    @property
    def known_hosts(self) -> Path:
        """The file in which the hosts' keys are pinned, where Ansible's inventory looks too."""
        # Never beside the key: that may lie in ~/.ssh, whose known_hosts is the person's.
        return self.folder / "known_hosts"

    @property
    def folder(self) -> Path:
        """Where this machine keeps what belongs to the cluster."""
        return tfvars.state_folder(self.name)

    def host(self, name: str) -> Host:
        """The host of that name. Raises NoClusterError."""
        for host in self.hosts:
            if host.name == name:
                return host
        names = ", ".join(host.name for host in self.hosts)
        raise NoClusterError(f"Cluster {self.name} has no host {name}: it has {names}.")
