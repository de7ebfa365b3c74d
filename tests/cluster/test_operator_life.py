"""A cluster's life in the operator's hands: `fab up` to `fab down`, against an AWS double with real hosts behind it.

The tests share one cluster and run in this order: what goes wrong before there is one, its life, its end.
"""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.operator import Operator
from tests.cluster.waiting import wait_until
from tests.doubles.resources import resources_of
from tests.sandbox import faults
from tests.sandbox.ssh import Shell

# A job of rounds, each with a known sum, that goes on until it is told that it is enough.
JOB = """
import pathlib, time
from pyspark.sql import SparkSession
spark = SparkSession.builder.appName("rounds").getOrCreate()
def slow(number):
    time.sleep(0.3)
    return number
rounds = 0
while not pathlib.Path("/var/lib/spark/enough").exists():
    assert spark.sparkContext.parallelize(range(12), 12).map(slow).sum() == 66
    rounds += 1
spark.stop()
print("rounds, each whole:", rounds)
"""


def left(operator: Operator) -> list[str]:
    """What there is of the cluster by the tests' own look, which knows nothing of the product's."""
    return resources_of(operator.cloud.aws.client, operator.cluster_name)


def bucket(operator: Operator) -> str:
    return f"orchard-{operator.cluster_name}-123456789012-{operator.cloud.aws.region}"


def shell(operator: Operator) -> Shell:
    return Shell(operator.state / "id_ed25519")


def master_says(operator: Operator) -> dict[str, Any]:
    """The Spark master's own page, asked without the product's help; empty while it does not answer."""
    master = operator.host("master")
    page = f"http://{master.address}:8080/json/"
    ask = f"python3 -c 'import urllib.request as u; print(u.urlopen(\"{page}\", timeout=5).read().decode())'"
    done = shell(operator).run(master, ask)
    return json.loads(done.stdout) if done.returncode == 0 else {}


def alive(operator: Operator) -> int:
    """How many workers the master sees alive."""
    return sum(worker["state"] == "ALIVE" for worker in master_says(operator).get("workers", []))


def ended_with(operator: Operator, code: int, *words: str, **environment: str) -> str:
    """Type it; it must end with that code. Gives its last sentence."""
    done = operator.type(*words, check=False, **environment)
    assert done.code == code, done.text
    return done.err.strip().rpartition("\n")[2]


# Before there is a cluster


def test_without_settings_the_first_step_is_named(operator: Operator) -> None:
    operator.tfvars.rename(operator.tfvars.with_suffix(".away"))
    assert ended_with(operator, 2, "up") == (
        "There is no terraform/terraform.tfvars: run `make init`, which asks a few questions and writes it."
    )
    operator.tfvars.with_suffix(".away").rename(operator.tfvars)


def test_a_region_that_is_not_allowed_is_refused(operator: Operator) -> None:
    with operator.other_settings(region="us-east-1"):
        assert ended_with(operator, 2, "up") == (
            "terraform.tfvars: This region is not among allowed_regions. By default these are the regions in the "
            "European Union, so that pictures and results are stored and worked on under EU law (GDPR); to go "
            "elsewhere on purpose, add the region to allowed_regions."
        )


def test_without_credentials_it_says_how_to_get_them(operator: Operator) -> None:
    assert ended_with(operator, 3, "up", AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="") == (
        "There are no AWS credentials on this machine: run `aws configure`, or set AWS_PROFILE, then try again."
    )


def test_a_file_that_is_no_key_is_refused(operator: Operator, tmp_path: Path) -> None:
    for name in ("mine", "mine.pub"):
        (tmp_path / name).write_text("no key\n")
    (tmp_path / "mine").chmod(0o600)
    with operator.other_settings(ssh_public_key_path=str(tmp_path / "mine.pub")):
        said = ended_with(operator, 2, "up")
    assert said.startswith(f"{tmp_path / 'mine'} is no private key that OpenSSH takes (")
    assert said.endswith("): name another in ssh_public_key_path.")


def test_where_no_cluster_is_up_the_first_step_is_named(operator: Operator) -> None:
    assert ended_with(operator, 7, "stop") == "No cluster is up by the name story: run `make up`."
    assert ended_with(operator, 2, "scale", "--workers", "many") == (
        "terraform.tfvars: worker_count is of another type: a number is required."
    )


