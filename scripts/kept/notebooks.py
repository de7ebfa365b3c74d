"""`make notebooks`: the notebooks that people changed, from the bucket where every cluster of that name keeps them."""

from datetime import datetime
from pathlib import Path

from invoke.exceptions import Exit

from scripts import console, tfvars
from scripts.aws import pipeline
from scripts.cluster import Cluster
from scripts.errors import NoClusterError, OperatorError
from scripts.hosts import kept_files
from scripts.kept import place

# Where the master's unit keeps them (ansible/roles/common/files/keep_in_bucket.py).
NOTEBOOKS = "notebooks/"


def fetch(into: str) -> None:
    """Copy them to a new folder below `into`: nothing that somebody has changed here is written over.

    Raises NoClusterError where there are none, or why the master did not put its newest; Exit with the download's own
    code, after its own sentence.
    """
    cluster = place.cluster_at_work()
    not_put = _why_not_put(cluster) if cluster else None
    bucket = place.bucket(cluster)
    if not any(bucket.key_pages(NOTEBOOKS)):
        raise not_put or NoClusterError(f"No notebook was changed yet: {bucket.uri(NOTEBOOKS)} is empty.")
    if not_put:
        console.warn(f"What was changed last may be missing ({not_put.reason}).")
    name = f"{tfvars.read()['cluster_name']}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    folder = Path(into).expanduser().absolute() / name
    if code := pipeline.run(bucket.region, "download", bucket.uri(NOTEBOOKS), str(folder)):
        raise Exit(code=code)
    console.say(f"Notebooks: {folder}")


def _why_not_put(cluster: Cluster) -> OperatorError | None:
    """Have the master put its newest first; gives why it did not."""
    try:
        kept_files.put_now(cluster)
    except OperatorError as error:
        return error
    return None
