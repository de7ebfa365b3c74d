"""Attaches to a run that is there: to follow it to its end and sum it up, or to end it kindly."""

import time

from scripts import console
from scripts.aws.bucket import Bucket, bucket_of
from scripts.cluster import Cluster
from scripts.errors import AwsError, MissingError, NoClusterError, OperatorError
from scripts.hosts.ssh import Hosts, Remote
from scripts.money import measured
from scripts.money.amounts import money
from scripts.runs import systemd_unit
from scripts.runs.follow import follow
from scripts.runs.own_job import OUT_OF_MEMORY, OwnJob, stored_jobs
from scripts.runs.progress import span
from scripts.runs.systemd_unit import Unit
from scripts.runs.table import Row, job_rows, read_records, rows

# What to do about each of the job's own exit codes; the sentence for the cause is the job's.
NEXT_STEP = {
    2: "mend what it names and start another run",
    20: "`make results RUN={run}` fetches errors.parquet, which names the pictures; "
    "`make run RUN={run} ARGS='--max-bad 0.05'` goes on and accepts 5 %",
    21: "`make logs` fetches what Spark's daemons say, `make run RUN={run}` goes on with it",
    22: "`make run RUN={run}` goes on with it once the bucket can be read and written",
    systemd_unit.ENDED_BY_REQUEST: "`make run RUN={run}` goes on with it",
}
GO_ON = "`make run RUN={run}` goes on with it, `make logs` fetches every daemon's word"


class RunError(OperatorError):
    """The job ended, and not well: its exit code is handed on."""

    def __init__(self, sentence: str, code: int) -> None:
        self.exit_code = code
        super().__init__(sentence)


def attach(cluster: Cluster, run_id: str) -> None:
    """Follow a run (empty: the latest) to its end and say what it came to.

    Raises RunError with the job's own exit code, NoClusterError where there is no such run.
    """
    with Hosts(cluster) as hosts:
        ended = follow(hosts, latest(hosts, run_id).run_id)
    conclude(bucket_of(cluster), ended)
    keep_rate(bucket_of(cluster), cluster, ended.run_id)


def keep_rate(bucket: Bucket, cluster: Cluster, run_id: str) -> None:
    """Keep what a whole run tells of its workers' type, for `make plan`; where that cannot be, a line says so."""
    try:
        [record] = read_records(bucket, [run_id])
        found = record and measured.of_run(run_id, record, cluster.worker_type, len(cluster.workers))
        if found:
            measured.keep(bucket, found)
    except (AwsError, MissingError) as error:
        console.warn(f"How fast {cluster.worker_type} was is not kept: {error}")


def stop(cluster: Cluster, run_id: str) -> None:
    """End a run kindly: what is finished is kept, and the run can go on later."""
    with Hosts(cluster) as hosts:
        going = one_running(hosts, run_id)
        systemd_unit.ask_to_stop(hosts, going.run_id)
        ended = follow(hosts, going.run_id)
    if ended.code not in (0, systemd_unit.ENDED_BY_REQUEST):
        conclude(bucket_of(cluster), ended)
    if stored_jobs(bucket_of(cluster), [ended.run_id])[0]:
        how = "had come to its end by itself" if ended.code == 0 else "has ended"
        console.say(f"Job {ended.run_id} {how}: `make results JOB={ended.run_id}` fetches its log and what it wrote.")
        return
    if ended.code == 0:
        console.say(f"Run {ended.run_id} had come to its end by itself: make results RUN={ended.run_id}")
        return
    console.say(f"Run {ended.run_id} has ended and keeps what it has done: `make run RUN={ended.run_id}` goes on.")


def conclude(bucket: Bucket, ended: Unit) -> None:
    """Sum a run up: pictures, time, cost, the next command. Raises RunError where it did not end well."""
    [job] = stored_jobs(bucket, [ended.run_id])
    if job:
        conclude_job(bucket, ended, job)
        return
    row = rows(bucket, [ended], [ended.run_id])[0]
    took = f"after {span(ended.seconds(time.time()))}{_costing(row)}"
    if ended.code:
        step = NEXT_STEP.get(ended.code, GO_ON).format(run=ended.run_id)
        raise RunError(f"Run {ended.run_id} ended with exit code {ended.code} {took}: {step}.", ended.code)
    bad = f", {row.bad:,} could not be read" if row.bad else ""
    console.say(
        f"Run {ended.run_id} is complete {took}{_expected(row)}: {row.done or 0:,} of {row.total or 0:,} pictures{bad}."
    )
    console.say(f"Next: make results RUN={ended.run_id}")


def conclude_job(bucket: Bucket, ended: Unit, job: OwnJob) -> None:
    """Sum a person's own job up. Raises RunError with the program's own exit code where that is not 0."""
    [row] = job_rows(bucket, [ended], [ended.run_id])
    took, fetch = f"after {span(ended.seconds(time.time()))}{_costing(row)}", f"make results JOB={ended.run_id}"
    if row.state == OUT_OF_MEMORY and ended.code:
        raise RunError(
            f"Job {ended.run_id} was killed {took}, out of memory: {job.main} took more than it may on the master; "
            f"`{fetch}` fetches its log.",
            ended.code,
        )
    if ended.code:
        raise RunError(
            f"Job {ended.run_id} ended with exit code {ended.code} {took}: `{fetch}` fetches its log and what it wrote"
            ".",
            ended.code,
        )
    console.say(f"Job {ended.run_id} is complete {took}.")
    console.say(f"Next: {fetch}")


def one_running(hosts: Remote, run_id: str) -> Unit:
    """The run of that name, or the only one that goes on. Raises NoClusterError where none does."""
    going = systemd_unit.running(hosts)
    for found in going:
        if run_id in ("", found.run_id):
            return found
    if run_id:
        raise NoClusterError(f"No run {run_id} is under way: `make runs` lists what there is.")
    raise NoClusterError("No run is under way: `make run` begins one, `make runs` lists what there was.")


def latest(hosts: Remote, run_id: str) -> Unit:
    """The run of that name, or the latest that the master knows of. Raises NoClusterError."""
    for found in reversed(systemd_unit.known(hosts)):
        if run_id in ("", found.run_id):
            return found
    if run_id:
        raise NoClusterError(f"The master knows of no run {run_id}: `make runs` lists what there is.")
    raise NoClusterError("No run was begun since the master started: `make run` begins one.")


def _expected(row: Row) -> str:
    return "" if row.expected_seconds is None else f" ({span(row.expected_seconds)} were expected)"


def _costing(row: Row) -> str:
    return "" if row.cost is None else f" and {money(row.cost, row.currency)}"