def test_init_writes_settings_that_terraform_takes(operator: Operator) -> None:
    before = operator.tfvars.read_text()
    operator.tfvars.unlink()
    done = operator.make("init", "ARGS=--name story --owner tester --workers 2 --email me@example.com")
    assert done.code == 0, done.text
    assert "account 123456789012" in done.out
    planned = operator.type("plan", "--admin-cidr", "203.0.113.7")
    assert re.search(r"^Price: 0\.86 USD an hour, 20\.70 USD a day", planned.out, re.MULTILINE), planned.text
    assert "create: master, worker-1, worker-2, " in planned.out
    assert left(operator) == []
    operator.tfvars.write_text(before)


def test_what_terraforms_state_does_not_know_is_named_and_taken_away_when_allowed(operator: Operator) -> None:
    ec2, iam = operator.cloud.aws.client("ec2"), operator.cloud.aws.client("iam")
    tags = [{"Key": "Project", "Value": "orchard"}, {"Key": "Cluster", "Value": operator.cluster_name}]
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/24", TagSpecifications=[{"ResourceType": "vpc", "Tags": tags}])["Vpc"][
        "VpcId"
    ]
    marked = {"TagSpecifications": [{"ResourceType": "security-group", "Tags": tags}]}
    group = ec2.create_security_group(GroupName="one", Description="one", VpcId=vpc, **marked)["GroupId"]
    iam.create_role(RoleName=f"orchard-{operator.cluster_name}-nodes", AssumeRolePolicyDocument="{}", Tags=tags)
    # Another cluster whose name begins like this one's.
    others = [{"Key": "Project", "Value": "orchard"}, {"Key": "Cluster", "Value": "story-two"}]
    iam.create_role(RoleName="orchard-story-two-nodes", AssumeRolePolicyDocument="{}", Tags=others)
    assert ended_with(operator, 8, "up") == (
        f"AWS has security group {group}, VPC {vpc}, IAM role orchard-story-nodes of a cluster story that Terraform's "
        "state here does not know: another laptop's, or left by something that was killed. Choose another "
        "cluster_name, or run `make down`."
    )
    assert "Nobody is here to answer: say YES=1 to go on." in ended_with(operator, 8, "down")
    assert vpc in str(ec2.describe_vpcs())
    operator.type("down", YES="1")
    assert left(operator) == []
    assert iam.get_role(RoleName="orchard-story-two-nodes")
    iam.delete_role(RoleName="orchard-story-two-nodes")


def test_a_worker_that_aws_has_no_room_for_is_named_and_half_a_cluster_goes_down(operator: Operator) -> None:
    operator.cloud.aws.fail(
        "ec2:RunInstances", code="VcpuLimitExceeded", match=f"orchard-{operator.cluster_name}-worker-2", times=50
    )
    assert ended_with(operator, 4, "up") == (
        "worker-2 could not be started: your account's quota of vCPUs does not reach (VcpuLimitExceeded); ask for more "
        "under Service Quotas (EC2, Running On-Demand Standard instances), or set fewer workers or a smaller type in "
        "terraform.tfvars, then `make up` again."
    )
    operator.cloud.aws.forget_faults()
    assert ended_with(operator, 7, "stop") == (
        "Cluster story is half made: `make up` goes on with it, `make down` takes it away."
    )
    assert any(thing.startswith("instance i-") for thing in left(operator))
    done = operator.type("down")
    assert "nothing of cluster story is left in eu-west-1" in done.out
    assert left(operator) == [f"bucket {bucket(operator)}"]


# Its life


def up_until(operator: Operator, line: str, reached: Callable[[], Any] = lambda: True) -> subprocess.Popen[str]:
    """Type `up`, and wait until it has printed the line and the moment is reached."""
    process = operator.begin("up")
    assert process.stdout
    said = ""
    for said in process.stdout:
        if said.startswith(line):
            break
    assert said.startswith(line), process.communicate()
    wait_until(reached, f"the moment after {line}", 120)
    assert process.poll() is None
    return process


def working_seconds(said: str) -> int:
    """What the phases took together; waiting for somebody else's is none."""
    return sum(int(seconds) for seconds in re.findall(r"^\w[\w ]+? +(\d+) s  ", said, re.MULTILINE))


