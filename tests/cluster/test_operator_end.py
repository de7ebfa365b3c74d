"""A cluster's end in the operator's hands: fewer and more workers under a job, and down. After test_operator_day."""

import re
from collections.abc import Callable

import pytest

from tests.cluster.operator import STATE_DIRECTORY, Operator
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
    gone = operator.host("worker-2").name
    assert operator.alive() == 2
    more = operator.type("scale", "--workers", "3")
    assert "3 workers alive" in more.out
    assert operator.alive() == 3
    # The others learn its name; nothing is installed or restarted there.
    assert re.search(r"^\S+-worker-1 +: ok=\d+ +changed=[01] ", operator.log(), re.MULTILINE), operator.log()[-2000:]
    assert "worker_count = 3" in operator.tfvars.read_text()
    fewer = operator.type("scale", "--workers", "1")
    assert "worker-2, worker-3 may go" in fewer.out
    # Not even of the last one, whose executor was just starting.
    assert "did not finish" not in fewer.out
    assert "2 to destroy" in fewer.out
    assert operator.alive() == 1
    assert gone not in operator.cloud.sandbox.hosts
    assert "worker_count = 1" in operator.tfvars.read_text()
    assert rounds() > 5


# Its end


def test_down_asks_while_a_job_is_at_work(operator: Operator, rounds: Callable[[], int]) -> None:
    assert operator.refused(8, "down") == (
        "At work on the cluster: rounds. Take the cluster down all the same? Nobody is here to answer: say YES=1 to go "
        "on."
    )
    assert operator.alive() == 1
    rounds()


def test_down_saves_the_logs_and_leaves_the_bucket_only(operator: Operator, whole: None) -> None:
    # A host that cannot be reached keeps nobody from taking the cluster down.
    faults.cut_power(operator.host("worker-1"))
    done = operator.type("down", YES="1")
    assert "the logs of worker-1 were not saved: " in done.out
    assert re.search(r"^Logs +\d+ s  1 of 2 hosts, in s3://", done.out, re.MULTILINE), done.text
    assert re.search(
        rf"^The bucket {operator.bucket} stays with [\d,]+ objects .*about 0\.00 USD", done.out, re.MULTILINE
    )
    assert operator.left() == [f"bucket {operator.bucket}"]
    wait_until(lambda: not operator.cloud.sandbox.hosts, "the hosts to be gone")
    kept = [item["Key"] for item in operator.cloud.aws.client("s3").list_objects_v2(Bucket=operator.bucket)["Contents"]]
    assert any(re.fullmatch(r"logs/\w+/master/events\.tar\.gz", key) for key in kept), kept


def test_down_again_has_nothing_to_do_and_purge_takes_the_bucket(operator: Operator) -> None:
    assert "Terraform knows of nothing" in operator.type("down").out
    assert "for good?" in operator.refused(8, "down", "--purge")
    assert operator.left() == [f"bucket {operator.bucket}"]
    assert f"bucket {operator.bucket} deleted" in operator.type("down", "--purge", YES="1").out
    assert operator.left() == []
