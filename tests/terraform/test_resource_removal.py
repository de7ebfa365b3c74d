"""What `make down` finds through the API, and takes away, where Terraform's state knows nothing of it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.aws import clients, resource_removal, resources
from tests.doubles.aws.double import AwsDouble
from tests.doubles.aws.resources import resources_of

NAME = "lost"
TAGS = [{"Key": "Project", "Value": "orchard"}, {"Key": "Cluster", "Value": NAME}]
OTHER = [{"Key": "Project", "Value": "orchard"}, {"Key": "Cluster", "Value": "lost-two"}]


@pytest.fixture(scope="module")
def account(aws: AwsDouble) -> Iterator[AwsDouble]:
    """The tests' AWS, taken by the product's clients for Amazon's."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in aws.environment().items():
            monkeypatch.setenv(name, value)
        clients.forget()
        yield aws
    clients.forget()


def marked(kind: str, tags: list[dict[str, str]]) -> dict[str, Any]:
    return {"TagSpecifications": [{"ResourceType": kind, "Tags": tags}]}


def build(aws: AwsDouble, name: str, tags: list[dict[str, str]], network: str) -> None:
    """A whole cluster as its resources are in AWS, each holding on to others."""
    ec2, iam = aws.client("ec2"), aws.client("iam")
    vpc = ec2.create_vpc(CidrBlock=network, **marked("vpc", tags))["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=network, **marked("subnet", tags))["Subnet"]["SubnetId"]
    gateway = ec2.create_internet_gateway(**marked("internet-gateway", tags))["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    table = ec2.create_route_table(VpcId=vpc, **marked("route-table", tags))["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    service = f"com.amazonaws.{aws.region}.s3"
    endpoint = {"VpcEndpointType": "Gateway", "ServiceName": service, "RouteTableIds": [table]}
    ec2.create_vpc_endpoint(VpcId=vpc, **endpoint, **marked("vpc-endpoint", tags))
    groups = [
        ec2.create_security_group(GroupName=part, Description=part, VpcId=vpc, **marked("security-group", tags))[
            "GroupId"
        ]
        for part in ("nodes", "ssh")
    ]
    for group, other in (groups, reversed(groups)):
        rule = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": other}]}
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    ec2.create_key_pair(KeyName=f"orchard-{name}", **marked("key-pair", tags))
    image = ec2.describe_images(Filters=[{"Name": "name", "Values": ["debian-12-amd64-*"]}])["Images"][0]["ImageId"]
    both = {"TagSpecifications": [{"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")]}
    ec2.run_instances(
        ImageId=image,
        MinCount=1,
        MaxCount=1,
        InstanceType="m6i.large",
        SubnetId=subnet,
        SecurityGroupIds=groups,
        **both,
    )
    nodes, person = f"orchard-{name}-nodes", f"orchard-{name}-person"
    iam.create_role(RoleName=nodes, AssumeRolePolicyDocument="{}", Tags=tags)
    statement = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName=nodes, PolicyName="one", PolicyDocument=policy)
    iam.create_instance_profile(InstanceProfileName=nodes, Tags=tags)
    iam.add_role_to_instance_profile(InstanceProfileName=nodes, RoleName=nodes)
    iam.create_user(UserName=person, Tags=tags)
    iam.put_user_policy(UserName=person, PolicyName="one", PolicyDocument=policy)
    iam.create_access_key(UserName=person)
    build_what_watches(aws, name, tags)


def build_what_watches(aws: AwsDouble, name: str, tags: list[dict[str, str]]) -> None:
    """Schedules, alarms, their topic and a dashboard."""
    scheduler, cloudwatch, sns = aws.client("scheduler"), aws.client("cloudwatch"), aws.client("sns")
    group = f"orchard-{name}"
    scheduler.create_schedule_group(Name=group, Tags=tags)
    target = {"Arn": "arn:aws:scheduler:::aws-sdk:ec2:stopInstances", "RoleArn": "arn:aws:iam::1:role/one"}
    scheduler.create_schedule(
        GroupName=group,
        Name="master",
        ScheduleExpression="at(2099-01-01T00:00:00)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target=target,
    )
    topic = sns.create_topic(Name=group, Tags=tags)["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="me@example.com")
    cloudwatch.put_metric_alarm(
        AlarmName=f"{group}-too-old",
        Namespace="Orchard",
        MetricName="Age",
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        AlarmActions=[topic],
        Tags=tags,
    )
    cloudwatch.put_dashboard(DashboardName=group, DashboardBody="{}")


def test_everything_of_a_lost_cluster_is_found_and_taken_away_and_nothing_else(account: AwsDouble) -> None:
    build(account, "lost-two", OTHER, "10.8.0.0/24")
    others = resources_of(account.client, "lost-two")
    build(account, NAME, TAGS, "10.9.0.0/24")
    found = resources.of_cluster(account.region, NAME)
    kinds = {resource.kind for resource in found}
    assert kinds >= {"instance", "VPC", "subnet", "internet gateway", "route table", "VPC endpoint", "security group"}
    assert kinds >= {"key pair", "instance profile", "IAM role", "IAM user"}
    assert kinds >= {"schedule group", "alarm", "dashboard", "SNS topic"}
    resource_removal.remove(account.region, found)
    assert resources.of_cluster(account.region, NAME) == []
    assert resources_of(account.client, NAME) == []
    assert resources_of(account.client, "lost-two") == others
    resource_removal.remove(account.region, resources.of_cluster(account.region, "lost-two"))


def test_buckets_are_found_by_their_tags_and_not_by_how_their_names_begin(account: AwsDouble) -> None:
    s3 = account.client("s3")
    region = {"CreateBucketConfiguration": {"LocationConstraint": account.region}}
    for bucket, tags in (("orchard-lost-1", TAGS), ("orchard-lost-two-1", OTHER), ("orchard-lost-bare", None)):
        s3.create_bucket(Bucket=bucket, **region)
        if tags:
            s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    assert resources.buckets(account.region, NAME) == ["orchard-lost-1"]
