"""`make notebooks`: the notebooks that people changed, from the bucket where every cluster of that name keeps them."""

import sys
from datetime import datetime
from pathlib import Path

from invoke.exceptions import Exit

from scripts import console, processes, tfvars
from scripts.errors import NoClusterError, OperatorError
from scripts.hosts import kept_files
from scripts.kept import place

# Where the master's unit keeps them (ansible/roles/common/files/keep_in_bucket.py).
NOTEBOOKS = "notebooks/"


def fetch(into: str) -> None:
    """Copy them to a new folder below `into`: nothing that somebody has changed here is written over.

    Raises NoClusterError where there are none, Exit with the download's own code, after its own sentence.
    """
    cluster = place.cluster_at_work()
    if cluster:
        try:
            kept_files.put_now(cluster)
        except OperatorError as error:
            console.warn(f"What was changed in the last minute may be missing ({error.reason}).")
    bucket = place.bucket(cluster)
    if not any(bucket.key_pages(NOTEBOOKS)):
        raise NoClusterError(f"No notebook was changed yet: {bucket.uri(NOTEBOOKS)} is empty.")
    name = f"{tfvars.read()['cluster_name']}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    folder = Path(into).expanduser().absolute() / name
    words = [sys.executable, "-m", "pipeline", "download", bucket.uri(NOTEBOOKS), str(folder)]
    if code := processes.hand_over(words, env={"AWS_REGION": bucket.region}):
        raise Exit(code=code)
    console.say(f"Notebooks: {folder}")
