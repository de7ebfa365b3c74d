"""Each wrong setting is refused with a sentence that says what would be right."""

import json
import re
from pathlib import Path

import pytest

from tests.doubles.aws.double import AwsDouble
from tests.terraform.configuration import SOURCE, Configuration
from tests.terraform.conftest import Make

# name of the case: variables that differ from a right set, beginning of the message
WRONG = {
    "capitals in the name": ({"cluster_name": "Fruits"}, "cluster_name takes 2 to 20 lower-case letters"),
    "a name too long for a bucket": ({"cluster_name": "a" * 21}, "cluster_name takes 2 to 20 lower-case letters"),
    "a hyphen at the end": ({"cluster_name": "fruits-"}, "cluster_name takes 2 to 20 lower-case letters"),
    "an owner AWS cannot store": ({"owner": "me#you"}, "owner takes 1 to 128 letters"),
    "a region outside the EU": ({"region": "us-east-1"}, "This region is not among allowed_regions. By default"),
    "no allowed region": ({"allowed_regions": []}, "allowed_regions names at least one region."),
    "a master of no type": ({"master_instance_type": "large"}, "master_instance_type is an EC2 instance type"),
    "a worker of no type": ({"worker_instance_type": "m6i large"}, "worker_instance_type is an EC2 instance type"),
    "no type for workers": ({"worker_instance_types": []}, "worker_instance_types is a list of EC2 instance types"),
    "a list with a word": (
        {"worker_instance_types": ["large"]},
        "worker_instance_types is a list of EC2 instance types",
    ),
    "a type twice": (
        {"worker_instance_types": ["c5.large", "c5.large"]},
        "worker_instance_types names each type once.",
    ),
    "one type and several": (
        {"worker_instance_type": "m6i.large", "worker_instance_types": ["c5.large"]},
        "worker_instance_type says nothing beside worker_instance_types",
    ),
    "too many workers": ({"worker_count": 101}, "worker_count is a whole number from 0 to 100."),
    "fewer than no workers": ({"worker_count": -1}, "worker_count is a whole number from 0 to 100."),
    "half a worker": ({"worker_count": 1.5}, "worker_count is a whole number from 0 to 100."),
    "a free spot worker": (
        {"worker_spot": True, "worker_spot_max_price": 0},
        "worker_spot_max_price is a positive number of USD per hour",
    ),
    "a spot price without spot": ({"worker_spot_max_price": 0.2}, "worker_spot_max_price says nothing while"),
    "a fallback from nothing": ({"spot_fallback": True}, "spot_fallback says nothing while worker_spot is false"),
    "a placement of another type": (
        {"placement": {"zone": "eu-west-1a", "worker_instance_type": "c5.large", "worker_spot": False}},
        "placement is among what the other settings allow",
    ),
    "a zone of another region": ({"zone": "eu-west-3a"}, "zone is an availability zone of the region"),
    "a zone beside a subnet": (
        {"zone": "eu-west-1a", "existing_subnet_id": "subnet-0theirs"},
        "zone says nothing with existing_subnet_id",
    ),
    "an image of no id": ({"ami_id": "debian"}, "ami_id is an image id"),
    "a baked image of no role": ({"baked_images": {"all": "ami-0"}}, "baked_images is chosen by `make up`"),
    "a disk too small": ({"root_volume_gb": 8}, "root_volume_gb is a whole number from 16 to 16384"),
    "nobody admitted": ({"admin_cidrs": []}, "admin_cidrs names at least one network"),
    "an address without a prefix": ({"admin_cidrs": ["203.0.113.7"]}, "admin_cidrs takes IPv4 networks"),
    "SSH for the whole world": ({"admin_cidrs": ["0.0.0.0/0"]}, "admin_cidrs refuses 0.0.0.0/0"),
    "SSH for the world in halves": ({"admin_cidrs": ["0.0.0.0/1", "128.0.0.0/1"]}, "admin_cidrs refuses 0.0.0.0/0"),
    "a private key": ({"ssh_public_key_path": "id_ed25519"}, "ssh_public_key_path names the public key"),
    "a user name with a space": ({"ssh_user": "the admin"}, "ssh_user is a Linux user name."),
    "a jump host that is a command": ({"ssh_proxy_jump": "jump; touch /tmp/x"}, "ssh_proxy_jump is one host, such as"),
    "a network too large": ({"vpc_cidr": "10.0.0.0/8"}, "vpc_cidr is an IPv4 network from /16 to /24"),
    "a network of words": ({"vpc_cidr": "mine"}, "vpc_cidr is an IPv4 network from /16 to /24"),
    "a subnet of no id": ({"existing_subnet_id": "10.0.0.0/24"}, "existing_subnet_id is a subnet id"),
    "unreachable hosts": ({"assign_public_ips": False}, "assign_public_ips = false needs existing_subnet_id"),
    "a key of no ARN": ({"bucket_kms_key_arn": "alias/mine"}, "bucket_kms_key_arn is the ARN of a key"),
    "versions kept no day": ({"old_versions_days": 0}, "old_versions_days is a whole number of days"),
    "runs expired before they began": ({"runs_expire_days": -1}, "runs_expire_days is a whole number of days"),
    "an idle second": ({"idle_minutes": 0.02}, "idle_minutes is a number of minutes from 0.5 to 1440"),
    "an age beyond the alarm's week": ({"max_age_hours": 168}, "max_age_hours is a number of hours from 0.1 to 160"),
    "deaf for a negative time": ({"deaf_minutes": -1}, "deaf_minutes is a number of minutes from 0.5 to 1440"),
    "an address without a domain": ({"budget_email": "me"}, "budget_email is an e-mail address"),
    "a budget of nothing": ({"budget_usd_per_month": 0}, "budget_usd_per_month is a positive number"),
}


