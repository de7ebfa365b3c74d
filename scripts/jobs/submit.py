"""Sends a person's own program to the master, where it is a run like any other: whoever began it may go away."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from scripts import console
from scripts.aws.bucket import RUNS, Bucket, bucket_of, environment_key, job_key
from scripts.cluster import Cluster
from scripts.errors import BusyError, ConfigurationError, HostError, InputError, OperatorError
from scripts.hosts import orchard_run
from scripts.hosts.orchard_run import NotConfiguredError
from scripts.hosts.ssh import Hosts, Remote
from scripts.jobs import package, requirements
from scripts.jobs.package import Code
from scripts.jobs.requirements import Environment, Nodes
from scripts.money import prices
from scripts.runs import own_job, systemd_unit
from scripts.runs.own_job import OwnJob
from scripts.runs.start import busy
from scripts.runs.submission import check_run_id, new_run_id, stored_submissions

STEM_LENGTH = 60


@dataclass(frozen=True)
class JobRequest:
    """What the person gave to `make submit`; empty where nothing was given."""

    job: str = ""
    arguments: str = ""
    requirements: str = ""
    files: str = ""
    name: str = ""


def submit(cluster: Cluster, request: JobRequest) -> str:
    """Have the program under way, and give the name of its job. What cannot be is refused before anything is sent.

    Raises InputError, BusyError and what talking to hosts and AWS raises.
    """
    code = package.collect(request.job, request.files)
    words = package.split(request.arguments, "ARGS")
    bucket, name = bucket_of(cluster), check_run_id(request.name) if request.name else new_name(code)
    with Hosts(cluster) as hosts:
        for going in systemd_unit.running(hosts):
            raise busy(going)
        _refuse_taken(bucket, name)
        nodes = nodes_of(hosts)
        package.check_syntax(code, nodes.python)
        environment = _required(request.requirements, nodes) if request.requirements else None
        job = _asked(cluster, name, code, words, environment)
        with _sent(hosts, bucket, job, code, environment) as digest:
            systemd_unit.start(hosts, name, f"Own job, {code.main}", _launcher(job, digest, environment), own=True)
    more = f" with {', '.join(job.requirements)}" if job.requirements else ""
    console.say(f"Job {name} ({code.main}){more} has begun on the master.")
    return name


def new_name(code: Code) -> str:
    """A name for the job: its program's, and the time."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", code.stem).lstrip("._-")[:STEM_LENGTH]
    return f"{stem or 'job'}-{new_run_id()}"


def nodes_of(hosts: Remote) -> Nodes:
    """What packages must be built for, as the master says it. Raises NotConfiguredError for one of an older Orchard."""
    facts = orchard_run.facts(hosts, hosts.cluster.master)
    wheels = facts.get("wheels")
    if wheels is None:
        raise NotConfiguredError("The master does not take people's own jobs yet: `make up` mends it.")
    # A cluster of an earlier Orchard says nothing of it, and has the same everywhere.
    return Nodes(wheels["python"], wheels["platform"], facts.get("worker_tensorflow", True))


def _refuse_taken(bucket: Bucket, name: str) -> None:
    """Raises InputError where there is a job or a run of that name: what it has made is kept."""
    if (
        any(bucket.keys(prefix) for prefix in (job_key(name, ""), f"{RUNS}/{name}/"))
        or stored_submissions(bucket, [name])[0]
    ):
        raise InputError(f"There is a job or a run {name} already, and it is kept: give another NAME, or leave it out.")


def _asked(cluster: Cluster, name: str, code: Code, words: tuple[str, ...], environment: Environment | None) -> OwnJob:
    price = prices.of(cluster)
    return OwnJob(
        name=name,
        main=code.main,
        words=words,
        files=tuple(sorted(code.files)),
        requirements=environment.packages if environment else (),
        submitted_at=datetime.now(UTC).isoformat(timespec="seconds"),
        price_per_hour=price.per_hour if price else None,
        currency=prices.currency(),
    )


def _required(given: str, nodes: Nodes) -> Environment | None:
    with console.phase("Packages") as under_way:
        environment = requirements.build(given, nodes)
        under_way.result = ", ".join(environment.packages) if environment else "the cluster has all of them"
    return environment


@contextmanager
def _sent(hosts: Remote, bucket: Bucket, job: OwnJob, code: Code, environment: Environment | None) -> Iterator[str]:
    """Have code and packages in the bucket, gives the code's SHA-256; a job that does not begin leaves nothing."""

    def forget() -> None:
        bucket.delete([job_key(job.name, file) for file in (own_job.CODE, own_job.ASKED)])

    try:
        with tempfile.TemporaryDirectory(prefix="orchard-job-") as folder:
            archive = Path(folder) / own_job.CODE
            digest = package.write(code, archive)
            bucket.send(archive, job_key(job.name, own_job.CODE))
        if environment and environment_key(environment.digest) not in bucket.keys(environment_key(environment.digest)):
            bucket.send(environment.archive, environment_key(environment.digest))
        job.store(bucket)
    except BaseException:
        forget()
        raise
    try:
        yield digest
    except (ConfigurationError, BusyError):
        forget()
        raise
    except (HostError, KeyboardInterrupt) as broken_off:
        if _may_have_begun(hosts, job.name):
            broken_off.add_note(
                f"It may have begun: `make follow RUN={job.name}` says so; else submit with another NAME."
            )
        else:
            forget()
        raise


def _may_have_begun(hosts: Remote, name: str) -> bool:
    """Whether the master has the job, or does not say; asked on a new line, for this one may be what broke."""
    hosts.close()
    try:
        return any(unit.run_id == name for unit in systemd_unit.known(hosts))
    except (OperatorError, KeyboardInterrupt):
        return True


def _launcher(job: OwnJob, digest: str, environment: Environment | None) -> list[str]:
    """The words of the program that runs it. The hashes go this way, for others may write to the bucket."""
    words = [f"--main={job.main}", f"--code={digest}"]
    words += [f"--environment={environment.digest}"] if environment else []
    if job.price_per_hour is not None:
        words += [f"--price={job.price_per_hour:.6f}", f"--currency={job.currency}"]
    return [*words, "--", *job.words]
