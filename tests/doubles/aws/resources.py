"""What there is of a cluster, asked of the API and of nothing else: no state file, no memory."""

from collections.abc import Callable, Iterator
from typing import Any

Client = Callable[[str], Any]

PAGED = (
    ("volume", "describe_volumes", "Volumes", "VolumeId"),
    ("network-interface", "describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId"),
    ("security-group", "describe_security_groups", "SecurityGroups", "GroupId"),
    ("security-group-rule", "describe_security_group_rules", "SecurityGroupRules", "SecurityGroupRuleId"),
    ("vpc-endpoint", "describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
    ("route-table", "describe_route_tables", "RouteTables", "RouteTableId"),
    ("internet-gateway", "describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    ("subnet", "describe_subnets", "Subnets", "SubnetId"),
    ("vpc", "describe_vpcs", "Vpcs", "VpcId"),
)


def all_resources(client: Client) -> set[str]:
    """Everything in the account that a cluster may consist of, as `kind id`, whoever made it and however it is tagged.

    `client` makes a boto3 client for a service's name.
    """
    return {f"{kind} {identity}" for kind, identity, _ in _everything(client)}


def resources_of(client: Client, cluster_name: str) -> list[str]:
    """What exists of this cluster, by its Cluster tag or, where AWS has no tags, by its name; sorted."""
    prefix = f"orchard-{cluster_name}"

    def belongs(identity: str, tags: dict[str, str]) -> bool:
        tagged = tags.get("Project") == "orchard" and tags.get("Cluster") == cluster_name
        return tagged or identity == prefix or (not tags and identity.startswith(f"{prefix}-"))

    return sorted(f"{kind} {identity}" for kind, identity, tags in _everything(client) if belongs(identity, tags))


def _everything(client: Client) -> Iterator[tuple[str, str, dict[str, str]]]:
    yield from _network_and_machines(client("ec2"))
    yield from _identities(client("iam"))
    yield from _buckets(client("s3"))
    yield from _schedules(client("scheduler"))
    yield from _monitoring(client("cloudwatch"), client("sns"))


def _network_and_machines(ec2: Any) -> Iterator[tuple[str, str, dict[str, str]]]:
    for page in ec2.get_paginator("describe_instances").paginate():
        for instance in (host for reservation in page["Reservations"] for host in reservation["Instances"]):
            # A terminated instance is listed for about an hour more, and costs nothing.
            if instance["State"]["Name"] != "terminated":
                yield "instance", instance["InstanceId"], _tags(instance)
    for kind, call, listed, identity in PAGED:
        for page in ec2.get_paginator(call).paginate():
            # Only endpoints have a state of this name; a deleted one is listed for a while.
            for item in (item for item in page[listed] if item.get("State") != "deleted"):
                yield kind, item[identity], _tags(item)
    yield from _unpaged(ec2)


def _unpaged(ec2: Any) -> Iterator[tuple[str, str, dict[str, str]]]:
    for pair in ec2.describe_key_pairs()["KeyPairs"]:
        yield "key-pair", pair["KeyName"], _tags(pair)
    for address in ec2.describe_addresses()["Addresses"]:
        yield "address", address["AllocationId"], _tags(address)
    for request in ec2.describe_spot_instance_requests()["SpotInstanceRequests"]:
        if request["State"] in ("open", "active"):
            yield "spot-request", request["SpotInstanceRequestId"], _tags(request)


def _identities(iam: Any) -> Iterator[tuple[str, str, dict[str, str]]]:
    for page in iam.get_paginator("list_users").paginate():
        for user in page["Users"]:
            yield "iam-user", user["UserName"], _tags(iam.list_user_tags(UserName=user["UserName"]))
    for page in iam.get_paginator("list_roles").paginate():
        for role in page["Roles"]:
            yield "iam-role", role["RoleName"], _tags(iam.list_role_tags(RoleName=role["RoleName"]))
    for page in iam.get_paginator("list_instance_profiles").paginate():
        for profile in page["InstanceProfiles"]:
            yield "instance-profile", profile["InstanceProfileName"], _tags(profile)
    for page in iam.get_paginator("list_policies").paginate(Scope="Local"):
        for policy in page["Policies"]:
            yield "iam-policy", policy["PolicyName"], _tags(policy)


def _buckets(s3: Any) -> Iterator[tuple[str, str, dict[str, str]]]:
    for bucket in s3.list_buckets()["Buckets"]:
        try:
            tags = _tags({"Tags": s3.get_bucket_tagging(Bucket=bucket["Name"])["TagSet"]})
        except s3.exceptions.ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchTagSet":
                raise
            tags = {}
        yield "bucket", bucket["Name"], tags


def _schedules(scheduler: Any) -> Iterator[tuple[str, str, dict[str, str]]]:
    for page in scheduler.get_paginator("list_schedule_groups").paginate():
        for group in page["ScheduleGroups"]:
            yield "schedule-group", group["Name"], _tags(scheduler.list_tags_for_resource(ResourceArn=group["Arn"]))
    for page in scheduler.get_paginator("list_schedules").paginate():
        for schedule in page["Schedules"]:
            # A schedule has no tags: by its group it is somebody's.
            group = scheduler.get_schedule_group(Name=schedule["GroupName"])
            tags = _tags(scheduler.list_tags_for_resource(ResourceArn=group["Arn"]))
            yield "schedule", f"{schedule['GroupName']}/{schedule['Name']}", tags


def _monitoring(cloudwatch: Any, sns: Any) -> Iterator[tuple[str, str, dict[str, str]]]:
    for page in cloudwatch.get_paginator("describe_alarms").paginate():
        for alarm in page["MetricAlarms"]:
            tags = _tags(cloudwatch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"]))
            yield "alarm", alarm["AlarmName"], tags
    for page in cloudwatch.get_paginator("list_dashboards").paginate():
        for dashboard in page["DashboardEntries"]:
            yield "dashboard", dashboard["DashboardName"], _tags_by(dashboard["DashboardName"])
    for page in sns.get_paginator("list_topics").paginate():
        for arn in (topic["TopicArn"] for topic in page["Topics"]):
            yield "topic", arn.rpartition(":")[2], _tags(sns.list_tags_for_resource(ResourceArn=arn))
    for page in sns.get_paginator("list_subscriptions").paginate():
        for subscription in page["Subscriptions"]:
            name = subscription["TopicArn"].rpartition(":")[2]
            yield "subscription", name, _tags_by(name)


def _tags_by(name: str) -> dict[str, str]:
    """The tags that a thing would have that has none, by its name, which is `orchard-CLUSTER` and no more."""
    project, _, cluster_name = name.partition("-")
    return {"Project": project, "Cluster": cluster_name}


def _tags(described: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in described.get("Tags", [])}
