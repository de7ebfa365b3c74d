"""What a task that leaves a cluster running ends with."""

from scripts import console
from scripts.cluster import Cluster
from scripts.money import bounds


def say(cluster: Cluster) -> None:
    """Where the cluster is, what it costs, what to do next."""
    console.say()
    for host in cluster.hosts:
        console.say(f"{host.name:<{console.NAME_WIDTH}}{host.address:<16} {host.private_ip:<16} {host.id}")
    console.say(f"{'bucket':<{console.NAME_WIDTH}}s3://{cluster.bucket}")
    price, *more = bounds.of_running(cluster)
    console.say(f"{'price':<{console.NAME_WIDTH}}{price}")
    for line in more:
        console.say(f"{'':<{console.NAME_WIDTH}}{line}")
    console.say()
    console.say("Next: make upload DATA=folder, then make run. When you are done: make down")
