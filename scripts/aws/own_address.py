"""From where this person logs in: the networks that SSH is opened to."""

import ipaddress
import os
import urllib.error
import urllib.request
from functools import cache

from scripts import console, tfvars
from scripts.access import certificates
from scripts.access.errors import aws_errors_as_sentences
from scripts.aws import clients
from scripts.errors import InputError, OperatorError

CHECKIP = "https://checkip.amazonaws.com"
# Named as the AWS SDKs name what leads them to another endpoint for one service.
OTHER_ENDPOINT = "AWS_ENDPOINT_URL_CHECKIP"
SECONDS = 8


def admin_cidrs(given: str = "") -> list[str]:
    """The networks of terraform.tfvars, and the address that this machine is seen at (or `given`) if not in them."""
    known = [_network(cidr) for cidr in tfvars.read().get("admin_cidrs") or []]
    if given:
        return _with(known, _network(given))
    if jump := tfvars.read().get("ssh_proxy_jump"):
        # It logs in at the hosts, and this machine does not.
        if not known:
            raise InputError(f"ssh_proxy_jump leads over {jump}: name the network that it comes from in admin_cidrs.")
        return [str(network) for network in known]
    try:
        return _with(known, _network(own_address()))
    except OperatorError as error:
        if not known:
            raise
        console.warn(f"{error} Going on with admin_cidrs of terraform.tfvars.")
        return [str(network) for network in known]


def asked() -> str:
    """Who is asked."""
    return os.environ.get(OTHER_ENDPOINT) or CHECKIP


def own_address() -> str:
    """This machine's public IPv4 address, by AWS's own service. Raises OperatorError when it gives none."""
    advice = "give your address yourself: ADMIN_CIDR=203.0.113.7/32."
    service = asked()
    try:
        with urllib.request.urlopen(service, timeout=SECONDS, context=certificates.context()) as answer:  # noqa: S310  whoever sets the variable is who asks
            seen = answer.read(64).decode(errors="replace").strip()
        return str(ipaddress.IPv4Address(seen))
    except ValueError:
        raise InputError(f"{service} gives no IPv4 address ({seen}): {advice}") from None
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise InputError(f"{service} does not tell this machine's address ({reason}): {advice}") from None


@cache
def shut_out(region: str, cluster_name: str) -> str:
    """That the cluster does not let this machine's address in, in a sentence; empty where it does, or nobody knows."""
    group = {"Name": "group-name", "Values": [f"orchard-{cluster_name}-ssh"]}
    try:
        own = ipaddress.IPv4Network(own_address())
        with aws_errors_as_sentences("say whom the cluster lets in"):
            groups = clients.client("ec2", region, clients.IN_A_HURRY).describe_security_groups(Filters=[group])
    except OperatorError:
        return ""
    rules = [rule for found in groups["SecurityGroups"] for rule in found["IpPermissions"]]
    let_in = sorted(allowed["CidrIp"] for rule in rules for allowed in rule["IpRanges"])
    if not let_in or any(own.subnet_of(_network(cidr)) for cidr in let_in):
        return ""
    return (
        f"Your address is now {own.network_address}, and the cluster lets in {', '.join(let_in)}: `make allow` lets "
        "you in."
    )


def _network(cidr: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(cidr, strict=False)
    except ValueError:
        raise InputError(f"{cidr} is no IPv4 network: write it as 203.0.113.7/32.") from None


def _with(known: list[ipaddress.IPv4Network], own: ipaddress.IPv4Network) -> list[str]:
    covered = any(own.subnet_of(network) for network in known)
    return [str(network) for network in (known if covered else [*known, own])]
