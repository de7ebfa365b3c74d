"""AWS's refusals of what Terraform asked for: what ran out or is not allowed, for which host, and what to do."""

import re

from scripts.aws.errors import NO_CREDENTIALS, NOT_ACCEPTED, not_accepted
from scripts.terraform.diagnostics import Diagnostic

ADVICE = {
    "VcpuLimitExceeded": (
        "your account's quota of vCPUs does not reach",
        "ask for more under Service Quotas (EC2, Running On-Demand Standard instances), or set fewer workers or a "
        "smaller type in terraform.tfvars, then `make up` again",
    ),
    "MaxSpotInstanceCountExceeded": (
        "your account's quota of spot instances does not reach",
        "ask for more under Service Quotas (All Standard Spot Instance Requests), or set worker_spot = false, then "
        "`make up` again",
    ),
    "InsufficientInstanceCapacity": (
        "AWS has none left in this zone just now",
        "`make up` again in some minutes, or choose another type in terraform.tfvars",
    ),
    "SpotMaxPriceTooLow": (
        "the spot price is above worker_spot_max_price",
        "raise it or leave it out of terraform.tfvars, then `make up` again",
    ),
    "Unsupported": (
        "AWS does not offer it in this zone",
        "choose another type in terraform.tfvars, then `make up` again",
    ),
    "InstanceLimitExceeded": (
        "your account may not have more of it",
        "ask for more under Service Quotas, or set fewer workers in terraform.tfvars, then `make up` again",
    ),
}
ADDRESS = re.compile(r"aws_instance\.(?P<role>master|worker)(?:\[(?P<index>\d+)\])?")
CODE = re.compile(r"api error (?P<code>[A-Za-z.]+)(?:: (?P<message>.*))?", re.DOTALL)


def of_terraform(diagnostic: Diagnostic) -> str:
    """A sentence for a refusal that AWS gave to Terraform; empty when it is none that is known here."""
    text = f"{diagnostic.summary} {diagnostic.detail}"
    if "No valid credential sources found" in text:
        return NO_CREDENTIALS
    found = CODE.search(text)
    if found is None:
        return ""
    code = found["code"]
    if code in NOT_ACCEPTED:
        return not_accepted(code)
    if code in ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException"):
        return (
            f"Your AWS credentials do not allow what {diagnostic.address or 'Terraform'} needs ({code}): ask your "
            "administrator for rights on EC2, S3 and IAM."
        )
    if code in ADVICE and (where := ADDRESS.search(diagnostic.address)):
        reason, advice = ADVICE[code]
        return f"{_host(where)} could not be started: {reason} ({code}); {advice}."
    return ""


def _host(where: re.Match[str]) -> str:
    return "The master" if where["role"] == "master" else f"worker-{int(where['index'] or 0) + 1}"
