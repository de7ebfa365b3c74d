"""A cluster's end: fewer and more workers under a job, its end by itself, and down. After test_operator_day."""

import json
import re
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scripts.aws import resources
from tests.cluster.operator import MOMENT, STATE_DIRECTORY, Operator
from tests.cluster.test_operator_day import opened
from tests.sandbox.faults import hosts as faults
from tests.waiting import wait_until

# A job of rounds, each with a known sum, that goes on until it is told that it is enough.
JOB = f"""
import pathlib, time
from pyspark.sql import SparkSession
spark = SparkSession.builder.appName("rounds").getOrCreate()
def slow(number):
    time.sleep(1)  # as work that leaves the processor to the hosts
    return number
rounds = 0
while not pathlib.Path("{STATE_DIRECTORY}/home/enough").exists():
    assert spark.sparkContext.parallelize(range(12), 12).map(slow).sum() == 66
    rounds += 1
spark.stop()
print("rounds, each whole:", rounds)
"""


@pytest.fixture
def rounds(operator: Operator, whole: None) -> Callable[[], int]:
    """A job that is at work on the cluster; the call ends it kindly and gives how many rounds it came to."""
    ssh, master = operator.shell, operator.host("master")
    unit = "sudo systemd-run --quiet --collect --uid=spark --gid=spark --unit=rounds --property=RemainAfterExit=yes"
    settings = f"--property=EnvironmentFile=/etc/orchard/environment --property=WorkingDirectory={STATE_DIRECTORY}"
    ssh.must(master, f"cat > /tmp/rounds.py && {unit} {settings} /opt/orchard/venv/bin/python /tmp/rounds.py", text=JOB)

    def end() -> int:
        ssh.must(master, f"sudo touch {STATE_DIRECTORY}/home/enough")
        journal = "sudo journalctl --no-pager --output=cat --unit=rounds"
        wait_until(lambda: "rounds, each whole:" in ssh.run(master, journal).stdout, "the job's end", 60)
        counted = re.search(r"^rounds, each whole: (\d+)$", ssh.run(master, journal).stdout, re.MULTILINE)
        assert counted
        ssh.must(master, f"sudo systemctl stop rounds; sudo rm {STATE_DIRECTORY}/home/enough")
        return int(counted[1])

    wait_until(lambda: operator.master_says().get("coresused", 0) > 0, "the job to have executors", 60)
    return end


def test_workers_come_and_go_under_a_job_that_loses_nothing(operator: Operator, rounds: Callable[[], int]) -> None:
    gone, master = operator.host("worker-2").name, operator.host("master")
    assert operator.alive() == 2
    # Kernels' part of the cores, as of another number of workers; it is written anew, and JupyterLab goes on.
    conf = "/etc/orchard/jupyter-spark/spark-defaults.conf"
    server = "systemctl show --value --property=InvocationID jupyter"
    operator.shell.must(master, f"sudo sed -i 's/^spark.cores.max .*/spark.cores.max 777/' {conf}")
    before = operator.shell.must(master, server)
    more = operator.type("scale", "--workers", "3")
    assert "3 workers alive" in more.out
    assert operator.alive() == 3
    # The others learn its name; nothing is installed or restarted there.
    assert re.search(r"^\S+-worker-1 +: ok=\d+ +changed=[01] ", operator.log(), re.MULTILINE), operator.log()[-2000:]
    assert "worker_count = 3" in operator.tfvars.read_text()
    assert operator.shell.must(master, server) == before
    assert "777" not in operator.shell.must(master, f"sudo grep ^spark.cores.max {conf}")
    assert operator.refused(8, "scale", "--workers", "1") == (
        "At work on the cluster: rounds. This would delete worker-2, worker-3. Do it all the same? Nobody is here to "
        "answer: say YES=1 to go on."
    )
    assert operator.alive() == 3
    fewer = operator.type("scale", "--workers", "1", YES="1")
    assert "worker-2, worker-3 may go" in fewer.out
    # Not even of the last one, whose executor was just starting.
    assert "did not finish" not in fewer.out
    # Each with its schedule.
    assert "4 to destroy" in fewer.out
    assert operator.alive() == 1
    assert gone not in operator.cloud.sandbox.hosts
    assert "worker_count = 1" in operator.tfvars.read_text()
    # The minutes of it that are over are in the bucket.
    [log] = wait_until(lambda: logs_of(operator, "rounds"), "the first minute's copy of the log", 90)
    wait_until(lambda: any(key.endswith(".inprogress") for key in kept(operator, log)), "all of that copy", 20)
    assert any(key.endswith(".zstd") for key in kept(operator, log)), kept(operator, log)
    assert rounds() > 5


