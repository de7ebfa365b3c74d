"""What a task that leaves a cluster running ends with."""

from scripts import console
from scripts.aws import prices
from scripts.cluster import Cluster


def say(cluster: Cluster) -> None:
    """Where the cluster is, what it costs, what to do next."""
    console.say()
    for host in cluster.hosts:
        console.say(f"{host.name:<{console.NAME_WIDTH}}{host.address:<16} {host.private_ip:<16} {host.id}")
    console.say(f"{'bucket':<{console.NAME_WIDTH}}s3://{cluster.bucket}")
    console.say(f"{'price':<{console.NAME_WIDTH}}{prices.of(cluster) or 'not known for these types'}")
    console.say()
    console.say("Next: make upload DATA=folder, then make run. When you are done: make down")
