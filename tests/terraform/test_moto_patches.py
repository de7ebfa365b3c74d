"""The mends of moto that nothing else proves."""

from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.ec2.models.iam_instance_profile import IamInstanceProfileAssociationBackend
from moto.ec2.models.instances import Instance
from moto.ec2.responses.instances import InstanceResponse

from tests.doubles.aws import moto_patches

REGION = "eu-west-1"
LOOK_SECONDS = 1  # as long as a launch waits for the look that is taken in its middle


@pytest.fixture
def shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mend under test, taken back afterwards."""
    for name in ("run_instances", "describe_instances"):
        monkeypatch.setattr(InstanceResponse, name, getattr(InstanceResponse, name))
    moto_patches.show_instances_whole()


@pytest.mark.usefixtures("shown_whole")
def test_an_instance_is_shown_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    associate = IamInstanceProfileAssociationBackend.associate_iam_instance_profile
    looks: list[Future[Any]] = []

    with mock_aws(), ThreadPoolExecutor(1) as pool:
        ec2, onlooker = boto3.client("ec2", REGION), boto3.client("ec2", REGION)
        boto3.client("iam").create_instance_profile(InstanceProfileName="nodes")

        def look_and_associate(*args: Any, **kwargs: Any) -> Any:
            looks.append(pool.submit(onlooker.describe_instances))
            wait(looks, LOOK_SECONDS)
            return associate(*args, **kwargs)

        monkeypatch.setattr(IamInstanceProfileAssociationBackend, "associate_iam_instance_profile", look_and_associate)
        image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, IamInstanceProfile={"Name": "nodes"})
        shown = looks[0].result()["Reservations"]
    assert ["IamInstanceProfile" in reservation["Instances"][0] for reservation in shown] == [True]


def test_an_instance_that_is_started_again_was_launched_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setattr(Instance, "start", Instance.start)
    moto_patches.launch_anew_at_each_start()
    with mock_aws():
        ec2 = boto3.client("ec2", REGION)
        image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        made = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]

        def launched() -> datetime:
            return ec2.describe_instances(InstanceIds=[made])["Reservations"][0]["Instances"][0]["LaunchTime"]

        first = launched()
        later = first + timedelta(hours=2)
        monkeypatch.setattr(moto_patches, "utcnow", lambda: later)
        ec2.start_instances(InstanceIds=[made])
        assert launched() == first
        ec2.stop_instances(InstanceIds=[made])
        ec2.start_instances(InstanceIds=[made])
        assert launched() == later


def test_a_type_that_takes_no_lane_to_its_disks_is_refused_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setattr(InstanceResponse, "run_instances", InstanceResponse.run_instances)
    moto_patches.refuse_a_lane_to_disks_that_a_type_has_not()
    with mock_aws():
        ec2 = boto3.client("ec2", REGION)
        one = {
            "ImageId": ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"],
            "MinCount": 1,
            "MaxCount": 1,
        }
        with pytest.raises(ec2.exceptions.ClientError, match="Unsupported"):
            ec2.run_instances(**one, InstanceType="t2.xlarge", EbsOptimized=True)
        assert ec2.run_instances(**one, InstanceType="t2.xlarge")["Instances"]
        assert ec2.run_instances(**one, InstanceType="m6i.large", EbsOptimized=True)["Instances"]
