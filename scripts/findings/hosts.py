"""What EC2 says of the hosts: where they are, their disks, and who reaches which port."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from scripts.aws import resources
from scripts.findings import region
from scripts.findings.finding import FACT, GONE, GOOD, NOT_GOOD, Answer, Asked, Finding, find, judged

Described = dict[str, Any]

SSH = 22
MOST_NAMED = 6
WIDEST, WIDEST_IPV6 = 8, 32  # bits of a network that may be let in
NO_HOST = Answer(GONE, "EC2 has no host of this cluster (any more).")


def of_hosts(asked: Asked, cluster_name: str) -> list[Finding]:
    """A line for each question; where the hosts are gone, each says so."""
    questions: dict[str, Callable[[list[Described], Asked], Answer]] = {
        "Is the work done in the European Union?": _place,
        "Are the hosts' disks encrypted?": _disks,
        "Can a program on a host be led to hand out the host's rights (IMDSv1)?": _metadata,
        "Who reaches the hosts from outside, and on which port?": _from_outside,
        "Who reaches them from within?": _from_within,
        "Where do the hosts get to?": _out,
        "Do pictures stay within AWS's network on their way?": _way_to_s3,
    }
    return [
        find(asked, question, "hosts", partial(_of_those_there, cluster_name, read))
        for question, read in questions.items()
    ]


def open_to(asked: Asked, cluster_name: str) -> list[str]:
    """The same rules in few words, for the drawing: `tcp 22 from 203.0.113.7/32`. Raises what boto3 raises."""
    found = instances_of(asked, cluster_name)
    if not found:
        return ["not known: no host"]
    return [f"{_ports(rule)} from {who}" for rule in _rules(asked, found) for who in _outside(rule)]


def instances_of(asked: Asked, cluster_name: str) -> list[Described]:
    """The cluster's hosts as EC2 describes them. Raises what boto3 raises."""
    filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in resources.tags_of(cluster_name).items()]
    filters += [{"Name": "instance-state-name", "Values": resources.NOT_GONE}]
    found = asked.every("Reservations", "ec2", "DescribeInstances", Filters=filters)
    return [instance for reservation in found for instance in reservation["Instances"]]


def _of_those_there(cluster_name: str, read: Callable[[list[Described], Asked], Answer], asked: Asked) -> Answer:
    found = instances_of(asked, cluster_name)
    if not found:
        return NO_HOST
    answer = read(found, asked)
    return answer if answer.of else replace(answer, of=_some(instance["InstanceId"] for instance in found))


def _some(ids: Iterable[str]) -> str:
    """Names of a few, and how many more there are."""
    named = list(ids)
    more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
    return ", ".join(named[:MOST_NAMED]) + more


def _groups(instances: list[Described]) -> list[str]:
    """Those of every interface: an instance's own list has the first one's alone."""
    first = [group for instance in instances for group in instance["SecurityGroups"]]
    interfaces = [interface for instance in instances for interface in instance.get("NetworkInterfaces", [])]
    every = first + [group for interface in interfaces for group in interface.get("Groups", [])]
    return sorted({group["GroupId"] for group in every})


def _place(instances: list[Described], asked: Asked) -> Answer:
    zones = sorted({instance["Placement"]["AvailabilityZone"] for instance in instances})
    described = asked("ec2", "DescribeAvailabilityZones", ZoneNames=zones)["AvailabilityZones"]
    regions = sorted({zone["RegionName"] for zone in described})
    said = " ".join(map(region.sentence, regions))
    return judged(all(map(region.is_in_eu, regions)), f"{len(instances)} hosts in {', '.join(zones)}. {said}")


def _disks(instances: list[Described], asked: Asked) -> Answer:
    filters = [{"Name": "attachment.instance-id", "Values": [instance["InstanceId"] for instance in instances]}]
    volumes = list(asked.every("Volumes", "ec2", "DescribeVolumes", Filters=filters))
    if bare := [volume["VolumeId"] for volume in volumes if not volume["Encrypted"]]:
        return Answer(NOT_GOOD, f"No: {', '.join(bare)} {'is' if len(bare) == 1 else 'are'} not.")
    said = f"Yes, all {len(volumes)} of them." if volumes else "EC2 has no disk of these hosts."
    return judged(bool(volumes), said, of=_some(volume["VolumeId"] for volume in volumes))


