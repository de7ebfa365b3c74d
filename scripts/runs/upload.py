"""Pictures to the bucket, by the job's own upload."""

from pathlib import Path

from invoke.exceptions import Exit

from scripts import console
from scripts.aws import pipeline
from scripts.aws.bucket import PICTURES, bucket_of
from scripts.cluster import Cluster
from scripts.errors import InputError
from scripts.hosts import keeper


def upload(cluster: Cluster, data: str) -> None:
    """Have the folder's pictures in the bucket. Raises Exit with the upload's own code, after its own sentence."""
    folder = Path(data).expanduser()
    if not data or not folder.is_dir():
        named = f"There is no folder {data}" if data else "No folder was named"
        raise InputError(f"{named}: give the one that holds a folder for each class, DATA=path.")
    with keeper.held(cluster, "upload"):
        code = pipeline.run(cluster.region, "upload", str(folder), bucket_of(cluster).uri(PICTURES))
    if code:
        raise Exit(code=code)
    console.say("Next: make run")
