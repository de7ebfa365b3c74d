"""A worker that is lost while its run is followed. After test_operator_day, whose pictures it reads, on its cluster."""

import re
from pathlib import Path

import pytest

from tests.cluster import reference
from tests.cluster.operator import Operator
from tests.cluster.test_operator_day import PART_SECONDS, fetch_features, keys, parts_held, read_until
from tests.waiting import wait_until

LOST = "lost"


@pytest.fixture(autouse=True)
def up(whole: None) -> None:
    """The test has a cluster that is up."""


@pytest.fixture(autouse=True)
def uploaded(up: None, operator: Operator, pictures: Path) -> None:
    """The pictures are in the bucket, wherever these tests begin."""
    if not keys(operator, "pictures/"):
        operator.type("upload", f"--data={pictures}")


def main_pids(operator: Operator) -> str:
    """The processes of the master's daemons, as systemd has them: others after a restart."""
    asked = "systemctl show --property=MainPID spark-master spark-history jupyter"
    return operator.shell.must(operator.host("master"), asked)


def test_a_worker_lost_under_a_run_is_made_anew_beside_it_and_the_run_is_whole(
    operator: Operator, local_run: Path, imagenet_weights: Path, tmp_path: Path
) -> None:
    lost, other, daemons = operator.host("worker-2").name, operator.host("worker-1").name, main_pids(operator)
    words = ["run", f"--run={LOST}", f"--weights={imagenet_weights}", f"--args=--components {reference.COMPONENTS}"]
    with parts_held(operator, LOST, after=1):
        client = operator.begin(*words)
        wait_until(lambda: keys(operator, f"runs/{LOST}/features/"), "a first part", PART_SECONDS)
        operator.cloud.aws.client("ec2").terminate_instances(InstanceIds=[lost])
        said = read_until(client, r"^worker-2: lost: another is made in its place while the run goes on\.$")
    rest, errors = client.communicate(timeout=300)
    assert client.returncode == 0, said + rest + errors
    took = re.search(r"^worker-2: at work again after (.*)\.$", rest, re.MULTILINE)
    assert took, rest + errors
    print(f"a lost worker: at work again after {took[1]}")
    assert f"Run {LOST} is complete after" in rest
    assert operator.alive() == 2
    # One host is another, and nothing was restarted anywhere else.
    assert operator.host("worker-2").name != lost
    assert operator.host("worker-1").name == other
    assert main_pids(operator) == daemons
    fetch_features(operator, LOST, tmp_path)
    reference.assert_equal_rows(tmp_path, local_run, "features")
