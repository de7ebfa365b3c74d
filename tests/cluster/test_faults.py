"""Every fault by its name, as a person asks for it, does what the list says it does, and ends with `clear`."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ReadTimeoutError

from tests.cluster.test_cloud import Launch, ask, cloud, launch, state
from tests.sandbox.cloud import Cloud
from tests.sandbox.faults.catalogue import Faults
from tests.sandbox.host import Host
from tests.sandbox.machine import SandboxError
from tests.sandbox.rehearsal import control
from tests.sandbox.ssh import Shell
from tests.waiting import wait_until

__all__ = ["cloud", "launch"]  # fixtures of the module that proves them
# It keeps what it has until it is killed, and would go by itself long after.
HUNGRY = 'import time; b = b"x" * (100 << 20); open("has-it", "w"); time.sleep(600)'


def impatient(cloud: Cloud) -> Any:
    """An S3 client that waits for two seconds and asks once."""
    config = Config(read_timeout=2, retries={"max_attempts": 0})
    return cloud.aws.client("s3", config=config)


@pytest.fixture(scope="module")
def host(launch: Launch) -> Host:
    return launch("shop-worker-1")


@pytest.fixture
def faults(cloud: Cloud, host: Host) -> Iterator[Faults]:
    """The cloud's faults; they end with the test."""
    made = Faults(cloud)
    yield made
    made.clear()
    host.wait_until_ready()


def test_a_fault_comes_over_the_socket_and_says_what_is_wrong_with_it(faults: Faults, tmp_path: Path) -> None:
    with control.listening(tmp_path, faults):
        assert control.ask(tmp_path, ["s3-slow", "0.1"]) == "s3-slow 0.1"
        assert control.ask(tmp_path, ["clear"]) == "All faults are ended."
        with pytest.raises(SandboxError, match=r"^There is no fault named rain: `python -m tests\.sandbox fault list`"):
            control.ask(tmp_path, ["rain"])
    with pytest.raises(SandboxError, match=r"^No cloud is up here: `make sandbox-cloud` boots one\.$"):
        control.ask(tmp_path, ["clear"])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["power-cut"], r"It is `fault power-cut HOST`\."),
        (["oom", "one", "two"], r"It is `fault oom HOST`\."),
        (["reboot", "worker-9"], r"worker-9 is no host: there is shop-worker-1\."),
        (["s3-errors", "7"], r"7 is no rate: give a part of the calls, as 0\.1 for one in ten\."),
        (["s3-slow", "long"], r"long is no number\."),
        (["clock", "2h"], r"2h is no shift of a clock: write it as \+2h, -30m or \+3d\."),
    ],
)
def test_what_is_not_understood_is_said_in_a_sentence(faults: Faults, words: list[str], sentence: str) -> None:
    with pytest.raises(SandboxError, match=f"^{sentence}$"):
        faults.strike(*words)


def test_power_is_cut_and_comes_back(faults: Faults, cloud: Cloud, host: Host) -> None:
    faults.strike("power-cut", "worker-1")
    assert not host.container.is_running
    assert state(cloud, host.name) == "running"
    faults.strike("power-on", "worker-1")
    host.wait_until_ready()


def test_the_link_goes_down_and_up(faults: Faults, host: Host, shell: Shell) -> None:
    faults.strike("link-down", host.name)
    assert not host._ssh_answers()
    faults.strike("link-up", host.name)
    assert shell.must(host, "hostname") == host.container.guest.hostname


def test_a_split_host_and_the_others_hear_nothing_of_each_other(
    faults: Faults, cloud: Cloud, host: Host, launch: Launch, shell: Shell
) -> None:
    other = launch("other")
    hear = f"timeout 2 bash -c 'exec 3<>/dev/tcp/{host.address}/22'"
    faults.strike("split", "worker-1")
    assert shell.run(other, hear).returncode == 124
    faults.clear()
    assert shell.run(other, hear).returncode == 0
    cloud.aws.client("ec2").terminate_instances(InstanceIds=[other.name])


def test_a_reboot_is_orderly(faults: Faults, host: Host, shell: Shell) -> None:
    before = shell.must(host, "cut -d' ' -f22 /proc/1/stat; sync; touch kept")
    faults.strike("reboot", "worker-1")
    host.wait_until_ready()
    assert shell.must(host, "cut -d' ' -f22 /proc/1/stat; ls kept") != f"{before}\nkept"


def test_a_spot_notice_is_given_and_taken_back(faults: Faults, host: Host, shell: Shell) -> None:
    faults.strike("spot-notice", "worker-1")
    assert json.loads(ask(host, shell, "meta-data/spot/instance-action"))["action"] == "terminate"
    faults.clear()
    assert ask(host, shell, "meta-data/spot/instance-action") == "404"