def kept(operator: Operator, prefix: str) -> list[str]:
    """The keys below a prefix of the bucket."""
    listed = operator.cloud.aws.client("s3").list_objects_v2(Bucket=operator.bucket, Prefix=prefix)
    return [entry["Key"] for entry in listed.get("Contents", [])]


def logs_of(operator: Operator, name: str) -> list[str]:
    """Prefixes of the event logs in the bucket of the applications of that name."""
    return [f"events/eventlog_v2_{key.rpartition('/')[2]}/" for key in kept(operator, f"events/names/{name}/")]


# Its end


def test_down_asks_while_a_job_is_at_work(operator: Operator, rounds: Callable[[], int]) -> None:
    assert operator.refused(8, "down") == (
        "At work on the cluster: rounds. Take the cluster down all the same? Nobody is here to answer: say YES=1 to go "
        "on."
    )
    assert operator.alive() == 1
    rounds()


# By itself

MINE = "mine.ipynb"
MINUTES = 0.5  # with nothing at work, and without the master
# A kernel of JupyterLab's own that computes until it is told that it is enough. As the user of notebooks.
COMPUTE = """
import json, pathlib, sys, urllib.request
from jupyter_client import BlockingKernelClient
base, token = "http://127.0.0.1:8888/api/kernels", pathlib.Path(sys.argv[1]).read_text()
asked = urllib.request.Request(base, data=b"{}", headers={"Authorization": "token " + token})
kernel = json.load(urllib.request.urlopen(asked))["id"]
[file] = pathlib.Path.home().glob(f".local/share/jupyter/runtime/kernel-{kernel}.json")
client = BlockingKernelClient(connection_file=str(file))
client.load_connection_file()
client.start_channels()
client.wait_for_ready(timeout=60)
client.execute("import pathlib, time; [time.sleep(0.1) for _ in iter(pathlib.Path('enough').exists, True)]")
client.get_iopub_msg(timeout=30)
"""


def keeper_says(operator: Operator) -> dict[str, Any]:
    """The status that the keeper has written on the master."""
    said = operator.shell.run(operator.host("master"), "cat /run/orchard-keeper/status.json").stdout
    return json.loads(said) if said else {}


def states(operator: Operator) -> dict[str, str]:
    """Each host's state in EC2, those left out that were given back."""
    named = [{"Name": "tag:Cluster", "Values": [operator.cluster_name]}]
    pages = operator.cloud.aws.client("ec2").get_paginator("describe_instances").paginate(Filters=named)
    found = [instance for page in pages for group in page["Reservations"] for instance in group["Instances"]]
    there = [instance for instance in found if instance["State"]["Name"] != "terminated"]
    return {resources.host_name(instance, operator.cluster_name): instance["State"]["Name"] for instance in there}


def ledger(operator: Operator) -> list[dict[str, Any]]:
    """The entries of the ledger, the oldest first."""
    s3 = operator.cloud.aws.client("s3")
    listed = s3.list_objects_v2(Bucket=operator.bucket, Prefix="ledger/story/").get("Contents", [])
    return [json.load(s3.get_object(Bucket=operator.bucket, Key=item["Key"])["Body"]) for item in listed]