def test_up_that_is_interrupted_says_how_to_go_on(operator: Operator) -> None:
    process = up_until(operator, "Checks")
    process.terminate()
    _, said = process.communicate()
    assert process.returncode == 130
    assert re.search(r"^Stopped.* again goes on\.$", said, re.MULTILINE), said


def test_up_ends_well_though_it_was_killed_in_each_phase(operator: Operator) -> None:
    calls = operator.cloud.aws.calls
    operator.kill(up_until(operator, "Checks"))
    operator.kill(up_until(operator, "Plan", lambda: "ec2:RunInstances" in calls()))
    # Terraform went on alone: this one waits for its end.
    operator.kill(up_until(operator, "Host keys"))
    operator.kill(up_until(operator, "SSH", lambda: "PLAY [Make each host a Spark node]" in operator.log()))
    done = operator.type("up")
    assert "Waiting for what `make up` (process " in done.out
    assert "2 workers alive" in done.out
    assert re.search(r"^price +0\.86 USD an hour, 20\.70 USD a day", done.out, re.MULTILINE), done.text
    assert f"s3://{bucket(operator)}" in done.out
    assert "Next: make upload DATA=folder, then make run. When you are done: make down" in done.out
    # Terraform and Ansible had ended well by themselves, so this was a second `up`.
    assert re.search(r"^Plan +\d+ s  nothing to change;", done.out, re.MULTILINE), done.text
    assert re.search(r"^Software +\d+ s  nothing to change$", done.out, re.MULTILINE), done.text
    print(f"second up: {working_seconds(done.out):.0f} s")
    assert alive(operator) == 2
    kinds = [thing.partition(" ")[0] for thing in left(operator)]
    assert (kinds.count("instance"), kinds.count("vpc"), kinds.count("bucket")) == (3, 1, 1)


@pytest.fixture(scope="module")
def whole(operator: Operator) -> None:
    """A cluster that is up: the tests before have left one, where they were chosen."""
    if not any(thing.startswith("instance ") for thing in left(operator)):
        operator.type("up")


def test_no_host_key_is_taken_but_the_pinned_one(operator: Operator, whole: None) -> None:
    known = operator.state / "known_hosts"
    pinned = known.read_text()
    assert operator.host("worker-1").host_key() in pinned
    # Another key, as of somebody in between.
    stranger = operator.host("master").host_key()
    known.write_text(pinned.replace(operator.host("worker-1").host_key(), stranger))
    said = ended_with(operator, 5, "start")
    known.write_text(pinned)
    assert said.startswith("worker-1 at ")
    assert "shows another host key than the one pinned in " in said


def test_credentials_reach_the_bucket_and_replace_their_elders(operator: Operator, whole: None) -> None:
    iam = operator.cloud.aws.client("iam")
    user = f"orchard-{operator.cluster_name}-person"
    file = Path(operator.environment["AWS_SHARED_CREDENTIALS_FILE"])
    texts = []
    for _ in range(2):
        done = operator.type("credentials")
        texts.append(file.read_text())
        secret = re.search(r"aws_secret_access_key = (\S+)", texts[-1])
        assert secret
        assert secret[1] not in done.out + done.err + operator.log()
    assert texts[0] != texts[1]
    [key] = iam.list_access_keys(UserName=user)["AccessKeyMetadata"]
    assert f"aws_access_key_id = {key['AccessKeyId']}\n" in texts[1]
    assert "[orchard-story]" in texts[1]
    assert file.stat().st_mode & 0o777 == 0o600
    state = next((operator.checkout / "terraform" / "terraform.tfstate.d").rglob("terraform.tfstate")).read_text()
    assert key["AccessKeyId"] not in state


def test_a_stopped_cluster_comes_back_at_new_addresses(operator: Operator, whole: None) -> None:
    before = operator.host("master").metadata.identity.public_ip
    stopped = operator.type("stop")
    assert "3 hosts stopped" in stopped.out
    assert "While it is stopped, its disks cost 0.26 USD a day. Next: make start" in stopped.out
    operator.cloud.wait_until_in_step()
    assert not operator.host("worker-1").container.is_running
    assert "is stopped already" in operator.type("stop").out
    started = operator.type("start")
    assert "2 workers alive" in started.out
    after = operator.host("master").metadata.identity.public_ip
    assert before != after
    assert after in started.out
    assert "pinned before" in started.out