def _metadata(instances: list[Described], _: Asked) -> Answer:
    loose = [one["InstanceId"] for one in instances if one.get("MetadataOptions", {}).get("HttpTokens") != "required"]
    if loose:
        return Answer(NOT_GOOD, f"Yes: {', '.join(loose)} {'takes' if len(loose) == 1 else 'take'} IMDSv1.")
    return Answer(GOOD, f"No: all {len(instances)} hosts require IMDSv2.")


def _from_outside(instances: list[Described], asked: Asked) -> Answer:
    rules = _rules(asked, instances)
    said = [f"{_ports(rule)} from {who}" for rule in rules for who in _outside(rule)]
    is_good = all(_is_narrow(rule) for rule in rules if _outside(rule))
    return judged(is_good, f"{'; '.join(said)}. Nothing else." if said else "Nobody.", of=_some(_groups(instances)))


def _from_within(instances: list[Described], asked: Asked) -> Answer:
    ours = _groups(instances)
    pairs = [
        (_ports(rule), pair["GroupId"])
        for rule in _rules(asked, instances)
        for pair in rule.get("UserIdGroupPairs", [])
    ]
    if foreign := sorted({group for _, group in pairs if group not in ours}):
        return Answer(NOT_GOOD, f"Members of {', '.join(foreign)}, which is no group of this cluster.")
    ports = ", ".join(sorted({ports for ports, _ in pairs})) or "no port"
    return Answer(GOOD, f"The cluster's hosts one another: {ports}.", of=_some(ours))


def _out(instances: list[Described], asked: Asked) -> Answer:
    rules = _rules(asked, instances, "IpPermissionsEgress")
    said = [f"{_ports(rule)} to {who}" for rule in rules for who in _outside(rule)]
    words = f"{'; '.join(sorted(said))}; and to one another." if said else "Nowhere but to one another."
    return Answer(FACT, words, of=_some(_groups(instances)))


def _way_to_s3(instances: list[Described], asked: Asked) -> Answer:
    networks = sorted({instance["VpcId"] for instance in instances})
    filters = [{"Name": "vpc-id", "Values": networks}, {"Name": "vpc-endpoint-type", "Values": ["Gateway"]}]
    found = asked("ec2", "DescribeVpcEndpoints", Filters=filters)["VpcEndpoints"]
    # One that waits, or that no route leads to, takes nothing on its way.
    to_s3 = {one["VpcId"]: one["VpcEndpointId"] for one in found if _works(one) and one["ServiceName"].endswith(".s3")}
    if without := [network for network in networks if network not in to_s3]:
        said = f"{', '.join(without)} {'has' if len(without) == 1 else 'have'} no endpoint for S3 that works"
        return Answer(FACT, f"{said}: they go over its way to the internet, by TLS.")
    return Answer(GOOD, f"Yes, by the gateway endpoint {', '.join(to_s3.values())}.")


def _works(endpoint: Described) -> bool:
    return str(endpoint["State"]).lower() == "available" and bool(endpoint["RouteTableIds"])


def _rules(asked: Asked, instances: list[Described], direction: str = "IpPermissions") -> list[Described]:
    groups = _groups(instances)
    # EC2 takes no group at all for every group of the region.
    described = asked("ec2", "DescribeSecurityGroups", GroupIds=groups)["SecurityGroups"] if groups else []
    return [rule for group in described for rule in group[direction]]


def _outside(rule: Described) -> list[str]:
    """The networks of a rule."""
    return [
        *(network["CidrIp"] for network in rule.get("IpRanges", [])),
        *(network["CidrIpv6"] for network in rule.get("Ipv6Ranges", [])),
        *(prefixes["PrefixListId"] for prefixes in rule.get("PrefixListIds", [])),
    ]


def _is_narrow(rule: Described) -> bool:
    """SSH alone, and not from everywhere; 0.0.0.0/0 in two halves is the same hole."""
    is_ssh = rule["IpProtocol"] == "tcp" and (rule.get("FromPort"), rule.get("ToPort")) == (SSH, SSH)
    return is_ssh and not _are_wide(_outside(rule))


def _are_wide(networks: Iterable[str]) -> bool:
    return any(
        int(network.partition("/")[2] or 0) < (WIDEST_IPV6 if ":" in network else WIDEST) for network in networks
    )


def _ports(rule: Described) -> str:
    if rule["IpProtocol"] == "-1":
        return "every port"
    first, last = rule.get("FromPort"), rule.get("ToPort")
    return f"{rule['IpProtocol']} {first}" if first == last else f"{rule['IpProtocol']} {first}-{last}"
