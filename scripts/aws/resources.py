"""What there is of a cluster in AWS, asked of the API and of nothing else: no state file, no memory.

By the tags Project and Cluster that everything carries; a dashboard carries none and goes by its name. The account's
budget is left to Terraform.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from scripts.access.errors import aws_errors_as_sentences
from scripts.aws import clients
from scripts.aws.bucket import Bucket

PROJECT = "orchard"
NOT_GONE = ["pending", "running", "shutting-down", "stopping", "stopped"]
# What a tag filter finds: call, the list in its answer, the name of an item.
TAGGED = (
    ("volume", "describe_volumes", "Volumes", "VolumeId"),
    ("network interface", "describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId"),
    ("VPC endpoint", "describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
    ("security group", "describe_security_groups", "SecurityGroups", "GroupId"),
    ("subnet", "describe_subnets", "Subnets", "SubnetId"),
    ("internet gateway", "describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    ("route table", "describe_route_tables", "RouteTables", "RouteTableId"),
    ("VPC", "describe_vpcs", "Vpcs", "VpcId"),
)
# How CloudWatch and SNS say that the person may not look.
REFUSED = {"AccessDenied", "AccessDeniedException", "AuthorizationError", "AuthorizationErrorException"}


@dataclass(frozen=True, order=True)
class Resource:
    """Something in AWS, as `instance i-0123`."""

    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


def of_cluster(region: str, cluster_name: str) -> list[Resource]:
    """Everything of the cluster except its bucket."""
    with aws_errors_as_sentences("say what there is of the cluster"):
        return [
            *_in_ec2(clients.client("ec2", region), cluster_name),
            *_in_iam(clients.client("iam", region), cluster_name),
            *_schedules(clients.client("scheduler", region), cluster_name),
            *_unless_refused(_in_cloudwatch(clients.client("cloudwatch", region), cluster_name)),
            *_unless_refused(_in_sns(clients.client("sns", region), cluster_name)),
        ]


def shutting_down(region: str, cluster_name: str) -> list[Resource]:
    """Instances of the cluster that are on their way out, and hold what they use until they are gone."""
    with aws_errors_as_sentences("describe the instances"):
        return list(_instances(clients.client("ec2", region), _by_tags(cluster_name), ["shutting-down"]))


def tags_of(cluster_name: str) -> dict[str, str]:
    """What everything of a cluster is tagged with."""
    return {"Project": PROJECT, "Cluster": cluster_name}


def every_instance(region: str, states: list[str]) -> list[dict[str, Any]]:
    """EC2's descriptions of the region's instances in these states, whoever's. Raises what boto3 raises."""
    return list(_described(clients.client("ec2", region), [], states))


def instances(region: str, cluster_name: str) -> list[dict[str, Any]]:
    """EC2's descriptions of the cluster's instances that are not gone, sorted by name. Raises what boto3 raises."""
    ec2 = clients.client("ec2", region, clients.IN_A_HURRY)

    def by_name(described: dict[str, Any]) -> tuple[int, str]:
        # The shorter before the longer: worker-2 before worker-10.
        name = host_name(described, cluster_name)
        return len(name), name

    return sorted(_described(ec2, _by_tags(cluster_name), NOT_GONE), key=by_name)


def bakers(region: str, cluster_name: str) -> list[str]:
    """Ids of the cluster's instances that images are made of, and that are not gone. Raises what boto3 raises."""
    there = instances(region, cluster_name)
    return [str(found["InstanceId"]) for found in there if _tags(found.get("Tags", [])).get("Role") == "bake"]


def host_name(described: dict[str, Any], cluster_name: str) -> str:
    """`master`, `worker-1` and so on by the instance's tag, its id where it has none."""
    name = _tags(described.get("Tags", [])).get("Name", "")
    return name.removeprefix(_prefix(cluster_name)) or str(described["InstanceId"])


def disk_gigabytes(region: str, cluster_name: str) -> int:
    """Sizes of the cluster's disks together. Raises what boto3 raises."""
    ec2 = clients.client("ec2", region, clients.IN_A_HURRY)
    pages = ec2.get_paginator("describe_volumes").paginate(Filters=_by_tags(cluster_name))
    return sum(int(volume["Size"]) for page in pages for volume in page["Volumes"])


def buckets(region: str, cluster_name: str) -> list[str]:
    """The cluster's buckets: those of its name that carry its tags."""
    s3 = clients.client("s3", region)
    with aws_errors_as_sentences("list the account's buckets"):
        names = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
        # The prefix is a cluster's whose name goes on after a hyphen, too: the tag decides.
        return [name for name in names if name.startswith(_prefix(cluster_name)) and _is_ours(s3, name, cluster_name)]


def bucket_left(region: str, cluster_name: str) -> Bucket | None:
    """The bucket that a cluster of this name has, or has left, in this region: it has one in each that it was in."""
    found = [name for name in buckets(region, cluster_name) if name.endswith(f"-{region}")]
    return Bucket(found[0], region) if found else None


def buckets_of_project(region: str) -> list[Bucket]:
    """The buckets of all clusters of the account, each with its own region; `region` is where they are asked for."""
    s3 = clients.client("s3", region)
    with aws_errors_as_sentences("list the account's buckets"):
        names = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
        ours = [
            name for name in names if name.startswith(f"{PROJECT}-") and _tags_of(s3, name).get("Project") == PROJECT
        ]
        return [Bucket(name, s3.head_bucket(Bucket=name).get("BucketRegion", region)) for name in ours]


