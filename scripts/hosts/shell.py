"""A shell on a host for the person at this terminal."""

from invoke.exceptions import Exit

from scripts.cluster import Cluster
from scripts.hosts.ssh import Hosts


def open_shell(cluster: Cluster, name: str) -> None:
    """Log in to the host of that name. Raises NoClusterError without one, Exit with the shell's own code."""
    host = cluster.host(name)
    with Hosts(cluster) as hosts:
        # Says in a sentence why it cannot be reached, which OpenSSH does not.
        hosts.run(host, "true")
        code = hosts.shell(host)
    if code:
        raise Exit(code=code)
