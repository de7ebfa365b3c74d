"""Hosts behind the AWS double's instances: what is asked of EC2 happens to a real host."""

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.sandbox.cloud import Cloud
from tests.sandbox.faults import hosts as faults
from tests.sandbox.host import Host
from tests.sandbox.metadata import RoleCredentials
from tests.sandbox.sandbox import MIB, Sandbox
from tests.sandbox.ssh import Shell
from tests.waiting import wait_until

ROLE_KEYS = RoleCredentials("AKIAROLE", "role-secret")
USER_DATA = "#!/bin/sh\necho from user data > /root/user-data-was-here\n"
ASK = """
import sys, urllib.error, urllib.request as u
base = "http://169.254.169.254/latest/"
token = u.urlopen(u.Request(base + "api/token", method="PUT", headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"}))
header = {"X-aws-ec2-metadata-token": token.read().decode()}
try:
    print(u.urlopen(u.Request(base + sys.stdin.readline().strip(), headers=header)).read().decode())
except urllib.error.HTTPError as error:
    print(error.code)
"""

Launch = Callable[..., Host]


@pytest.fixture(scope="module")
def cloud(sandbox: Sandbox) -> Iterator[Cloud]:
    with Cloud(sandbox, credentials=lambda: ROLE_KEYS, memory=512 * MIB) as made:
        yield made


@pytest.fixture(scope="module")
def launch(cloud: Cloud, public_key: str) -> Launch:
    """Launches an instance as Terraform's configuration does, and waits for its host."""
    ec2, iam = cloud.aws.client("ec2"), cloud.aws.client("iam")
    assert cloud.sandbox.run
    run = cloud.sandbox.run
    vpc = ec2.create_vpc(CidrBlock=str(run.network))["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=str(run.network))["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="nodes", Description="nodes", VpcId=vpc)["GroupId"]
    ssh = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": f"{run.gateway}/32"}]}
    among = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[ssh, among])
    ec2.import_key_pair(KeyName="tests", PublicKeyMaterial=public_key.encode())
    iam.create_role(RoleName="nodes", AssumeRolePolicyDocument="{}")
    iam.create_instance_profile(InstanceProfileName="nodes-profile")
    iam.add_role_to_instance_profile(InstanceProfileName="nodes-profile", RoleName="nodes")
    image = ec2.describe_images(Filters=[{"Name": "name", "Values": ["debian-12-amd64-*"]}])["Images"][0]["ImageId"]

    def launched(name: str, **options: Any) -> Host:
        interface = {
            "DeviceIndex": 0,
            "SubnetId": subnet,
            "Groups": [group],
            "AssociatePublicIpAddress": True,
        }
        asked = ec2.run_instances(
            **{
                "ImageId": image,
                "InstanceType": "m6i.large",
                "MinCount": 1,
                "MaxCount": 1,
                "KeyName": "tests",
                "NetworkInterfaces": [interface],
                "IamInstanceProfile": {"Name": "nodes-profile"},
                "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": name}]}],
            }
            | options
        )
        cloud.wait_until_in_step()
        host = cloud.host(asked["Instances"][0]["InstanceId"])
        host.wait_until_ready()
        return host

    return launched


@pytest.fixture(scope="module")
def instance(launch: Launch) -> Host:
    return launch("one", UserData=USER_DATA)


def ask(host: Host, shell: Shell, path: str) -> str:
    """What the metadata service says on the host."""
    done = shell.run(host, f"python3 -c '{ASK}'", text=path)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def state(cloud: Cloud, instance_id: str) -> str:
    instance_now = cloud.aws.client("ec2").describe_instances(InstanceIds=[instance_id])["Reservations"][0][
        "Instances"
    ][0]
    return str(instance_now["State"]["Name"])


def test_a_running_instance_has_a_host_at_its_public_address(cloud: Cloud, instance: Host, shell: Shell) -> None:
    instance_now = cloud.aws.client("ec2").describe_instances(InstanceIds=[instance.name])["Reservations"][0][
        "Instances"
    ][0]
    assert instance_now["PublicIpAddress"] == instance.metadata.identity.public_ip
    addresses = shell.must(instance, "ip -4 -o addr show eth0; hostname")
    assert instance_now["PrivateIpAddress"] in addresses
    assert f"ip-{instance_now['PrivateIpAddress'].replace('.', '-')}" in addresses
    assert instance_now["PublicIpAddress"] not in addresses
    assert cloud.host_named("one") is instance


def test_user_data_ran_once_as_root(instance: Host, shell: Shell) -> None:
    assert shell.must(instance, "sudo cat /root/user-data-was-here") == "from user data"


def test_cloud_config_in_user_data_is_followed(launch: Launch, cloud: Cloud, shell: Shell) -> None:
    config = {"write_files": [{"path": "/etc/told", "content": "by cloud-config"}]}
    host = launch("two", UserData="#cloud-config\n" + json.dumps(config))
    assert shell.must(host, "cat /etc/told") == "by cloud-config"
    cloud.aws.client("ec2").terminate_instances(InstanceIds=[host.name])


