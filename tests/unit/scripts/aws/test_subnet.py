"""A subnet's way to S3: through a NAT gateway, or not."""

from collections.abc import Callable
from typing import Any

import pytest

from scripts.aws.subnet import reaches_s3_through_nat
from tests.unit.scripts.conftest import REGION

Aws = Callable[[str], Any]


class Network:
    """A VPC with a subnet, its main route table, and a NAT gateway that nothing leads to yet."""

    def __init__(self, ec2: Any) -> None:
        self.ec2 = ec2
        self.vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        self.subnet = ec2.create_subnet(VpcId=self.vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
        self.nat = ec2.create_nat_gateway(SubnetId=self.subnet, ConnectivityType="private")["NatGateway"][
            "NatGatewayId"
        ]
        main = [{"Name": "vpc-id", "Values": [self.vpc]}, {"Name": "association.main", "Values": ["true"]}]
        self.main = ec2.describe_route_tables(Filters=main)["RouteTables"][0]["RouteTableId"]

    def own_table(self) -> str:
        """A route table of the subnet's own."""
        table: str = self.ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"]
        self.ec2.associate_route_table(RouteTableId=table, SubnetId=self.subnet)
        return table

    def route_to_nat(self, table: str) -> None:
        """Everything that the table knows no other way for."""
        self.ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=self.nat)

    def endpoint(self, table: str, service: str = "s3") -> None:
        """A gateway endpoint for a service."""
        name = f"com.amazonaws.{REGION}.{service}"
        self.ec2.create_vpc_endpoint(VpcId=self.vpc, ServiceName=name, VpcEndpointType="Gateway", RouteTableIds=[table])

    def is_charged(self) -> bool:
        """What is to be found out."""
        return reaches_s3_through_nat(REGION, self.subnet)


@pytest.fixture
def network(aws: Aws) -> Network:
    return Network(aws("ec2"))


def test_a_default_route_to_a_nat_gateway_is_found_in_the_subnets_own_table(network: Network) -> None:
    network.route_to_nat(network.own_table())
    assert network.is_charged()


def test_without_a_table_of_its_own_the_vpcs_main_one_counts(network: Network) -> None:
    network.route_to_nat(network.main)
    assert network.is_charged()
    network.own_table()
    assert not network.is_charged()


def test_an_endpoint_for_s3_in_the_table_keeps_pictures_off_the_gateway(network: Network) -> None:
    table = network.own_table()
    network.route_to_nat(table)
    network.endpoint(table)
    assert not network.is_charged()


def test_an_endpoint_of_another_table_or_for_another_service_does_not_help(network: Network) -> None:
    table = network.own_table()
    network.route_to_nat(table)
    network.endpoint(network.main)
    network.endpoint(table, "dynamodb")
    assert network.is_charged()


def test_a_subnet_that_no_nat_gateway_serves_is_not_charged(network: Network) -> None:
    table = network.own_table()
    gateway = network.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    network.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=network.vpc)
    network.ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    network.ec2.create_route(RouteTableId=table, DestinationCidrBlock="10.8.0.0/16", NatGatewayId=network.nat)
    assert not network.is_charged()


def test_where_aws_does_not_tell_nothing_is_said(aws: Aws) -> None:
    assert not reaches_s3_through_nat(REGION, "subnet-0none")