def test_a_rebalance_is_recommended_and_no_more(faults: Faults, host: Host, shell: Shell) -> None:
    faults.strike("rebalance", "worker-1")
    assert json.loads(ask(host, shell, "meta-data/events/recommendations/rebalance")).keys() == {"noticeTime"}
    faults.clear()
    assert ask(host, shell, "meta-data/events/recommendations/rebalance") == "404"


def test_a_spot_instance_is_lost_with_its_disk(faults: Faults, cloud: Cloud, launch: Launch) -> None:
    lost = launch("spare")
    faults.strike("spot-loss", "spare")
    cloud.wait_until_in_step()
    assert not lost.folder.exists()
    described = cloud.aws.client("ec2").describe_instances(InstanceIds=[lost.name])["Reservations"][0]["Instances"][0]
    assert described["State"]["Name"] == "terminated"
    assert described["StateReason"]["Code"] == "Server.SpotInstanceTermination"


@pytest.mark.parametrize("kind", ["type", "zone"])
def test_there_are_no_more_instances_of_a_type_or_in_a_zone(
    faults: Faults, cloud: Cloud, host: Host, launch: Launch, kind: str
) -> None:
    ec2, zone = cloud.aws.client("ec2"), host.metadata.identity.zone
    scarce, other = ("m6i.large", "c6i.2xlarge") if kind == "type" else (zone, f"{zone[:-1]}z")
    faults.strike("capacity", scarce)
    with pytest.raises(ec2.exceptions.ClientError, match="InsufficientInstanceCapacity"):
        launch("one-more")
    faults.clear()
    faults.strike("capacity", other)
    cloud.aws.client("ec2").terminate_instances(InstanceIds=[launch("one-more").name])


def test_calls_are_throttled_at_a_rate(faults: Faults, cloud: Cloud) -> None:
    ec2 = cloud.aws.client("ec2")
    faults.strike("throttle", "1")
    with pytest.raises(ec2.exceptions.ClientError, match="RequestLimitExceeded"):
        ec2.describe_vpcs()
    faults.clear()
    assert ec2.describe_vpcs()["Vpcs"]


def test_s3_refuses_requests_about_a_key(faults: Faults, cloud: Cloud) -> None:
    s3 = cloud.aws.client("s3")
    s3.create_bucket(Bucket="shop", CreateBucketConfiguration={"LocationConstraint": cloud.aws.region})
    faults.strike("s3-errors", "1", "/pictures/")
    s3.put_object(Bucket="shop", Key="runs/one", Body=b"one")
    with pytest.raises(s3.exceptions.ClientError, match="SlowDown"):
        s3.put_object(Bucket="shop", Key="pictures/one", Body=b"one")


def test_s3_answers_late(faults: Faults, cloud: Cloud) -> None:
    faults.strike("s3-slow", "3600")
    with pytest.raises(ReadTimeoutError):
        impatient(cloud).list_buckets()
    faults.clear()
    assert "Buckets" in impatient(cloud).list_buckets()


def test_what_has_been_terminated_meanwhile_is_left_alone(faults: Faults, cloud: Cloud, launch: Launch) -> None:
    gone = launch("gone")
    faults.strike("power-cut", "gone")
    cloud.aws.client("ec2").terminate_instances(InstanceIds=[gone.name])
    cloud.wait_until_in_step()
    assert faults.clear() == "All faults are ended."
    assert not gone.container.is_running


def test_a_disk_is_full_until_it_is_cleared(faults: Faults, host: Host, shell: Shell) -> None:
    faults.strike("disk-full", "worker-1")
    full = shell.run(host, "head -c 100000 /dev/zero > grown")
    assert "No space left on device" in full.stderr
    faults.clear()
    assert shell.must(host, "head -c 100000 /dev/zero > grown; stat -c %s grown") == "100000"


def test_memory_runs_out_and_the_kernel_kills_one_process(faults: Faults, host: Host, shell: Shell) -> None:
    shell.must(host, f"systemd-run --user --quiet --unit=hungry python3 -c '{HUNGRY}'")
    wait_until(lambda: shell.run(host, "test -e has-it").returncode == 0, "the process to have its memory")
    faults.strike("oom", "worker-1")
    wait_until(lambda: not shell.run(host, "pgrep -f '[h]as-it'").stdout, "the largest process to be killed")
    assert shell.must(host, "hostname") == host.container.guest.hostname


def test_what_systemd_starts_sees_another_time(faults: Faults, host: Host, shell: Shell) -> None:
    hours = "sudo systemd-run --quiet --wait --pipe date +%s"
    faults.strike("clock", "+2h", "worker-1")
    shifted, own = (int(found) for found in re.findall(r"\d+", shell.must(host, f"{hours}; date +%s")))
    assert 7100 < shifted - own < 7300
    faults.clear()
    shifted, own = (int(found) for found in re.findall(r"\d+", shell.must(host, f"{hours}; date +%s")))
    assert abs(shifted - own) < 100