def _in_ec2(ec2: Any, cluster_name: str) -> Iterator[Resource]:
    filters = _by_tags(cluster_name)
    yield from _instances(ec2, filters, NOT_GONE)
    for kind, call, listed, identity in TAGGED:
        for page in ec2.get_paginator(call).paginate(Filters=filters):
            # A deleted endpoint is listed for a while; nothing else has a state of this name.
            found = (item for item in page[listed] if item.get("State") not in ("deleted", "deleting"))
            yield from (Resource(kind, item[identity]) for item in found)
    for pair in ec2.describe_key_pairs(Filters=filters)["KeyPairs"]:
        yield Resource("key pair", pair["KeyName"])
    for request in ec2.describe_spot_instance_requests(Filters=filters)["SpotInstanceRequests"]:
        if request["State"] in ("open", "active"):
            yield Resource("spot request", request["SpotInstanceRequestId"])


def _instances(ec2: Any, filters: list[dict[str, Any]], states: list[str]) -> Iterator[Resource]:
    return (Resource("instance", instance["InstanceId"]) for instance in _described(ec2, filters, states))


def _described(ec2: Any, filters: list[dict[str, Any]], states: list[str]) -> Iterator[dict[str, Any]]:
    in_state = {"Name": "instance-state-name", "Values": states}
    for page in ec2.get_paginator("describe_instances").paginate(Filters=[*filters, in_state]):
        for reservation in page["Reservations"]:
            yield from reservation["Instances"]


def _by_tags(cluster_name: str) -> list[dict[str, Any]]:
    return [{"Name": f"tag:{key}", "Values": [value]} for key, value in tags_of(cluster_name).items()]


def _in_iam(iam: Any, cluster_name: str) -> Iterator[Resource]:
    for kind, name, listed in (
        ("instance profile", "InstanceProfile", "list_instance_profiles"),
        ("IAM role", "Role", "list_roles"),
        ("IAM user", "User", "list_users"),
    ):
        get = {"InstanceProfile": iam.get_instance_profile, "Role": iam.get_role, "User": iam.get_user}[name]
        for page in iam.get_paginator(listed).paginate():
            for found in (item[f"{name}Name"] for item in page[f"{name}s"]):
                # The lists leave tags out.
                if not found.startswith(_prefix(cluster_name)):
                    continue
                try:
                    tags = get(**{f"{name}Name": found})[name].get("Tags", [])
                except iam.exceptions.NoSuchEntityException:
                    # What is gone is listed for a while.
                    continue
                if _are_tags_of(tags, cluster_name):
                    yield Resource(kind, found)


def _schedules(scheduler: Any, cluster_name: str) -> Iterator[Resource]:
    """The group of the cluster's schedules; one that is being deleted is on its way out."""
    try:
        group = scheduler.get_schedule_group(Name=f"{PROJECT}-{cluster_name}")
        tags = scheduler.list_tags_for_resource(ResourceArn=group["Arn"])["Tags"]
    except scheduler.exceptions.ResourceNotFoundException:
        return
    if group["State"] != "DELETING" and _are_tags_of(tags, cluster_name):
        yield Resource("schedule group", group["Name"])


def _in_cloudwatch(cloudwatch: Any, cluster_name: str) -> Iterator[Resource]:
    name = f"{PROJECT}-{cluster_name}"
    for page in cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=_prefix(cluster_name)):
        for alarm in page["MetricAlarms"]:
            if _are_tags_of(cloudwatch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"], cluster_name):
                yield Resource("alarm", alarm["AlarmName"])
    for page in cloudwatch.get_paginator("list_dashboards").paginate(DashboardNamePrefix=name):
        yield from (Resource("dashboard", name) for entry in page["DashboardEntries"] if entry["DashboardName"] == name)


def _in_sns(sns: Any, cluster_name: str) -> Iterator[Resource]:
    name = f"{PROJECT}-{cluster_name}"
    for page in sns.get_paginator("list_topics").paginate():
        named = [topic["TopicArn"] for topic in page["Topics"] if topic["TopicArn"].endswith(f":{name}")]
        for arn in named:
            if _are_tags_of(sns.list_tags_for_resource(ResourceArn=arn)["Tags"], cluster_name):
                yield Resource("SNS topic", arn)


def _unless_refused(found: Iterator[Resource]) -> list[Resource]:
    """What there is, nothing where the person may not look: without cloudwatch = true nobody needs rights there."""
    try:
        return list(found)
    except ClientError as error:
        if error.response["Error"]["Code"] in REFUSED:
            return []
        raise


def _is_ours(s3: Any, bucket: str, cluster_name: str) -> bool:
    tags = _tags_of(s3, bucket)
    return tags.get("Project") == PROJECT and tags.get("Cluster") == cluster_name


def _tags_of(s3: Any, bucket: str) -> dict[str, str]:
    """A bucket's tags; none where it is gone, or somebody else's."""
    try:
        return _tags(s3.get_bucket_tagging(Bucket=bucket)["TagSet"])
    except s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchTagSet", "NoSuchBucket", "AccessDenied"):
            return {}
        raise


def _prefix(cluster_name: str) -> str:
    return f"{PROJECT}-{cluster_name}-"


def _are_tags_of(listed: list[dict[str, str]], cluster_name: str) -> bool:
    tags = _tags(listed)
    return tags.get("Project") == PROJECT and tags.get("Cluster") == cluster_name


def _tags(listed: list[dict[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in listed}