@pytest.fixture
def rounds(operator: Operator, whole: None) -> Callable[[], int]:
    """A job that is at work on the cluster; the call ends it kindly and gives how many rounds it came to."""
    ssh, master = shell(operator), operator.host("master")
    unit = "sudo systemd-run --quiet --collect --uid=spark --gid=spark --unit=rounds --property=RemainAfterExit=yes"
    settings = "--property=EnvironmentFile=/etc/orchard/environment --property=WorkingDirectory=/var/lib/spark"
    ssh.must(master, f"cat > /tmp/rounds.py && {unit} {settings} /opt/orchard/venv/bin/python /tmp/rounds.py", text=JOB)

    def end() -> int:
        ssh.must(master, "sudo touch /var/lib/spark/enough")
        journal = "sudo journalctl --no-pager --output=cat --unit=rounds"
        wait_until(lambda: "rounds, each whole:" in ssh.run(master, journal).stdout, "the job's end", 60)
        told = re.search(r"^rounds, each whole: (\d+)$", ssh.run(master, journal).stdout, re.MULTILINE)
        assert told
        ssh.must(master, "sudo systemctl stop rounds; sudo rm /var/lib/spark/enough")
        return int(told[1])

    wait_until(lambda: master_says(operator).get("coresused", 0) > 0, "the job to have executors", 60)
    return end


def test_workers_come_and_go_under_a_job_that_loses_nothing(operator: Operator, rounds: Callable[[], int]) -> None:
    gone = operator.host("worker-2").name
    operator.cloud.aws.fail(
        "ec2:RunInstances",
        code="InsufficientInstanceCapacity",
        match=f"orchard-{operator.cluster_name}-worker-3",
        times=50,
    )
    assert ended_with(operator, 4, "scale", "--workers", "3") == (
        "worker-3 could not be started: AWS has none left in this zone just now (InsufficientInstanceCapacity); "
        "`make up` again in some minutes, or choose another type in terraform.tfvars."
    )
    operator.cloud.aws.forget_faults()
    assert alive(operator) == 2
    more = operator.type("scale", "--workers", "3")
    assert "3 workers alive" in more.out
    assert alive(operator) == 3
    assert "worker_count = 3" in operator.tfvars.read_text()
    fewer = operator.type("scale", "--workers", "1")
    assert "worker-2, worker-3 may go" in fewer.out
    assert "2 to destroy" in fewer.out
    assert alive(operator) == 1
    assert gone not in operator.cloud.sandbox.hosts
    assert "worker_count = 1" in operator.tfvars.read_text()
    assert rounds() > 5


# Its end


def test_down_asks_while_a_job_is_at_work(operator: Operator, rounds: Callable[[], int]) -> None:
    assert ended_with(operator, 8, "down") == (
        "At work on the cluster: rounds. Take the cluster down all the same? Nobody is here to answer: say YES=1 to go "
        "on."
    )
    assert alive(operator) == 1
    rounds()


def test_down_saves_the_logs_and_leaves_the_bucket_only(operator: Operator, whole: None) -> None:
    # A host that cannot be reached keeps nobody from taking the cluster down.
    faults.cut_power(operator.host("worker-1"))
    done = operator.type("down", YES="1")
    assert "the logs of worker-1 were not saved: " in done.out
    assert re.search(r"^Logs +\d+ s  1 of 2 hosts, in s3://", done.out, re.MULTILINE), done.text
    assert re.search(
        rf"^The bucket {bucket(operator)} stays with [\d,]+ objects .*about 0\.00 USD", done.out, re.MULTILINE
    )
    assert left(operator) == [f"bucket {bucket(operator)}"]
    wait_until(lambda: not operator.cloud.sandbox.hosts, "the hosts to be gone")
    kept = [
        item["Key"] for item in operator.cloud.aws.client("s3").list_objects_v2(Bucket=bucket(operator))["Contents"]
    ]
    assert any(re.fullmatch(r"logs/\w+/master/events\.tar\.gz", key) for key in kept), kept


def test_down_again_has_nothing_to_do_and_purge_takes_the_bucket(operator: Operator) -> None:
    assert "Terraform knows of nothing" in operator.type("down").out
    assert "for good?" in ended_with(operator, 8, "down", "--purge")
    assert left(operator) == [f"bucket {bucket(operator)}"]
    assert f"bucket {bucket(operator)} deleted" in operator.type("down", "--purge", YES="1").out
    assert left(operator) == []
