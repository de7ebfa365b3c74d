"""The end of a cluster's ledger: `make down` closes what is open in it, and tells what the cluster's life has cost."""

from datetime import UTC, datetime

from scripts import console
from scripts.access.errors import aws_errors_as_sentences
from scripts.aws import clients, resources
from scripts.aws.bucket import Bucket
from scripts.cluster import Cluster
from scripts.errors import AwsError, MissingError
from scripts.money import ledger, reckoning


def ran_until(cluster: Cluster) -> datetime | None:
    """Until when the master ran or runs, asked while it can be; None where nobody knows."""
    try:
        with aws_errors_as_sentences("describe the master"):
            found = clients.client("ec2", cluster.region).describe_instances(
                Filters=[{"Name": "instance-id", "Values": [cluster.master.id]}]
            )
    except (AwsError, MissingError):
        return None
    for instance in (instance for group in found["Reservations"] for instance in group["Instances"]):
        if instance["State"]["Name"] == "running":
            return datetime.now(UTC)
        return ledger.stopped_at(instance)
    return None


def tell(region: str, cluster_name: str, until: datetime | None, master_id: str | None = None) -> None:
    """Close the ledger of a cluster that was taken away, its hosts having run until then, and say what is in it.

    `master_id` is its master's instance, None where nobody knows.

    A ledger that cannot be read or written is a warning: the cluster is gone all the same.
    """
    try:
        for bucket in resources.buckets(region, cluster_name):
            for line in _lines(Bucket(bucket, region), cluster_name, until, master_id):
                console.say(line)
    except (AwsError, MissingError) as error:
        console.warn(f"What the cluster has cost is not known: {error}")


def _lines(bucket: Bucket, cluster_name: str, until: datetime | None, master_id: str | None) -> list[str]:
    stretches = ledger.entries(bucket, cluster_name)
    if not stretches:
        return []
    newest = stretches[-1]
    if master_id and newest.master_id not in (None, master_id):
        # An earlier cluster's of this name: this one was gone before its keeper wrote anything.
        return []
    if newest.gone_at is None:
        # Hosts may have stopped long before their disks went.
        closed = ledger.close(bucket, newest, until or newest.seen_at, ledger.DOWN)
        stretches[-1] = ledger.mark_gone(bucket, closed, datetime.now(UTC))
    return reckoning.life_in_words(reckoning.life(stretches))
