"""Fetches what a run made, all but its features, large and rarely wanted on a laptop, and what it keeps for itself."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scripts import console
from scripts.aws.bucket import CONNECTIONS, RECORD, RUNS, Bucket, bucket_of, record_key
from scripts.cluster import Cluster
from scripts.errors import NoClusterError

REPORT = "report.html"
LEFT_THERE = ("features/", "inputs.parquet", "attempts.json")


def fetch(cluster: Cluster, run_id: str, into: str) -> None:
    """Copy the results of a run (empty: of the one that ended last) to `into`/RUN and name them."""
    bucket = bucket_of(cluster)
    run_id = run_id or newest(bucket)
    folder = Path(into).expanduser().absolute() / run_id
    prefix = f"{RUNS}/{run_id}/"
    keys = [key.removeprefix(prefix) for key in bucket.keys(prefix)]
    if not keys:
        raise NoClusterError(f"There is no run {run_id} in {bucket.uri(RUNS)}: `make runs` lists what there is.")
    wanted = [key for key in keys if not key.startswith(LEFT_THERE)]
    with console.phase("Results") as phase, ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(lambda key: bucket.fetch(prefix + key, folder / key), wanted))
        phase.result = f"{len(wanted)} files in {folder}"
    for line in what_to_look_at(folder, wanted, bucket.uri(prefix)):
        console.say(line)


def newest(bucket: Bucket) -> str:
    """The run that ended last. Raises NoClusterError while none has."""
    run_ids = bucket.run_ids()
    records = bucket.read_many([record_key(run_id) for run_id in run_ids])
    ended = [(record["ended_at"], run_id) for run_id, record in zip(run_ids, records, strict=True) if record]
    if not ended:
        raise NoClusterError(f"No run in {bucket.uri(RUNS)} has ended yet: `make runs` lists what there is.")
    return max(ended)[1]


def what_to_look_at(folder: Path, keys: Sequence[str], uri: str) -> list[str]:
    """What there is to look at, the report first; what is missing of a run that has not come to its end."""
    lines = [f"{name}  {folder / key}" for key, name in _NAMES.items() if key in keys]
    if RECORD not in keys:
        lines.append("The run has no record yet: it goes on, or was ended before its time (`make runs`).")
    return [*lines, f"Features stay at {uri}features/."]


_NAMES = {
    REPORT: "Report         ",
    "pca.csv": "Components, CSV",
    RECORD: "Record         ",
    "errors.parquet": "Unreadable     ",
}