# Rules that look at two variables: when one is wrong itself, the rule of the other is not reached.
JUDGED_WITH = {
    "allowed_regions": "region",
    "worker_spot_max_price": "worker_spot",
    "worker_instance_type": "worker_instance_types",
    "placement": "worker_instance_types",
    "spot_fallback": "worker_spot",
    "zone": "region",
    "assign_public_ips": "existing_subnet_id",
}


def touched(case: str) -> set[str]:
    """Variables whose rules a case may trip."""
    return {JUDGED_WITH.get(name, name) for name in WRONG[case][0]}


def rounds() -> list[list[str]]:
    """Cases in as few runs as can be: no variable twice in one."""
    together: list[list[str]] = []
    for name in WRONG:
        free = (cases for cases in together if not any(touched(name) & touched(case) for case in cases))
        fitting = next(free, None)
        if fitting is None:
            together.append([name])
        else:
            fitting.append(name)
    return together


def write_round(configuration: Configuration, number: int, mocked_aws: str, cases: list[str]) -> None:
    """A test file of its own: in one file, the first failing run would hide the others."""
    variables = {name: value for case in cases for name, value in WRONG[case][0].items()}
    lines = "".join(f"    {name} = {json.dumps(value)}\n" for name, value in variables.items())
    run = f'run "wrong" {{\n  command = plan\n  variables {{\n{lines}  }}\n}}\n'
    (configuration.folder / "tests" / f"wrong-{number}.tftest.hcl").write_text(mocked_aws + run)


@pytest.fixture(scope="module")
def refusals(make_configuration: Make, aws: AwsDouble) -> dict[int, list[str]]:
    """What Terraform says in each round, all asked in one run."""
    configuration = make_configuration(aws, "variables")
    configuration.init()
    right = configuration.folder / "tests" / "cluster.tftest.hcl"
    mocked_aws = right.read_text().partition("\nrun ")[0] + "\n"
    right.unlink()
    for number, cases in enumerate(rounds()):
        write_round(configuration, number, mocked_aws, cases)
    result = configuration.run("test", "-json")
    said: dict[int, list[str]] = {number: [] for number in range(len(rounds()))}
    for line in result.stdout.splitlines():
        event = json.loads(line)
        if event["type"] == "diagnostic" and event["diagnostic"]["severity"] == "error":
            number = int(Path(event["@testfile"]).name.split(".")[0].removeprefix("wrong-"))
            said[number].append(event["diagnostic"]["detail"])
    return said


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_setting_is_refused_and_explained(case: str, refusals: dict[int, list[str]]) -> None:
    number = next(number for number, cases in enumerate(rounds()) if case in cases)
    said = [detail for detail in refusals[number] if detail.startswith(WRONG[case][1])]
    assert len(said) == 1, refusals[number]


def test_each_mistake_gets_one_message(refusals: dict[int, list[str]]) -> None:
    assert [len(said) for said in refusals.values()] == [len(cases) for cases in rounds()]


def test_the_region_is_refused_with_the_reason(refusals: dict[int, list[str]]) -> None:
    said = "".join(detail for details in refusals.values() for detail in details)
    assert "stored and worked on under EU law (GDPR)" in said


def test_the_workers_default_types_are_the_same_wherever_they_stand() -> None:
    texts = [(SOURCE / name).read_text() for name in ("variables.tf", "compute.tf")]
    found = [types for text in texts for types in re.findall(r'\["c\w+\.\w+"(?:, "[^"]+")+\]', text)]
    assert len(found) == 3
    assert len(set(found)) == 1
