"""A cluster's beginning in the operator's hands, against an AWS double with real hosts behind it.

What goes wrong before there is one, and an `up` that is killed on its way. The cluster that it leaves is the one
of test_operator_day and test_operator_end, in this order.
"""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cluster.operator import Operator
from tests.waiting import wait_until

# Before there is a cluster


def test_without_settings_the_first_step_is_named(operator: Operator) -> None:
    operator.tfvars.rename(operator.tfvars.with_suffix(".away"))
    assert operator.refused(2, "up") == (
        "There is no terraform/terraform.tfvars: run `make init`, which asks a few questions and writes it."
    )
    operator.tfvars.with_suffix(".away").rename(operator.tfvars)


def test_a_region_that_is_not_allowed_is_refused(operator: Operator) -> None:
    with operator.other_settings(region="us-east-1"):
        assert operator.refused(2, "up") == (
            "terraform.tfvars: This region is not among allowed_regions. By default these are the regions in the "
            "European Union, so that pictures and results are stored and worked on under EU law (GDPR); to go "
            "elsewhere on purpose, add the region to allowed_regions."
        )


def test_without_credentials_it_says_how_to_get_them(operator: Operator) -> None:
    assert operator.refused(3, "up", AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="") == (
        "There are no AWS credentials on this machine: run `aws configure`, or set AWS_PROFILE, then try again."
    )


def test_a_file_that_is_no_key_is_refused(operator: Operator, tmp_path: Path) -> None:
    for name in ("mine", "mine.pub"):
        (tmp_path / name).write_text("no key\n")
    (tmp_path / "mine").chmod(0o600)
    with operator.other_settings(ssh_public_key_path=str(tmp_path / "mine.pub")):
        said = operator.refused(2, "up")
    assert said.startswith(f"{tmp_path / 'mine'} is no private key that OpenSSH takes (")
    assert said.endswith("): name another in ssh_public_key_path.")


def test_where_no_cluster_is_up_the_first_step_is_named(operator: Operator) -> None:
    for task in ("stop", "run", "status", "jupyter"):
        assert operator.refused(7, task) == "No cluster is up by the name story: run `make up`."
    assert operator.refused(2, "scale", "--workers", "many") == (
        "terraform.tfvars: worker_count is of another type: a number is required."
    )


def test_init_writes_settings_that_terraform_takes(operator: Operator) -> None:
    before = operator.tfvars.read_text()
    operator.tfvars.unlink()
    done = operator.make("init", "ARGS=--name story --owner tester --workers 2 --email me@example.com")
    assert done.code == 0, done.text
    assert "account 123456789012" in done.out
    planned = operator.type("plan", "--admin-cidr", "203.0.113.7")
    assert planned.out.startswith("REHEARSAL: http://10.77.")
    assert re.search(r"^Price: 1\.01 USD an hour, 24\.33 USD a day", planned.out, re.MULTILINE), planned.text
    assert "create: master, worker-1, worker-2, " in planned.out
    assert operator.left() == []
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
    assert operator.refused(8, "up") == (
        f"AWS has security group {group}, VPC {vpc}, IAM role orchard-story-nodes of a cluster story that Terraform's "
        "state here does not know: another laptop's, or left by something that was killed. Choose another "
        "cluster_name, or run `make down`."
    )
    assert "Nobody is here to answer: say YES=1 to go on." in operator.refused(8, "down")
    assert vpc in str(ec2.describe_vpcs())
    operator.type("down", YES="1")
    assert operator.left() == []
    assert iam.get_role(RoleName="orchard-story-two-nodes")
    iam.delete_role(RoleName="orchard-story-two-nodes")


def test_a_worker_that_aws_has_no_room_for_is_named_and_half_a_cluster_goes_down(operator: Operator) -> None:
    operator.cloud.aws.fail(
        "ec2:RunInstances", code="VcpuLimitExceeded", match=f"orchard-{operator.cluster_name}-worker-2", times=50
    )
    failed = operator.type("up", check=False)
    assert failed.code == 4, failed.text
    sentence, running = failed.err.strip().splitlines()[-2:]
    assert sentence == (
        "worker-2 could not be started: your account's quota of vCPUs does not reach (VcpuLimitExceeded); ask for more "
        "under Service Quotas (EC2, Running On-Demand Standard instances), or set fewer workers or a smaller type in "
        "terraform.tfvars, then `make up` again."
    )
    assert running.startswith("Running now: master (m6i.large), worker-1 (c7a.2xlarge); 0.56 USD an hour by "), running
    listed = operator.type("status").out
    assert f"Cluster {operator.cluster_name} in eu-west-1 is not whole; AWS has these hosts of it:\n" in listed
    operator.cloud.aws.forget_faults()
    assert operator.refused(7, "stop") == (
        "Cluster story is half made: `make up` goes on with it, `make down` takes it away."
    )
    assert any(thing.startswith("instance i-") for thing in operator.left())
    done = operator.type("down")
    assert "nothing of cluster story is left in eu-west-1" in done.out
    assert operator.left() == [f"bucket {operator.bucket}"]


# Its life


def up_until(
    operator: Operator, line: str, reached: Callable[[], Any] = lambda: True, **environment: str
) -> subprocess.Popen[str]:
    """Type `up`, and wait until it has printed the line and the moment is reached."""
    process = operator.begin("up", **environment)
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


def test_up_behind_a_proxy_ends_well_though_it_was_killed_while_others_worked_for_it(
    operator: Operator, company: dict[str, str]
) -> None:
    calls = operator.cloud.aws.calls
    operator.kill(up_until(operator, "Checks", **company))
    operator.kill(up_until(operator, "Plan", lambda: "ec2:RunInstances" in calls(), **company))
    # Terraform went on alone: this one waits for its end.
    in_ansible = lambda: "PLAY [Make each host a Spark node]" in operator.log()  # noqa: E731
    operator.kill(up_until(operator, "SSH", in_ansible, **company))
    done = operator.type("up", **company)
    assert "Waiting for what `make up` (process " in done.out
    assert "2 workers alive" in done.out
    assert re.search(r"^price +1\.01 USD an hour, 24\.33 USD a day", done.out, re.MULTILINE), done.text
    assert f"s3://{operator.bucket}" in done.out
    assert "Next: make upload DATA=folder, then make run. When you are done: make down" in done.out
    # Terraform and Ansible had ended well by themselves, so this was another `up`.
    assert re.search(r"^Plan +\d+ s  nothing to change;", done.out, re.MULTILINE), done.text
    assert re.search(r"^Software +\d+ s  nothing to change$", done.out, re.MULTILINE), done.text
    print(f"second up: {working_seconds(done.out):.0f} s")
    assert operator.alive() == 2
    kinds = [thing.partition(" ")[0] for thing in operator.left()]
    assert (kinds.count("instance"), kinds.count("vpc"), kinds.count("bucket")) == (3, 1, 1)


def test_no_host_key_is_taken_but_the_pinned_one(operator: Operator, whole: None) -> None:
    known = operator.state / "known_hosts"
    pinned = known.read_text()
    assert operator.host("worker-1").host_key() in pinned
    # Another key, as of somebody in between.
    stranger = operator.host("master").host_key()
    known.write_text(pinned.replace(operator.host("worker-1").host_key(), stranger))
    said = operator.refused(5, "start")
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
    (operator.state / "known_hosts").unlink()
    started = operator.type("start")
    assert "2 workers alive" in started.out
    after = operator.host("master").metadata.identity.public_ip
    assert before != after
    assert after in started.out
    assert re.search(r"^Host keys +\d+ s  3 pinned by the console$", started.out, re.MULTILINE)
