"""A person's checkout, and stand-ins for Terraform and for the hosts."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from scripts import console, processes, tfvars
from scripts.aws import account, own_address, quotas
from scripts.aws.bucket import Bucket, bucket_of
from scripts.cluster import Cluster
from scripts.hosts import ansible, host_keys, keeper, kept_files, logs, readiness
from scripts.hosts.keeper import Ends, LastEntry
from scripts.money import prices
from scripts.repair import answering
from scripts.runs import at_work
from scripts.terraform import outputs, validation, workspace
from tests.doubles.fake_terraform import FakeTerraform
from tests.unit.scripts.conftest import REGION

NAME = "fruits"
WISHED = ("aws_vpc.cluster[0]", "aws_s3_bucket.data", "aws_instance.master", "aws_instance.worker[0]")
ENDS = Ends(
    looked_at=1e9, held_by=(), idle_since=1e9, ends_at=1e9 + 1800, ends_kind="idle", age_ends_at=1e9 + 43_200,
    kept_until=None, aws_stops_at=None, warning=None, ending=None, ended=None, usd=None, currency=None,
)  # fmt: skip
TAGS = [{"Key": "Project", "Value": "orchard"}, {"Key": "Cluster", "Value": NAME}]


@pytest.fixture(autouse=True)
def checkout(aws: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings of a cluster `fruits` with one worker, an empty account, nobody at the terminal, no program needed."""
    terraform = tmp_path / "terraform"
    terraform.mkdir()
    for name in ("variables.tf", "versions.tf"):
        (terraform / name).write_text((tfvars.CHECKOUT / "terraform" / name).read_text())
    (terraform / "terraform.tfvars").write_text(f'cluster_name = "{NAME}"\nowner = "me"\nworker_count = 1\n')
    monkeypatch.setenv("ORCHARD_TERRAFORM", str(terraform))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("YES", raising=False)
    monkeypatch.setattr(console, "LOGS", tmp_path / "logs")
    monkeypatch.setattr(processes, "need", lambda program: program)
    monkeypatch.setattr(own_address, "own_address", lambda: "203.0.113.7")
    own_address.shut_out.cache_clear()
    monkeypatch.setattr(prices, "_ask_api", lambda *_: None)
    monkeypatch.setattr(quotas, "_allowed", lambda *_: 64)
    monkeypatch.setattr(account, "plan_of_account", lambda: "PAID")
    # Between two looks of a wait: what is waited for comes when it is looked for.
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    console.begin("test", verbose=False)
    return tmp_path


@pytest.fixture(autouse=True)
def settings_checked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The settings that Terraform was asked to judge; it takes all of them."""
    seen: list[str] = []
    monkeypatch.setattr(validation, "check", seen.append)
    return seen


@pytest.fixture
def instances(aws: Callable[[str], Any]) -> list[str]:
    """Ids of two instances of the cluster, the master's first, that run."""
    tagged = [{"ResourceType": "instance", "Tags": TAGS}]
    image = aws("ec2").describe_images()["Images"][0]["ImageId"]
    made = aws("ec2").run_instances(
        ImageId=image, MinCount=2, MaxCount=2, InstanceType="m6i.large", TagSpecifications=tagged
    )
    return [instance["InstanceId"] for instance in made["Instances"]]


@pytest.fixture
def terraform(monkeypatch: pytest.MonkeyPatch) -> FakeTerraform:
    """Terraform with nothing applied yet."""
    fake = FakeTerraform(described(["i-0", "i-1"]), WISHED, variables())
    fake.values = {"aws_s3_bucket.data": {"bucket": f"orchard-{NAME}-1"}}
    monkeypatch.setattr(workspace, "Workspace", lambda _: fake)
    return fake


@pytest.fixture
def cluster(terraform: FakeTerraform, instances: list[str]) -> Cluster:
    """A cluster of a master and a worker that is up, its instances in AWS."""
    terraform.cluster_outputs = described(instances)
    terraform.exists()
    terraform.state |= dict(zip(("aws_instance.master", "aws_instance.worker[0]"), instances, strict=True))
    return outputs.current()


