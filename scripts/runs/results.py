"""Fetches what a run made, all but its features, large and rarely wanted on a laptop, and what it keeps for itself."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from invoke.exceptions import Exit

from scripts import console
from scripts.aws import pipeline
from scripts.aws.bucket import RECORD, RUNS, Bucket, bucket_of, job_key
from scripts.cluster import Cluster
from scripts.errors import InputError, NoClusterError
from scripts.runs import own_job
from scripts.runs.submission import check_run_id
from scripts.runs.table import read_records

REPORT = "report.html"
LEFT_THERE = ("features/", "inputs/", "inputs.parquet", "attempts.json")
CSV_PARTS = "pca_csv/"
CLOCKS_DIFFER = timedelta(minutes=5)  # this machine's and the master's; a later end than that is made up


def fetch(cluster: Cluster, run_id: str, into: str) -> None:
    """Copy the results of a run (empty: of the one that ended last) to `into`/RUN and name them.

    The job's own download makes paths of keys, and nobody else. Raises Exit with its code, after its own sentence,
    InputError for a person's own job, NoClusterError where there is no such run.
    """
    bucket = bucket_of(cluster)
    run_id = check_run_id(run_id) if run_id else newest(bucket)
    folder = Path(into).expanduser().absolute() / run_id
    prefix = f"{RUNS}/{run_id}/"
    keys = [key.removeprefix(prefix) for key in bucket.keys(prefix)]
    if not keys and bucket.keys(job_key(run_id, "")):
        raise InputError(f"{run_id} is a job of your own: `make results JOB={run_id}` fetches what it wrote.")
    if not keys:
        raise NoClusterError(f"There is no run {run_id} in {bucket.uri(RUNS)}: `make runs` lists what there is.")
    words = ["download", bucket.uri(prefix), str(folder), "--leave", *LEFT_THERE]
    code = pipeline.run(cluster.region, *words)
    for line in what_to_look_at(folder, keys, bucket.uri(prefix)):
        console.say(line)
    if code:
        raise Exit(code=code)


def fetch_job(cluster: Cluster, name: str, into: str) -> None:
    """Copy log, record and output of a person's own job to `into`/NAME and name them. Raises as `fetch` does."""
    bucket, folder = bucket_of(cluster), Path(into).expanduser().absolute() / check_run_id(name)
    prefix = job_key(name, "")
    keys = [key.removeprefix(prefix) for key in bucket.keys(prefix)]
    if not keys:
        raise NoClusterError(f"There is no job {name} in {bucket.uri('jobs')}: `make runs` lists what there is.")
    code = pipeline.run(cluster.region, "download", bucket.uri(prefix), str(folder), "--leave", own_job.CODE)
    for file, name_of_it in _NAMES_OF_JOB.items():
        if any(key.startswith(file) for key in keys):
            console.say(f"{name_of_it}  {folder / file}")
    if code:
        raise Exit(code=code)


def newest(bucket: Bucket) -> str:
    """The run that ended last, and not in a time to come. Raises NoClusterError while none has."""
    run_ids = bucket.run_ids()
    records = zip(read_records(bucket, run_ids), run_ids, strict=True)
    ended = [(record["ended_at"], run_id) for record, run_id in records if record]
    ended = [(at, run_id) for at, run_id in ended if at <= datetime.now(UTC) + CLOCKS_DIFFER]
    if not ended:
        raise NoClusterError(f"No run in {bucket.uri(RUNS)} has ended yet: `make runs` lists what there is.")
    return max(ended)[1]


def what_to_look_at(folder: Path, keys: Sequence[str], uri: str) -> list[str]:
    """What there is to look at, the report first; what is missing of a run that has not come to its end."""
    lines = [f"{name}  {folder / key}" for key, name in _NAMES.items() if key in keys]
    if any(key.startswith(CSV_PARTS) for key in keys):
        lines.append(f"Components, CSV  {folder / CSV_PARTS} (compressed parts, each with its first line)")
    if RECORD not in keys:
        lines.append("The run has no record yet: it goes on, or was ended before its time (`make runs`).")
    return [*lines, f"Features stay at {uri}features/."]


_NAMES_OF_JOB = {
    own_job.OUTPUT: "Output         ",
    own_job.LOG: "Log            ",
    own_job.RECORD: "Record         ",
}
_NAMES = {
    REPORT: "Report         ",
    "pca.csv": "Components, CSV",
    RECORD: "Record         ",
    "errors.parquet": "Unreadable     ",
}
