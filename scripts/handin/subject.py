"""What a page is about: the cluster, or what is left of it, and the bucket, which outlives it."""

from dataclasses import dataclass

from scripts import tfvars
from scripts.aws import resources
from scripts.aws.bucket import RUNS, Bucket, bucket_of, record_key
from scripts.cluster import Cluster
from scripts.errors import InputError, NoClusterError
from scripts.handin.run_facts import RunFacts, facts_of
from scripts.runs.results import newest
from scripts.runs.submission import check_run_id
from scripts.terraform import outputs


@dataclass(frozen=True)
class Subject:
    """A cluster by its name, with its bucket; `cluster` is None where Terraform has no whole one (any more)."""

    name: str
    region: str
    bucket: Bucket
    cluster: Cluster | None


def subject() -> Subject:
    """The cluster that terraform.tfvars names. Raises NoClusterError where not even its bucket is there."""
    try:
        cluster = outputs.current()
    except NoClusterError:
        return _what_stays()
    return Subject(cluster.name, cluster.region, bucket_of(cluster), cluster)


def run_of(bucket: Bucket, run_id: str) -> RunFacts:
    """The record of a run (empty: of the one that ended last).

    Raises NoClusterError where there is no such run, InputError where it has no record, or one that is none.
    """
    run_id = check_run_id(run_id) if run_id else newest(bucket)
    run = facts_of(run_id, bucket.read_json(record_key(run_id)))
    if run:
        return run
    if not bucket.keys(f"{RUNS}/{run_id}/"):
        raise NoClusterError(f"There is no run {run_id} in {bucket.uri(RUNS)}: `make runs` lists what there is.")
    raise InputError(
        f"Run {run_id} has no record yet: it goes on, or was ended before its time. `make run RUN={run_id}` goes on "
        "with it."
    )


def _what_stays() -> Subject:
    name, region = str(tfvars.read()["cluster_name"]), str(tfvars.setting("region"))
    found = resources.bucket_left(region, name)
    if found is None:
        raise NoClusterError(f"There is no cluster {name} and no bucket of it in {region}: run `make up`.")
    return Subject(name, region, found, None)
