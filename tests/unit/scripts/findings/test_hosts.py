"""What is said of hosts, by EC2's descriptions."""

from typing import Any

import pytest

from scripts.findings import hosts
from scripts.findings.finding import FACT, GONE, GOOD, NOT_GOOD, UNKNOWN, Answer, Asked, Finding
from tests.unit.scripts.conftest import REGION


class Told(Asked):
    """AWS that answers as it was told to."""

    def __init__(self, **answers: Any) -> None:
        super().__init__(REGION)
        self.answers = answers

    def __call__(self, service: str, operation: str, **_: Any) -> dict[str, Any]:
        self._note(service, operation, {})
        return {**self.answers[operation]}

    def every(self, listed: str, service: str, operation: str, **_: Any) -> Any:
        return iter(self(service, operation)[listed])


def instance(number: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "InstanceId": f"i-{number}",
        "Placement": {"AvailabilityZone": "eu-west-1a"},
        "MetadataOptions": {"HttpTokens": "required"},
        "SecurityGroups": [{"GroupId": "sg-ours"}],
        "VpcId": "vpc-1",
        **more,
    }


def told(*instances: dict[str, Any], rules: list[dict[str, Any]] | None = None, **more: Any) -> Told:
    groups = {"IpPermissions": rules or [], "IpPermissionsEgress": []}
    return Told(
        DescribeInstances={"Reservations": [{"Instances": list(instances)}]},
        DescribeAvailabilityZones={"AvailabilityZones": [{"RegionName": "eu-west-1"}]},
        DescribeVolumes={"Volumes": [{"VolumeId": "vol-1", "Encrypted": True}]},
        DescribeSecurityGroups={"SecurityGroups": [groups]},
        DescribeVpcEndpoints={"VpcEndpoints": []},
        **more,
    )


def line(asked: Told, words: str) -> Finding:
    [found] = [one for one in hosts.of_hosts(asked, "fruits") if words in one.question]
    return found


def rule(protocol: str, first: int | None, last: int | None, **networks: Any) -> dict[str, Any]:
    return {"IpProtocol": protocol, "FromPort": first, "ToPort": last, **networks}


def test_hosts_that_are_gone_are_said_to_be_and_nothing_of_them_looks_good() -> None:
    assert {one.answer.verdict for one in hosts.of_hosts(told(), "fruits")} == {GONE}


