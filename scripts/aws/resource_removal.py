"""What Terraform's state does not know of a cluster, taken away through the API, in the order that AWS asks for."""

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from scripts.access.errors import aws_errors_as_sentences
from scripts.aws import clients
from scripts.aws.resources import Resource
from scripts.waiting import wait_until

SECONDS = 180
GONE = {"NoSuchEntity", "ResourceNotFoundException", "ResourceNotFound"}
# While another part of the cluster still uses it.
NOT_YET = {"DependencyViolation", "DeleteConflict", "IncorrectInstanceState", "VolumeInUse", "InvalidParameterValue"}


def remove(region: str, found: list[Resource]) -> None:
    """Remove what was found, trying again while one depends on another. Raises AwsError for what stays."""
    left = list(found)

    def are_removed() -> bool:
        left[:] = [resource for resource in left if not _is_removed(region, resource)]
        return not left

    if not wait_until(are_removed, seconds=SECONDS):
        for resource in left:
            _is_removed(region, resource, is_last_try=True)


def _is_removed(region: str, resource: Resource, is_last_try: bool = False) -> bool:
    service, delete = next((service, kinds[resource.kind]) for service, kinds in _IN.items() if resource.kind in kinds)
    with aws_errors_as_sentences(f"delete {resource}"):
        try:
            delete(clients.client(service, region), resource.id)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            # Gone with something else. (A rule that is not found is no group that is not found.)
            if code in GONE or (code.endswith(".NotFound") and not code.startswith("InvalidPermission")):
                return True
            if code in NOT_YET and not is_last_try:
                return False
            raise
    return True


def _security_group(ec2: Any, group: str) -> None:
    """Rules first: groups that name each other hold each other."""
    found = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
    of_group = [{"Name": "group-id", "Values": [group]}]
    rules = ec2.describe_security_group_rules(Filters=of_group)["SecurityGroupRules"]
    for is_egress, revoke in ((False, ec2.revoke_security_group_ingress), (True, ec2.revoke_security_group_egress)):
        if ids := [rule["SecurityGroupRuleId"] for rule in rules if rule["IsEgress"] == is_egress]:
            revoke(GroupId=group, SecurityGroupRuleIds=ids)
    if found["GroupName"] != "default":  # that one goes with its VPC
        ec2.delete_security_group(GroupId=group)


def _internet_gateway(ec2: Any, gateway: str) -> None:
    for attached in ec2.describe_internet_gateways(InternetGatewayIds=[gateway])["InternetGateways"][0]["Attachments"]:
        ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=attached["VpcId"])
    ec2.delete_internet_gateway(InternetGatewayId=gateway)


def _route_table(ec2: Any, table: str) -> None:
    for used in ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Associations"]:
        if not used.get("Main"):
            ec2.disassociate_route_table(AssociationId=used["RouteTableAssociationId"])
    ec2.delete_route_table(RouteTableId=table)


def _instance_profile(iam: Any, name: str) -> None:
    for role in iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]["Roles"]:
        iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role["RoleName"])
    iam.delete_instance_profile(InstanceProfileName=name)


def _role(iam: Any, name: str) -> None:
    for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        iam.delete_role_policy(RoleName=name, PolicyName=policy)
    iam.delete_role(RoleName=name)


def _user(iam: Any, name: str) -> None:
    for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    for policy in iam.list_user_policies(UserName=name)["PolicyNames"]:
        iam.delete_user_policy(UserName=name, PolicyName=policy)
    iam.delete_user(UserName=name)


Remove = Callable[[Any, str], object]

_IN: dict[str, dict[str, Remove]] = {
    "scheduler": {"schedule group": lambda scheduler, name: scheduler.delete_schedule_group(Name=name)},
    "cloudwatch": {
        "alarm": lambda cloudwatch, name: cloudwatch.delete_alarms(AlarmNames=[name]),
        "dashboard": lambda cloudwatch, name: cloudwatch.delete_dashboards(DashboardNames=[name]),
    },
    "sns": {"SNS topic": lambda sns, arn: sns.delete_topic(TopicArn=arn)},
    "ec2": {
        "instance": lambda ec2, name: ec2.terminate_instances(InstanceIds=[name]),
        "spot request": lambda ec2, name: ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[name]),
        "volume": lambda ec2, name: ec2.delete_volume(VolumeId=name),
        "network interface": lambda ec2, name: ec2.delete_network_interface(NetworkInterfaceId=name),
        "VPC endpoint": lambda ec2, name: ec2.delete_vpc_endpoints(VpcEndpointIds=[name]),
        "security group": _security_group,
        "subnet": lambda ec2, name: ec2.delete_subnet(SubnetId=name),
        "internet gateway": _internet_gateway,
        "route table": _route_table,
        "VPC": lambda ec2, name: ec2.delete_vpc(VpcId=name),
        "key pair": lambda ec2, name: ec2.delete_key_pair(KeyName=name),
    },
    "iam": {"instance profile": _instance_profile, "IAM role": _role, "IAM user": _user},
}