@pytest.fixture
def bucket(cluster: Cluster, aws: Callable[[str], Any]) -> Bucket:
    """The cluster's bucket, empty."""
    aws("s3").create_bucket(Bucket=cluster.bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    return bucket_of(cluster)


@pytest.fixture
def named(cluster: Cluster, aws: Callable[[str], Any]) -> Cluster:
    """The cluster, its instances and disks tagged as Terraform tags them."""
    for host in cluster.hosts:
        tags = [*TAGS, {"Key": "Name", "Value": f"orchard-{NAME}-{host.name}"}]
        disks = aws("ec2").describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [host.id]}])
        ids = [host.id, *(volume["VolumeId"] for volume in disks["Volumes"])]
        aws("ec2").create_tags(Resources=ids, Tags=tags)
    return cluster


class FakeHosts:
    """What lifecycle does with hosts, in order; `at_work` is what goes on there, `failing` a step that fails."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.at_work: list[str] = []
        self.failing: dict[str, Exception] = {}
        self.told: list[dict[str, Any]] = []
        self.holds: list[str] = []

    @contextmanager
    def holding(self, name: str, told: dict[str, Any]) -> Iterator[None]:
        """The keeper is held for the time of a block, told of this first."""
        # Nothing ends the cluster for its age meanwhile.
        assert told["begins_anew"]
        self.holds.append(name)
        yield
        self.holds.append(f"{name} no more")

    def does(self, step: str, answer: Any = None) -> Callable[..., Any]:
        """A stand-in that notes the step and gives this answer."""

        def stand_in(*_: Any) -> Any:
            self.steps.append(step)
            if step in self.failing:
                raise self.failing[step]
            return answer

        return stand_in


@pytest.fixture(autouse=True)
def hosts(monkeypatch: pytest.MonkeyPatch) -> FakeHosts:
    """Hosts that do at once what they are asked."""
    fake = FakeHosts()
    monkeypatch.setattr(host_keys, "has_pair", lambda _: True)
    monkeypatch.setattr(host_keys, "ensure_pair", fake.does("make the key", "new key"))
    monkeypatch.setattr(readiness, "connect", fake.does("connect"))
    monkeypatch.setattr(answering, "connect", lambda cluster, _: fake.does("connect", cluster)())
    monkeypatch.setattr(ansible, "configure", fake.does("configure", 3))
    monkeypatch.setattr(readiness, "verify", fake.does("verify"))
    monkeypatch.setattr(logs, "save_to_bucket", fake.does("save the logs"))
    monkeypatch.setattr(kept_files, "put_now", fake.does("keep the files"))
    monkeypatch.setattr(at_work, "at_work", lambda _: fake.at_work)
    monkeypatch.setattr(at_work, "end_runs", fake.does("end the runs"))
    monkeypatch.setattr(keeper, "held", lambda _, name, **told: fake.holding(name, told))
    monkeypatch.setattr(keeper, "tell", lambda _, **told: fake.told.append(told) or ENDS)
    monkeypatch.setattr(keeper, "end", lambda _, why: fake.does(f"end the stretch: {why}", last_entry(why))())
    return fake


def described(ids: list[str]) -> dict[str, Any]:
    """Terraform's outputs for a cluster of these instances, the master first."""
    hosts = [
        {"name": name, "id": identity, "private_ip": f"10.0.0.{10 + index}", "public_ip": f"203.0.113.{10 + index}"}
        for index, (name, identity) in enumerate(zip(["master", *worker_names(ids)], ids, strict=True))
    ]
    return variables() | {
        "cluster_name": NAME,
        "bucket": f"orchard-{NAME}-1",
        "master": hosts[0],
        "workers": hosts[1:],
        "ssh_user": "admin",
        "ssh_key_path": "key",
        "iam_user_name": f"orchard-{NAME}-person",
        "tags": {},
    }


def last_entry(why: str) -> LastEntry:
    """What the keeper would have the ledger keep."""
    return LastEntry(f"ledger/{NAME}/20260101T000000Z.json", {"why": why})


def worker_names(ids: list[str]) -> list[str]:
    return [f"worker-{number}" for number in range(1, len(ids))]


def variables() -> dict[str, Any]:
    """The settings that the price and the account's answers depend on."""
    return {
        "cluster_name": NAME,
        "region": REGION,
        "master_instance_type": "m6i.large",
        "worker_instance_type": "c6i.2xlarge",
        "worker_count": 1,
        "worker_spot": False,
        "root_volume_gb": 30,
        "ends": {"idle_minutes": 30, "max_age_hours": 12, "deaf_minutes": 20},
        "idle_minutes": 30,
        "max_age_hours": 12,
        "cloudwatch": True,
        "budget_email": None,
        "existing_subnet_id": None,
    }