def test_the_console_output_names_the_host_key(cloud: Cloud, instance: Host) -> None:
    output = cloud.aws.client("ec2").get_console_output(InstanceId=instance.name)["Output"]
    keys = output.partition("-----BEGIN SSH HOST KEY KEYS-----")[2].partition("-----END SSH HOST KEY KEYS-----")[0]
    assert instance.host_key() in keys


def test_the_host_knows_itself_by_its_metadata(cloud: Cloud, instance: Host, shell: Shell) -> None:
    document = json.loads(ask(instance, shell, "dynamic/instance-identity/document"))
    assert document["instanceId"] == instance.name
    assert document["region"] == cloud.aws.region
    credentials = json.loads(ask(instance, shell, "meta-data/iam/security-credentials/nodes"))
    assert (credentials["AccessKeyId"], credentials["SecretAccessKey"]) == ("AKIAROLE", "role-secret")
    assert ask(instance, shell, "meta-data/public-keys/") == "0=orchard"


def test_a_spot_notice_appears_when_it_is_announced(instance: Host, shell: Shell) -> None:
    assert ask(instance, shell, "meta-data/spot/instance-action") == "404"
    moment = instance.metadata.announce_spot_interruption()
    notice = json.loads(ask(instance, shell, "meta-data/spot/instance-action"))
    assert notice == {"action": "terminate", "time": moment.strftime("%Y-%m-%dT%H:%M:%SZ")}


def test_a_security_group_rule_added_later_opens_its_port(cloud: Cloud, instance: Host, shell: Shell) -> None:
    shell.must(instance, "systemd-run --user --unit=web python3 -m http.server 9000")
    wait_until(lambda: ":9000" in shell.must(instance, "ss -ltn"), "the web server to listen")
    here = (instance.metadata.identity.public_ip, 9000)
    with pytest.raises(TimeoutError):
        socket.create_connection(here, 2)
    assert cloud.sandbox.run
    source = {"CidrIp": f"{cloud.sandbox.run.gateway}/32"}
    rule = {"IpProtocol": "tcp", "FromPort": 9000, "ToPort": 9000, "IpRanges": [source]}
    ec2 = cloud.aws.client("ec2")
    group = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["nodes"]}])["SecurityGroups"][0]
    ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[rule])
    cloud.wait_until_in_step()
    socket.create_connection(here, 2).close()
    ec2.revoke_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[rule])
    cloud.wait_until_in_step()
    with pytest.raises(TimeoutError):
        socket.create_connection(here, 2)


def test_a_rebooted_instance_boots_again_with_its_disk(cloud: Cloud, instance: Host, shell: Shell) -> None:
    before = shell.must(instance, "touch kept; cut -d' ' -f22 /proc/1/stat")
    cloud.aws.client("ec2").reboot_instances(InstanceIds=[instance.name])
    cloud.wait_until_in_step()
    instance.wait_until_ready()
    assert shell.must(instance, "ls kept; cut -d' ' -f22 /proc/1/stat") != f"kept\n{before}"


def test_a_stopped_instance_is_off_and_comes_back_when_started(cloud: Cloud, instance: Host, shell: Shell) -> None:
    ec2 = cloud.aws.client("ec2")
    shell.must(instance, "echo survived > note")
    ec2.stop_instances(InstanceIds=[instance.name])
    cloud.wait_until_in_step()
    assert not instance.container.is_running
    ec2.start_instances(InstanceIds=[instance.name])
    cloud.wait_until_in_step()
    instance.wait_until_ready()
    assert shell.must(instance, "cat note") == "survived"
    # cloud-init printed the keys at the first boot, and the console of before the stop is gone.
    assert "HOST KEY" not in instance.console()
    assert shell.must(instance, "sudo cat /root/user-data-was-here") == "from user data"


def test_a_host_that_lost_power_stays_down_though_its_instance_runs_until_a_reboot_is_asked_for(
    cloud: Cloud, instance: Host
) -> None:
    faults.cut_power(instance)
    cloud.wait_until_in_step()
    assert not instance.container.is_running
    assert state(cloud, instance.name) == "running"
    cloud.aws.client("ec2").reboot_instances(InstanceIds=[instance.name])
    cloud.wait_until_in_step()
    instance.wait_until_ready()


@pytest.mark.parametrize(("behaviour", "ends"), [("stop", "stopped"), ("terminate", "terminated")])
def test_a_host_switched_off_from_inside_ends_as_it_was_launched_to(
    cloud: Cloud, launch: Launch, shell: Shell, behaviour: str, ends: str
) -> None:
    host = launch(f"ends-{behaviour}", InstanceInitiatedShutdownBehavior=behaviour)
    shell.run(host, "sudo poweroff")
    wait_until(lambda: state(cloud, host.name) == ends, f"the instance to be {ends}")
    cloud.wait_until_in_step()
    assert host.root.exists() == (ends == "stopped")


def test_a_terminated_instance_leaves_nothing(cloud: Cloud, launch: Launch) -> None:
    host = launch("short")
    address = (host.metadata.identity.public_ip, 22)
    socket.create_connection(address, 2).close()
    cloud.aws.client("ec2").terminate_instances(InstanceIds=[host.name])
    cloud.wait_until_in_step()
    assert not host.folder.exists()
    with pytest.raises(OSError, match=r"timed out|No route to host"):
        socket.create_connection(address, 2)