@pytest.mark.parametrize(
    ("protocol", "first", "last", "networks", "said"),
    [
        ("tcp", 22, 22, {"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, "tcp 22 from 0.0.0.0/0. Nothing else."),
        ("tcp", 22, 22, {"Ipv6Ranges": [{"CidrIpv6": "::/0"}]}, "tcp 22 from ::/0. Nothing else."),
        ("tcp", 20, 22, {"IpRanges": [{"CidrIp": "10.0.0.1/32"}]}, "tcp 20-22 from 10.0.0.1/32. Nothing else."),
        ("udp", 22, 22, {"IpRanges": [{"CidrIp": "10.0.0.1/32"}]}, "udp 22 from 10.0.0.1/32. Nothing else."),
        ("-1", None, None, {"IpRanges": [{"CidrIp": "10.0.0.1/32"}]}, "every port from 10.0.0.1/32. Nothing else."),
        ("tcp", 22, 22, {"Ipv6Ranges": [{"CidrIpv6": "2a00::/12"}]}, "tcp 22 from 2a00::/12. Nothing else."),
        # Nobody here knows what is in such a list.
        ("tcp", 22, 22, {"PrefixListIds": [{"PrefixListId": "pl-1"}]}, "tcp 22 from pl-1. Nothing else."),
    ],
)
def test_a_way_in_that_is_wider_than_ssh_from_a_network_is_not_good(
    protocol: str, first: int | None, last: int | None, networks: dict[str, Any], said: str
) -> None:
    open_to = told(instance(), rules=[rule(protocol, first, last, **networks)])
    found = line(open_to, "from outside").answer
    assert (found.verdict, found.text) == (NOT_GOOD, said)
    assert hosts.open_to(open_to, "fruits") == [said.removesuffix(". Nothing else.")]


def test_ssh_from_one_network_is_good() -> None:
    networks = {"IpRanges": [{"CidrIp": "10.0.0.0/8"}], "Ipv6Ranges": [{"CidrIpv6": "2a00:1:2::/48"}]}
    assert line(told(instance(), rules=[rule("tcp", 22, 22, **networks)]), "from outside").answer.verdict == GOOD


def test_the_groups_of_every_interface_count() -> None:
    second = {"Groups": [{"GroupId": "sg-second"}]}
    found = line(told(instance(NetworkInterfaces=[{"Groups": [{"GroupId": "sg-ours"}]}, second])), "from outside")
    assert found.answer.of == "sg-ours, sg-second"


def test_without_a_host_no_strangers_rules_are_drawn() -> None:
    # EC2 takes no group at all for every group of the region.
    asked = told(rules=[rule("tcp", 22, 22, IpRanges=[{"CidrIp": "198.51.100.1/32"}])])
    assert hosts.open_to(asked, "fruits") == ["not known: no host"]
    assert line(told(instance(SecurityGroups=[]), rules=[rule("-1", None, None)]), "from outside").answer.text == (
        "Nobody."
    )
    assert [call.name for call in asked.taken()] == ["ec2:DescribeInstances"]


def endpoint(**more: Any) -> dict[str, Any]:
    return {
        "VpcEndpointId": "vpce-1",
        "ServiceName": "com.amazonaws.eu-west-1.s3",
        "VpcId": "vpc-1",
        "State": "available",
        "RouteTableIds": ["rtb-1"],
        **more,
    }


@pytest.mark.parametrize(
    ("endpoints", "verdict"),
    [
        ([endpoint()], GOOD),
        ([endpoint(State="Available")], GOOD),
        ([endpoint(State="pending")], FACT),
        ([endpoint(RouteTableIds=[])], FACT),
        ([endpoint(ServiceName="com.amazonaws.eu-west-1.dynamodb")], FACT),
        ([], FACT),
    ],
)
def test_an_endpoint_that_does_nothing_keeps_no_picture_within(endpoints: list[Any], verdict: str) -> None:
    asked = told(instance())
    asked.answers["DescribeVpcEndpoints"] = {"VpcEndpoints": endpoints}
    assert line(asked, "AWS's network").answer.verdict == verdict


def test_each_network_of_the_hosts_needs_an_endpoint_of_its_own() -> None:
    asked = told(instance(0), instance(1, VpcId="vpc-2"))
    asked.answers["DescribeVpcEndpoints"] = {"VpcEndpoints": [endpoint()]}
    found = line(asked, "AWS's network").answer
    assert (found.verdict, found.text.partition(":")[0]) == (FACT, "vpc-2 has no endpoint for S3 that works")


def test_where_nobody_is_let_in_that_is_said() -> None:
    assert line(told(instance()), "from outside").answer == Answer(GOOD, "Nobody.", of="sg-ours")


def test_a_group_that_is_not_the_cluster_s_is_named() -> None:
    pairs = [{"GroupId": "sg-ours"}, {"GroupId": "sg-theirs"}]
    found = line(told(instance(), rules=[rule("-1", None, None, UserIdGroupPairs=pairs)]), "from within").answer
    assert (found.verdict, found.text) == (NOT_GOOD, "Members of sg-theirs, which is no group of this cluster.")


def test_a_host_that_takes_imdsv1_or_does_not_say_is_named() -> None:
    loose = told(instance(0), instance(1, MetadataOptions={"HttpTokens": "optional"}), instance(2, MetadataOptions={}))
    found = line(loose, "IMDSv1").answer
    assert (found.verdict, found.text) == (NOT_GOOD, "Yes: i-1, i-2 take IMDSv1.")


def test_without_a_disk_that_ec2_knows_of_none_is_called_encrypted() -> None:
    asked = told(instance())
    asked.answers["DescribeVolumes"] = {"Volumes": []}
    assert line(asked, "disks").answer.verdict == NOT_GOOD


def test_a_host_outside_of_the_union_is_said_as_it_is() -> None:
    asked = told(instance())
    asked.answers["DescribeAvailabilityZones"] = {"AvailabilityZones": [{"RegionName": "us-east-1"}]}
    found = line(asked, "European Union").answer
    assert found.verdict == NOT_GOOD
    assert found.text.endswith("us-east-1, US East (N. Virginia): not in the European Union.")


def test_of_many_hosts_a_few_are_named_and_the_rest_are_counted() -> None:
    assert line(told(*map(instance, range(9))), "IMDSv1").answer.of == "i-0, i-1, i-2, i-3, i-4, i-5 and 3 more"


def test_an_answer_of_another_form_is_not_known() -> None:
    assert line(told({"InstanceId": "i-0"}), "European Union").answer.verdict == UNKNOWN