@contextmanager
def terminal(operator: Operator, name: str) -> Iterator[Callable[[], str]]:
    """A terminal on a host at which nobody types; gives what it has shown so far."""
    shown: list[bytes] = []
    process = subprocess.Popen(
        [*operator.shell.words(operator.host(name), "bash")[:-1], "-tt"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout
    reader = threading.Thread(target=lambda: shown.extend(iter(lambda: process.stdout.read1(4096), b"")), daemon=True)
    reader.start()
    yield lambda: b"".join(shown).decode(errors="replace")
    process.kill()
    process.wait()
    reader.join()


def test_a_kernel_that_computes_holds_the_cluster_and_a_silent_one_lets_it_stop_by_itself(
    operator: Operator, whole: None
) -> None:
    settings = {"idle_minutes": MINUTES, "deaf_minutes": MINUTES, "max_age_hours": 3}
    with operator.tfvars.open("a") as file:
        file.writelines(f"{name} = {value}\n" for name, value in settings.items())
    assert "It stops by itself after 0.5 idle minutes, after 3 hours at the latest" in operator.type("up").out
    master = operator.host("master")
    home = "sudo -u jupyter env --chdir=/var/lib/jupyter HOME=/var/lib/jupyter"
    compute = f"{home} /opt/orchard/venv/bin/python - /etc/orchard/jupyter/login"
    operator.shell.must(master, compute, text=COMPUTE)
    operator.shell.must(master, f"{home} mkdir -p deep")
    operator.shell.must(master, f"{home} tee deep/{MINE} mine.txt", text="changed")
    with terminal(operator, "worker-1") as shown:
        since = keeper_says(operator)["at"]
        wait_until(lambda: keeper_says(operator)["at"] > since + MINUTES * 60 + 15, "the limit to be over", 120)
        assert keeper_says(operator)["held_by"] == ["kernel of no notebook"]
        assert keeper_says(operator)["warning"] is None
        assert "Held by kernel of no notebook." in operator.type("status").out
        operator.shell.must(master, f"{home} touch enough")
        wait_until(lambda: "Cluster story stops at " in shown(), "the announcement on a worker's terminal", 120)
        wait_until(lambda: set(states(operator).values()) == {"stopped"}, "the hosts to stop", 180)
    operator.cloud.wait_until_in_step()
    assert not operator.host("master").container.is_running
    [*_, entry] = ledger(operator)
    assert re.fullmatch(r"idle: nothing at work since \d\d:\d\d UTC", entry["why"])
    assert entry["usd"]["work"] > entry["usd"]["idle"] > 0
    lived = datetime.fromisoformat(entry["ended_at"]) - datetime.fromisoformat(entry["started_at"])
    assert sum(entry["hours"].values()) == pytest.approx(lived / timedelta(hours=1), rel=0.02)
    contents = operator.cloud.aws.client("s3").list_objects_v2(Bucket=operator.bucket, Prefix="logs/")["Contents"]
    saved = {re.sub(r"^logs/\w+/", "", item["Key"]) for item in contents}
    assert {"master/events.tar.gz", "worker-1/executors.tar.gz", "worker-1/journal.txt.gz"} <= saved
    # What outlives the cluster, and nothing else of anybody's home.
    assert f"notebooks/deep/{MINE}" in kept(operator, "notebooks/")
    assert all(key.endswith(".ipynb") for key in kept(operator, "notebooks/"))
    assert not [key for log in logs_of(operator, "rounds") for key in kept(operator, log) if "inprogress" in key]


def test_start_says_why_it_had_stopped_and_brings_it_back(operator: Operator) -> None:
    done = operator.type("start")
    assert re.search(
        rf"^It had stopped by itself at {MOMENT}: nothing at work since \d\d:\d\d UTC\.$", done.out, re.MULTILINE
    )
    assert "pinned before" in done.out
    assert operator.alive() == len(states(operator)) - 1
    assert re.search(r"^Ends +\d+ s  by itself after 0\.5 idle minutes, ", done.out, re.MULTILINE)
    kept = operator.type("keep", "--hours", "1")
    wanted = rf"Nothing ends cluster story before {MOMENT}\. AWS itself stops its hosts at {MOMENT}\.$"
    assert re.match(wanted, kept.out)
    said = operator.shell.must(operator.host("master"), "keep 2")
    assert re.match(r"Nothing ends this cluster before \d\d:\d\d UTC\.", said)


def test_notebooks_come_back_to_a_master_that_has_none_and_to_the_laptop(operator: Operator, tmp_path: Path) -> None:
    master = operator.host("master")
    home = "/var/lib/jupyter"
    # As a new master's is when JupyterLab first starts.
    operator.shell.must(master, f"sudo systemctl stop jupyter; sudo rm -rf {home}/deep {home}/.orchard-kept.json")
    operator.shell.must(master, "sudo systemctl start jupyter")
    assert operator.shell.must(master, f"sudo cat {home}/deep/{MINE}") == "changed"
    operator.shell.must(master, f"sudo -u jupyter tee {home}/deep/{MINE}", text="changed again")
    done = operator.type("notebooks", "--folder", str(tmp_path))
    [folder] = tmp_path.iterdir()
    assert done.out.endswith(f"Notebooks: {folder}\n")
    assert (folder / "deep" / MINE).read_text() == "changed again"


def test_a_worker_whose_master_is_gone_switches_itself_off(operator: Operator) -> None:
    faults.cut_power(operator.host("master"))
    wait_until(lambda: states(operator)["worker-1"] == "stopped", "the worker to switch itself off", 180)
    assert states(operator)["master"] == "running"


def test_where_every_host_is_deaf_aws_stops_them_at_its_hour(operator: Operator) -> None:
    moved = schedules_moved_to(operator, datetime.now(UTC) + timedelta(seconds=2))
    assert moved[:2] == ["master", "worker-1"]
    wait_until(lambda: states(operator)["master"] == "stopped", "AWS to stop the master", 60)


def schedules_moved_to(operator: Operator, at: datetime) -> list[str]:
    """Move the hour at which AWS stops the hosts; gives the schedules' names."""
    scheduler, group = operator.cloud.aws.client("scheduler"), "orchard-story"
    names = sorted(listed["Name"] for listed in scheduler.list_schedules(GroupName=group)["Schedules"])
    for name in names:
        found = scheduler.get_schedule(GroupName=group, Name=name)
        changed = {"ScheduleExpression": f"at({at:%Y-%m-%dT%H:%M:%S})", "ScheduleExpressionTimezone": "UTC"}
        keep = {key: found[key] for key in ("Name", "GroupName", "State", "Target", "FlexibleTimeWindow")}
        scheduler.update_schedule(**keep | changed)
    return names


def test_down_behind_a_proxy_after_an_automatic_stop_settles_the_ledger_and_leaves_the_bucket_only(
    operator: Operator, company: dict[str, str]
) -> None:
    done = operator.type("down", YES="1", **company)
    assert re.search(
        rf"^The bucket {operator.bucket} stays with [\d,]+ objects .*about 0\.00 USD", done.out, re.MULTILINE
    )
    assert re.search(r"^Cluster story from .* idle\.$", done.out, re.MULTILINE), done.text
    assert operator.left() == [f"bucket {operator.bucket}"]
    wait_until(lambda: not operator.cloud.sandbox.hosts, "the hosts to be gone")
    *_, last = ledger(operator)
    assert last["why"].startswith("AWS: its hosts had not stopped by themselves")
    assert all(entry["ended_at"] for entry in ledger(operator))


def test_without_a_cluster_jobs_and_notebooks_are_shown_from_the_bucket(operator: Operator, tmp_path: Path) -> None:
    started = time.monotonic()
    with opened(operator, "history", "--run=rounds") as pages:
        took = time.monotonic() - started
        print(f"history of a cluster that is gone: {took:.0f} s")
        with urllib.request.urlopen(pages["rounds"]) as page:  # noqa: S310  of the server here
            assert "Completed Jobs" in page.read().decode()
    assert operator.refused(7, "history", "--run=none").startswith(
        f"No event log of none is in s3://{operator.bucket}/"
    )
    operator.type("notebooks", "--folder", str(tmp_path))
    assert [file.read_text() for file in tmp_path.glob(f"*/deep/{MINE}")] == ["changed again"]


def test_down_again_has_nothing_to_do_and_purge_takes_the_bucket(operator: Operator) -> None:
    assert "Terraform knows of nothing" in operator.type("down").out
    assert "for good?" in operator.refused(8, "down", "--purge")
    assert operator.left() == [f"bucket {operator.bucket}"]
    assert f"bucket {operator.bucket} deleted" in operator.type("down", "--purge", YES="1").out
    assert operator.left() == []
