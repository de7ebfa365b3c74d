"""Where what outlives a cluster is to be asked for: the cluster that is up, and the bucket whether one is or not."""

from scripts import tfvars
from scripts.aws import resources
from scripts.aws.bucket import Bucket, bucket_of
from scripts.cluster import Cluster
from scripts.errors import NoClusterError
from scripts.hosts import readiness
from scripts.terraform import outputs


def cluster_at_work() -> Cluster | None:
    """The cluster that terraform.tfvars names where its master runs, else None. Raises InputError without settings."""
    try:
        return readiness.of_running(outputs.current())
    except NoClusterError:
        return None


def bucket(cluster: Cluster | None) -> Bucket:
    """The bucket of that cluster, or the one that an earlier cluster of that name has left.

    Raises NoClusterError where there is none, AwsError or MissingError.
    """
    if cluster:
        return bucket_of(cluster)
    name, region = tfvars.read()["cluster_name"], str(tfvars.setting("region"))
    found = resources.bucket_left(region, name)
    if found is None:
        raise NoClusterError(f"No cluster {name} has left a bucket in {region}: `make up` makes both.")
    return found
