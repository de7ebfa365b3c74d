"""What AWS's API can do for a host that no longer answers: say what it finds, reboot it, switch it off and on."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from scripts.access.errors import aws_errors_as_sentences
from scripts.aws import clients
from scripts.cluster import Cluster, Host
from scripts.hosts import readiness
from scripts.waiting import wait_until

# A host that does not hear it is cut off by AWS within some minutes.
OFF_SECONDS = 600
# Four minutes or so after it was asked for, AWS cuts off a host that did not hear it; then that boots.
REBOOT_SECONDS = 480


def impaired(cluster: Cluster, hosts: Sequence[Host]) -> set[str]:
    """Names of those of these hosts, all of which run, whose status checks AWS finds failed."""
    names = {host.id: host.name for host in hosts}
    with aws_errors_as_sentences("say how the instances are"):
        answer = _ec2(cluster).describe_instance_status(InstanceIds=list(names))
    return {
        names[status["InstanceId"]]
        for status in answer["InstanceStatuses"]
        if "impaired" in (status["InstanceStatus"]["Status"], status["SystemStatus"]["Status"])
    }


def launched_within(cluster: Cluster, hosts: Sequence[Host], seconds: float) -> list[Host]:
    """Those of these hosts that were launched or started so few seconds ago that they may be booting yet."""
    since = datetime.now(UTC) - timedelta(seconds=seconds)
    known = readiness.described(cluster)
    return [host for host in hosts if host.name in known and known[host.name]["LaunchTime"] > since]


def reboot(cluster: Cluster, hosts: Sequence[Host]) -> None:
    """Have them reboot; one that does not hear it is cut off by AWS after some minutes."""
    with aws_errors_as_sentences("reboot the instances"):
        _ec2(cluster).reboot_instances(InstanceIds=[host.id for host in hosts])


def end(cluster: Cluster, hosts: Sequence[Host], for_good: bool) -> None:
    """Stop them, or with `for_good` give them back."""
    ids = [host.id for host in hosts]
    with aws_errors_as_sentences("end the instances"):
        if for_good:
            _ec2(cluster).terminate_instances(InstanceIds=ids)
        else:
            _ec2(cluster).stop_instances(InstanceIds=ids)


def switch_off_and_on(cluster: Cluster, hosts: Sequence[Host]) -> bool:
    """Stop them by force and start them, which puts them on other hardware; False where they do not get there."""
    ids = [host.id for host in hosts]
    with aws_errors_as_sentences("stop the instances"):
        _ec2(cluster).stop_instances(InstanceIds=ids, Force=True)
    return _come_to(cluster, hosts, "stopped") and switch_on(cluster, hosts)


def switch_on(cluster: Cluster, hosts: Sequence[Host]) -> bool:
    """Start those that are stopped; False where they do not come to run."""
    with aws_errors_as_sentences("start the instances"):
        _ec2(cluster).start_instances(InstanceIds=[host.id for host in hosts])
    return _come_to(cluster, hosts, "running")


def _come_to(cluster: Cluster, hosts: Sequence[Host], state: str) -> bool:
    def are_there() -> bool:
        now = readiness.states(cluster)
        return all(now[host.name] == state for host in hosts)

    return wait_until(are_there, seconds=OFF_SECONDS, every=readiness.PAUSE_SECONDS)


def _ec2(cluster: Cluster) -> Any:
    return clients.client("ec2", cluster.region)
