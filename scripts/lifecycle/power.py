"""`make stop` and `make start`: instances switched off and on; disks, private addresses and host keys stay."""

from typing import Any

from scripts import console, lock, tfvars
from scripts.aws import clients, prices
from scripts.aws.errors import aws_errors_as_sentences
from scripts.cluster import Cluster
from scripts.errors import InputError
from scripts.hosts import readiness
from scripts.lifecycle import summary
from scripts.runs import at_work
from scripts.terraform import outputs, workspace

STOP_SECONDS = 300


def stop() -> None:
    """Stop every instance. Asks when something is at work."""
    with lock.changing(tfvars.read()["cluster_name"], "stop"):
        cluster = outputs.current()
        if cluster.spot and cluster.workers:
            raise InputError(
                "Spot workers cannot be stopped, only given back: `make scale WORKERS=0` first, or `make down`."
            )
        if readiness.are_all(cluster, "stopped"):
            console.say(f"Cluster {cluster.name} is stopped already. Next: make start")
            return
        at_work.ask_before(cluster, "Stop the cluster all the same?")
        with console.phase("Stop") as under_way:
            ids = [host.id for host in cluster.hosts]
            with aws_errors_as_sentences("stop the instances"):
                _ec2(cluster).stop_instances(InstanceIds=ids)
            readiness.wait_for_state(cluster, "stopped", under_way)
            under_way.result = f"{len(ids)} hosts stopped"
    disks = prices.of_disks(cluster.region, len(cluster.hosts), cluster.root_volume_gb)
    console.say(
        f"While it is stopped, its disks cost {disks * prices.HOURS_PER_DAY:.2f} {prices.currency()} a day. "
        "Next: make start"
    )


def start() -> None:
    """Start every instance, learn the new addresses, and prove that the cluster works again."""
    with lock.changing(tfvars.read()["cluster_name"], "start"):
        cluster = outputs.current()
        with console.phase("Start") as under_way:
            started = start_stopped(cluster, under_way)
            under_way.result = f"{started} hosts started" if started else "all were running"
        cluster = outputs.current()
        readiness.connect(cluster)
        readiness.verify(cluster)
    summary.say(cluster)


def start_stopped(cluster: Cluster, under_way: console.Phase) -> int:
    """Start the hosts that are stopped, and have Terraform see their new addresses; gives how many there were."""
    now = readiness.states(cluster)
    off = [host for host in cluster.hosts if now[host.name] in ("stopped", "stopping")]
    if off:
        for host in off:
            under_way.note(f"starting {host.name}")
        with aws_errors_as_sentences("start the instances"):
            # EC2 starts nothing that is still on its way down.
            _ec2(cluster).get_waiter("instance_stopped").wait(
                InstanceIds=[host.id for host in off], WaiterConfig={"Delay": 1, "MaxAttempts": STOP_SECONDS}
            )
            _ec2(cluster).start_instances(InstanceIds=[host.id for host in off])
    readiness.wait_for_state(cluster, "running", under_way)
    if off:
        workspace.Workspace(cluster.name).refresh()
    return len(off)


def _ec2(cluster: Cluster) -> Any:
    return clients.client("ec2", cluster.region)
