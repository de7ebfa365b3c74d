"""Fabric's tasks: `fab -r scripts --list`. Each is a line or two; what they do is in the modules beside this one."""

import sys
from pathlib import Path

# Fabric puts this folder on the path and not the checkout that it is a package of.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.baking import bake
from scripts.cluster import Cluster
from scripts.doctor import look
from scripts.handin import evidence, links, share
from scripts.healing.beside import beside
from scripts.hosts import connect, logs, readiness, shell, tunnels
from scripts.jobs import submit
from scripts.kept import history, notebooks
from scripts.lifecycle import allow, credentials, down, ends, init, plan, power, scale, status, up
from scripts.money import costs
from scripts.runs import attach, results, start, table, upload
from scripts.runs.submission import DEFAULT_SIZE, SIZES, with_csv
from scripts.tasks import task
from scripts.terraform import outputs

ADMIN_CIDR = {"admin-cidr": "network to open SSH to, as 203.0.113.7/32, instead of asking AWS for your address"}


def _running() -> Cluster:
    """The cluster, for a task that asks its hosts: one that has stopped by itself is said to have."""
    return readiness.of_running(outputs.current())


HEAL = {"heal": "no: leave lost workers lost (default: yes, another is made in the place of each)"}
PORT = {"port": "port of this machine to open it on (default: one that is free)"}


@task(
    {
        "name": "name of the cluster",
        "owner": "who answers for it",
        "region": "AWS region",
        "master-type": "instance type of the master",
        "worker-type": "instance types for the workers, the one you wish for first: c7a.2xlarge,c6i.2xlarge",
        "workers": "how many workers",
        "spot": "yes or no: workers on the spot market",
        "email": "address for AWS's budget warnings, - for none",
    }
)
def init_(
    name: str = "",
    owner: str = "",
    region: str = "",
    master_type: str = "",
    worker_type: str = "",
    workers: str = "",
    spot: str = "",
    email: str = "",
) -> None:
    """Write terraform.tfvars from a few questions or these flags, and check tools, credentials and quotas."""
    init.init(
        cluster_name=name,
        owner=owner,
        region=region,
        master_instance_type=master_type,
        worker_instance_types=worker_type,
        worker_count=workers,
        worker_spot=spot,
        budget_email=email,
    )


@task(
    ADMIN_CIDR
    | {
        "pictures": "a number of pictures: what they take and cost, here and on other types of workers",
        "precision": "of the network for them: f32 (default) or bf16",
        "megapixels": "of each, where they are photos: 12",
        "decode": "the way of photos: exact (default) or fast",
    }
)
def plan_(
    admin_cidr: str = "", pictures: str = "", precision: str = "", megapixels: str = "", decode: str = ""
) -> None:
    """Say what `up` would do, and the price per hour and day; of so many pictures, too."""
    plan.plan(admin_cidr, pictures, precision, megapixels, decode)


@task(ADMIN_CIDR)
def up_(admin_cidr: str = "") -> None:
    """Create the cluster, or mend and change it to what terraform.tfvars says."""
    up.up(admin_cidr)


@task()
def doctor() -> None:
    """Look at this machine, its network and the account: a line each, and what to type for what is not ready."""
    look.doctor()


@task(ADMIN_CIDR)
def allow_(admin_cidr: str = "") -> None:
    """Let in the address that this machine has now, and change nothing else."""
    allow.allow(admin_cidr)


@task({"clean": "delete the images and their snapshots"} | ADMIN_CIDR)
def bake_(clean: bool = False, admin_cidr: str = "") -> None:
    """Make images of a master and a worker with everything installed, from which new hosts start."""
    bake.bake(clean, admin_cidr)


@task()
def stop() -> None:
    """Stop the instances, whose disks stay; spot workers are given back."""
    power.stop()


@task()
def start_() -> None:
    """Start them again, and verify the cluster."""
    up.start()


@task({"hours": f"for how many hours (default: {ends.DEFAULT_HOURS})"})
def keep(hours: str = ends.DEFAULT_HOURS) -> None:
    """Put off whatever would end the cluster by itself."""
    ends.keep(hours)


@task({"workers": "how many workers the cluster is to have"} | ADMIN_CIDR)
def scale_(workers: str, admin_cidr: str = "") -> None:
    """Add workers, or take some away once they have handed over what they are at."""
    scale.scale(workers, admin_cidr)


@task()
def credentials_() -> None:
    """Make an access key for the bucket, in an AWS profile on this machine; the older key is retired."""
    credentials.credentials()


@task({"purge": "delete the bucket, too, with everything in it"})
def down_(purge: bool = False) -> None:
    """Save the logs, take the cluster away, and check that nothing is left; the bucket stays."""
    down.down(purge)


@task({"data": "folder with a folder of pictures for each class"})
def upload_(data: str = "") -> None:
    """Bring pictures to the bucket; what is there already is left."""
    upload.upload(outputs.current(), data)


