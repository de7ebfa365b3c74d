"""An image is a layer of a host that had booted, has nothing of that host's own, and hosts start from it and work."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scripts.images import shelf
from tests.cluster.cluster import BIN, ROOT, Cluster, Played
from tests.sandbox import handle
from tests.sandbox.cloud import ROLE_KEYS, Cloud
from tests.sandbox.host import Host
from tests.sandbox.images import layers
from tests.sandbox.sandbox import Sandbox

Launch = Callable[..., Host]
BUCKET = "orchard-images-bucket"
PATIENCE = 300  # seconds for hosts to follow; they need a few
# What Debian's packages have there, and a shutdown writes to: times and a kernel's version.
OF_SYSTEM = {"wtmp", "btmp", "lastlog", "faillog"}
INSTALLS = ("Install Java", "Install the time service", "Install what makes the environment", "Copy the lock files")


@dataclass
class Baked:
    """How `ansible/bake.yml` ended on two hosts, what was theirs, and the images made of them, by role."""

    played: subprocess.CompletedProcess[str]
    own: list[str]
    images: dict[str, str]


@pytest.fixture(scope="module")
def cloud(sandbox: Sandbox) -> Iterator[Cloud]:
    """An AWS whose hosts have what takes minutes to install, and reach its S3."""
    sandbox.use_layers([layers.prepared()])
    with Cloud(sandbox, credentials=lambda: ROLE_KEYS, memory=3 << 30, seen_by_hosts=True) as made:
        place = {"LocationConstraint": made.aws.region}
        made.aws.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the key, known hosts and outputs are."""
    return tmp_path_factory.mktemp("images") / "terraform"


@pytest.fixture(scope="module")
def launch(cloud: Cloud, folder: Path) -> Launch:
    """Launches an instance of an image, Debian's by default, and waits for its host."""
    ec2, iam, run = cloud.aws.client("ec2"), cloud.aws.client("iam"), cloud.sandbox.run
    assert run
    vpc = ec2.create_vpc(CidrBlock=str(run.network))["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=str(run.network))["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="nodes", Description="nodes", VpcId=vpc)["GroupId"]
    ssh = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": f"{run.gateway}/32"}]}
    among = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[ssh, among])
    ec2.import_key_pair(KeyName="tests", PublicKeyMaterial=handle.make_key(folder).encode())
    iam.create_role(RoleName="nodes", AssumeRolePolicyDocument="{}")
    iam.create_instance_profile(InstanceProfileName="nodes")
    iam.add_role_to_instance_profile(InstanceProfileName="nodes", RoleName="nodes")
    debian = ec2.describe_images(Filters=[{"Name": "name", "Values": ["debian-12-amd64-*"]}])["Images"][0]
    interface = {"DeviceIndex": 0, "SubnetId": subnet, "Groups": [group], "AssociatePublicIpAddress": True}

    def launched(image: str = debian["ImageId"]) -> Host:
        asked = ec2.run_instances(
            ImageId=image,
            InstanceType="m6i.large",
            MinCount=1,
            MaxCount=1,
            KeyName="tests",
            NetworkInterfaces=[interface],
            IamInstanceProfile={"Name": "nodes"},
            BlockDeviceMappings=[
                {"DeviceName": debian["RootDeviceName"], "Ebs": {"VolumeSize": 16, "Encrypted": True}}
            ],
        )
        cloud.wait_until_in_step(PATIENCE)
        host = cloud.host(asked["Instances"][0]["InstanceId"])
        host.wait_until_ready(PATIENCE)
        return host

    return launched


@pytest.fixture(scope="module")
def environment(cloud: Cloud) -> dict[str, str]:
    """What leads hosts to their S3."""
    return {"AWS_ENDPOINT_URL_S3": cloud.aws.endpoint_url, "AWS_ALLOW_HTTP": "true"}


@pytest.fixture(scope="module")
def baked(cloud: Cloud, folder: Path, launch: Launch, environment: dict[str, str]) -> Baked:
    """Images of two hosts, made as `make bake` makes them; the hosts are gone."""
    hosts = [launch(), launch()]
    played = play_bake(folder, hosts, environment)
    own = []
    for host in hosts:
        identity = host.metadata.identity
        own += [identity.instance_id, identity.private_ip, identity.public_ip, identity.hostname]
    own += [(folder / "id_ed25519.pub").read_text().split()[1], BUCKET, f"{handle.CLUSTER}-master"]
    ec2, region = cloud.aws.client("ec2"), cloud.aws.region
    ec2.stop_instances(InstanceIds=[host.name for host in hosts])
    cloud.wait_until_in_step(PATIENCE)
    images = {}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(shelf, "_ec2", lambda _: ec2)
        for role, host in zip(shelf.ROLES, hosts, strict=True):
            kind = shelf.kind(role, "x86_64", "12")
            images[role] = shelf.create(region, host.name, handle.CLUSTER, {}, (kind, "0" * 16))
        shelf.wait_for(region, handle.CLUSTER, list(images.values()), print)
    ec2.terminate_instances(InstanceIds=[host.name for host in hosts])
    cloud.wait_until_in_step(PATIENCE)
    return Baked(played, own, images)


