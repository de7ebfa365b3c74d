"""How a subnet of the person's own reaches S3: whether each picture passes a NAT gateway, which charges for it."""

from typing import Any

from scripts.aws import clients
from scripts.aws.clients import UNANSWERED
from scripts.errors import OperatorError

EVERYWHERE = "0.0.0.0/0"


def reaches_s3_through_nat(region: str, subnet_id: str) -> bool:
    """Whether its way to S3 is a NAT gateway: the default route is one, and no gateway endpoint for S3 is in the table.

    False where AWS does not tell, too: what comes of it is advice.
    """
    try:
        ec2 = clients.client("ec2", region)
        table = _route_table(ec2, subnet_id)
        if table is None or not any(_is_nat(route) for route in table["Routes"]):
            return False
        return not _has_endpoint(ec2, region, table)
    except (*UNANSWERED, OperatorError):
        return False


def _route_table(ec2: Any, subnet_id: str) -> dict[str, Any] | None:
    """The subnet's own table, else the main one of its VPC."""
    [subnet] = ec2.describe_subnets(SubnetIds=[subnet_id])["Subnets"]
    of_subnet = [{"Name": "association.subnet-id", "Values": [subnet_id]}]
    main = [{"Name": "vpc-id", "Values": [subnet["VpcId"]]}, {"Name": "association.main", "Values": ["true"]}]
    for filters in (of_subnet, main):
        if tables := ec2.describe_route_tables(Filters=filters)["RouteTables"]:
            return dict(tables[0])
    return None


def _is_nat(route: dict[str, Any]) -> bool:
    return route.get("DestinationCidrBlock") == EVERYWHERE and bool(route.get("NatGatewayId"))


def _has_endpoint(ec2: Any, region: str, table: dict[str, Any]) -> bool:
    filters = {
        "vpc-id": table["VpcId"],
        "service-name": f"com.amazonaws.{region}.s3",
        "vpc-endpoint-type": "Gateway",
    }
    asked = [{"Name": name, "Values": [value]} for name, value in filters.items()]
    found = ec2.describe_vpc_endpoints(Filters=asked)["VpcEndpoints"]
    return any(table["RouteTableId"] in endpoint.get("RouteTableIds", []) for endpoint in found)