@task(
    {
        "size": f"{', '.join(SIZES)}: which pictures (default: {DEFAULT_SIZE})",
        "args": "more options of the job, as `--args='--variance 0.95'`",
        "run": "a name for the run; one that was begun goes on",
        "weights": "a .h5 file of MobileNetV2's weights, imagenet (default) or random",
        "csv": "the components as CSV: one file, parts or none (default: parts beyond 1,000,000 rows)",
    }
    | HEAL
)
def run(size: str = "", args: str = "", run: str = "", weights: str = "", csv: str = "", heal: str = "yes") -> None:
    """Begin the job on the cluster and follow it to its end; Ctrl-C leaves it running."""
    with beside(cluster := _running(), heal):
        attach.attach(cluster, start.start(cluster, start.RunRequest(size, with_csv(args, csv), run, weights)))


@task(
    {
        "job": "a Python file, or a folder with __main__.py",
        "args": "the program's own arguments, in one word",
        "requirements": "a file of pip's form: packages that the cluster does not have",
        "files": "files and folders to lie beside the program, on executors too",
        "name": "a name for the job (default: the program's, and the time)",
    }
    | HEAL
)
def submit_(
    job: str = "", args: str = "", requirements: str = "", files: str = "", name: str = "", heal: str = "yes"
) -> None:
    """Run a program of your own on the cluster and follow it to its end; Ctrl-C leaves it running."""
    with beside(cluster := _running(), heal):
        attach.attach(cluster, submit.submit(cluster, submit.JobRequest(job, args, requirements, files, name)))


@task({"run": "the run's name (default: the latest)"} | HEAL)
def follow(run: str = "", heal: str = "yes") -> None:
    """Follow a run to its end; Ctrl-C leaves it running."""
    with beside(cluster := _running(), heal):
        attach.attach(cluster, run)


@task({"run": "the run's name (default: the one that is under way)"})
def stop_run(run: str = "") -> None:
    """End a run kindly; it can go on later."""
    attach.stop(_running(), run)


@task()
def runs_() -> None:
    """List the runs: state, pictures, time, cost."""
    table.show(outputs.current())


@task(
    {
        "run": "the run's name (default: the one that ended last)",
        "job": "the name of a job of your own, in place of a run's",
        "folder": "where to (default: results)",
    }
)
def results_(run: str = "", job: str = "", folder: str = "results") -> None:
    """Fetch a run's report, CSV, components and record, or a job's log, record and output."""
    if job:
        results.fetch_job(outputs.current(), job, folder)
    else:
        results.fetch(outputs.current(), run, folder)


@task(
    {
        "run": "the run's name (default: the one that ended last)",
        "hours": f"for how many hours the links work (default: {links.DEFAULT_HOURS})",
        "folder": "where the page's own copy goes (default: results)",
    }
)
def share_(run: str = "", hours: str = links.DEFAULT_HOURS, folder: str = "results") -> None:
    """Make a page of links that expire to a whole run's report, CSV, components and some pictures."""
    share.share(run, hours, folder)


@task({"run": "the run's name (default: the one that ended last)", "folder": "where to (default: results)"})
def evidence_(run: str = "", folder: str = "results") -> None:
    """Write a page for a jury: each line read from AWS's API at that moment, the call named."""
    evidence.evidence(run, folder)


@task({"json": "print it for programs"})
def status_(json: bool = False) -> None:
    """Say what there is: hosts, workers alive, runs, time and cost."""
    status.show_what_there_is(json)


@task({"json": "print it for programs"})
def costs_(json: bool = False) -> None:
    """Say what every cluster of this account has cost, by month, from the clusters' own ledgers."""
    costs.show(json)


@task({"host": "master, worker-1 and so on (default: master)"})
def ssh(host: str = "master") -> None:
    """Open a shell on a host."""
    shell.open_shell(_running(), host)


@task(PORT)
def jupyter(port: str = "") -> None:
    """Open JupyterLab to this machine until Ctrl-C, and print its URL with the token."""
    tunnels.jupyter(_running(), port)


@task(PORT)
def connect_(port: str = "") -> None:
    """Open Spark Connect to an editor on this machine until Ctrl-C, and print the line of Python that connects."""
    connect.connect(_running(), port)


@task(PORT)
def ui(port: str = "") -> None:
    """Open the pages of Spark's master and of the jobs at work to this machine until Ctrl-C."""
    tunnels.ui(_running(), port)


@task({"run": "the run's name (default: every job)"} | PORT)
def history_(run: str = "", port: str = "") -> None:
    """Open the page of jobs that have ended to this machine until Ctrl-C; without a cluster, from the bucket."""
    history.show(run, port)


@task({"folder": "where to (default: notebooks)"})
def notebooks_(folder: str = "notebooks") -> None:
    """Fetch the notebooks that people changed; no cluster need be up."""
    notebooks.fetch(folder)


@task({"folder": "where to (default: logs)"})
def logs_(folder: str = "logs") -> None:
    """Fetch the logs of every host: daemons, runs, executors, first boot."""
    logs.collect(_running(), folder)