def play_bake(folder: Path, hosts: list[Host], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `ansible/bake.yml` on the hosts as the operator's side does."""
    handle.write(folder, hosts, BUCKET)
    state = json.loads((folder / "terraform.tfstate").read_text())
    outputs = state["outputs"]
    bakers = {"master": outputs["master"]["value"], "worker": outputs["workers"]["value"][0]}
    outputs["bake"] = {"value": bakers, "type": ["object", dict.fromkeys(bakers, outputs["master"]["type"])]}
    (folder / "terraform.tfstate").write_text(json.dumps(state))
    return subprocess.run(
        [
            BIN / "ansible-playbook",
            ROOT / "ansible" / "bake.yml",
            "--extra-vars",
            json.dumps({"spark_environment": environment}),
        ],
        cwd=ROOT,
        env=os.environ
        | {
            "ANSIBLE_CONFIG": str(ROOT / "ansible" / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "ORCHARD_TERRAFORM": str(folder),
            "ORCHARD_BAKING": "1",
            "PATH": f"{BIN}:{os.environ['PATH']}",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def uppermost(cloud: Cloud, baked: Baked) -> list[Path]:
    """What the hosts of the images had written since they were made."""
    assert baked.played.returncode == 0, baked.played.stdout[-3000:] + baked.played.stderr[-1000:]
    return [cloud.images[image][0] for image in baked.images.values()]


def test_an_image_has_neither_keys_nor_names_nor_logs_of_the_host_that_it_was_made_of(uppermost: list[Path]) -> None:
    for layer in uppermost:
        names = [str(path.relative_to(layer)) for path in layer.rglob("*") if path.is_file() and not path.is_symlink()]
        unwanted = re.compile(
            r"etc/ssh/ssh_host|etc/orchard/|(root|home/\w+)/\.(ssh|ansible|cache|bash_history)|var/lib/cloud/"
            r"|var/lib/systemd/(random-seed|credential)|var/lib/dbus/machine-id|(var/)?tmp/"
        )
        assert [name for name in names if unwanted.match(name)] == []
        logs = [name for name in names if name.startswith("var/log/") and Path(name).name not in OF_SYSTEM]
        assert [name for name in logs if (layer / name).stat().st_size] == []
        assert (layer / "etc/machine-id").read_bytes() == b""


def test_no_byte_of_an_image_names_the_cluster_its_hosts_its_bucket_or_its_key(
    uppermost: list[Path], baked: Baked
) -> None:
    words = [word for text in baked.own for word in ("-e", text)]
    for layer in uppermost:
        found = subprocess.run(["grep", "-rlFa", *words, layer], capture_output=True, text=True, check=False).stdout
        assert found == ""


@pytest.fixture(scope="module")
def cluster(cloud: Cloud, folder: Path, launch: Launch, baked: Baked, environment: dict[str, str]) -> Cluster:
    """A master and a worker that have started from the images."""
    hosts = [launch(baked.images["master"]), launch(baked.images["worker"])]
    return Cluster(cloud.sandbox, folder, hosts, BUCKET, environment)


@pytest.fixture(scope="module")
def played(cluster: Cluster) -> Played:
    """The whole playbook on them."""
    return cluster.play()


def test_hosts_from_an_image_become_a_cluster_that_works_and_find_nothing_to_install(
    cluster: Cluster, played: Played
) -> None:
    assert played.code == 0, played.text[-3000:]
    ran = dict(re.findall(r"^TASK \[(.*?)\][ *]*\n((?:(?!TASK \[).*\n)*)", played.text, re.MULTILINE))
    changed = [task for task, body in ran.items() if "changed:" in body]
    assert not [task for task in changed if task.endswith(INSTALLS)]
    assert not [task for task in changed if "jars" in task]
    state: Any = cluster.state()
    assert [worker["state"] for worker in state["workers"]] == ["ALIVE"]


def test_each_host_from_an_image_is_another(cluster: Cluster) -> None:
    machines = {cluster.shell.must(host, "cat /etc/machine-id") for host in cluster.hosts}
    assert len(machines) == len({host.host_key() for host in cluster.hosts}) == 2
