"""What the keeper asks of AWS with its host's role: the cluster's instances, their end, the ledger, metrics."""

import functools
import json
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from orchard_keeper.ledger import Machine

# A look is made every few seconds: what does not answer now is asked again then.
CONFIG = Config(connect_timeout=5, read_timeout=15, retries={"max_attempts": 2, "mode": "standard"})
NAMESPACE, DIMENSION = "Orchard", "Cluster"
ALIVE = ["pending", "running"]
# For all hosts together: then this one switches itself off, and workers without a master follow.
END_SECONDS = 180.0
AwsError = (BotoCoreError, ClientError)
Answer = TypeVar("Answer")


def anew_without_keys(call: Callable[..., Answer]) -> Callable[..., Answer]:
    """Make the clients anew where they have no keys: one that was made while the host had none has none for ever."""

    @functools.wraps(call)
    def called(self: "Aws", *arguments: Any) -> Answer:
        try:
            return call(self, *arguments)
        except NoCredentialsError:
            self.forget()
            raise

    return called


class Aws:
    """The cluster's part of AWS. Methods raise AwsError."""

    def __init__(self, cluster: str, region: str, bucket: str) -> None:
        self.cluster, self._region, self._bucket = cluster, region, bucket
        self._clients: dict[str, Any] = {}

    @anew_without_keys
    def machines(self) -> list[Machine]:
        """The cluster's instances that run, or are about to; without those that images are made of, which end alone."""
        filters = [
            {"Name": "tag:Project", "Values": ["orchard"]},
            {"Name": "tag:Cluster", "Values": [self.cluster]},
            {"Name": "instance-state-name", "Values": ALIVE},
        ]
        pages = self._client("ec2").get_paginator("describe_instances").paginate(Filters=filters)
        found = [instance for page in pages for group in page["Reservations"] for instance in group["Instances"]]
        return [_machine(instance, self.cluster) for instance in found if _tags(instance).get("Role") != "bake"]

    def end(self, machines: Iterable[Machine]) -> list[str]:
        """Stop on-demand instances and terminate spot ones, the master last; gives what was refused."""
        refused, until = [], time.monotonic() + END_SECONDS
        for machine in sorted(machines, key=lambda machine: machine.is_master):
            ec2 = self._client("ec2")
            # One at a time: AWS refuses a whole request for one instance that has gone meanwhile.
            if time.monotonic() > until:
                refused.append(f"{machine.name}: AWS is too slow")
                continue
            ask = ec2.terminate_instances if machine.is_spot else ec2.stop_instances
            try:
                ask(InstanceIds=[machine.id])
            except AwsError as error:
                refused.append(f"{machine.name}: {error}")
        return refused

    @anew_without_keys
    def put(self, key: str, content: dict[str, Any]) -> None:
        """Put a JSON object into the bucket."""
        self._client("s3").put_object(Bucket=self._bucket, Key=key, Body=json.dumps(content, indent=1).encode())

    @anew_without_keys
    def publish(self, values: dict[str, tuple[float, str]]) -> None:
        """Put metrics, each a value and CloudWatch's name of its unit."""
        dimensions = [{"Name": DIMENSION, "Value": self.cluster}]
        data = [
            {"MetricName": name, "Dimensions": dimensions, "Value": value, "Unit": unit}
            for name, (value, unit) in values.items()
        ]
        self._client("cloudwatch").put_metric_data(Namespace=NAMESPACE, MetricData=data)

    def forget(self) -> None:
        """Make clients anew when they are asked for next."""
        self._clients.clear()

    def _client(self, service: str) -> Any:
        # It fetches the role's next keys by itself.
        if service not in self._clients:
            session = boto3.session.Session(region_name=self._region)
            self._clients[service] = session.client(service, config=CONFIG)
        return self._clients[service]


def _machine(found: dict[str, Any], cluster: str) -> Machine:
    tags = _tags(found)
    return Machine(
        id=found["InstanceId"],
        name=tags.get("Name", found["InstanceId"]).removeprefix(f"orchard-{cluster}-"),
        type=found["InstanceType"],
        is_spot=found.get("InstanceLifecycle") == "spot",
        is_master=tags.get("Role") == "master",
        has_address=bool(found.get("PublicIpAddress")),
        launched_at=found["LaunchTime"].timestamp(),
    )


def _tags(found: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in found.get("Tags", [])}
