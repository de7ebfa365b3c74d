"""Terraform's reasons in the operator's words: what is wrong or ran out, for which host, and what to do."""

import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass

from scripts import console
from scripts.access import errors as aws
from scripts.aws import quotas
from scripts.aws.quotas import QuotaError
from scripts.errors import AwsError, BusyError, FullDiskError, InputError, MissingError, OperatorError
from scripts.terraform import diagnostics
from scripts.terraform.diagnostics import Diagnostic

# What AWS says when it will not start an instance: what that means, and what to do about it.
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
    "InsufficientFreeAddressesInSubnet": (
        "its subnet has no address left",
        "take a larger vpc_cidr (or, with existing_subnet_id, another subnet), then `make up` again",
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
# As RunInstances says it of a type or an image, under a code that has many other meanings.
NOT_ON_FREE_PLAN = "not eligible for Free Tier"
FREE_PLAN = (
    "your account is on AWS's free plan, which does not have it",
    "choose a type that the plan has, m7i-flex.large among them, or upgrade to the paid plan in the AWS console "
    "(Billing), then `make up` again",
)
INSTANCE = re.compile(r"aws_instance\.(?P<role>master|worker)(?:\[(?P<index>\d+)\])?")
CODE = re.compile(r"api error (?P<code>[A-Za-z.]+)(?:: (?P<message>.*))?", re.DOTALL)
# As the provider's AWS library says that a login has expired or was never made.
SSO = re.compile(r"\bSSO (session|token|OIDC)", re.IGNORECASE)
ACTION = re.compile(r"not authorized to perform: ([a-z0-9-]+:[A-Za-z]+)")
# As `init` and `plan` say that the lock file knows no package of the provider for this system.
UNLOCKED = re.compile(
    r"match any of the\s+checksums|have a package available for your\s+current platform|no package for registry"
)
# As Go has it of ENOSPC.
NO_SPACE = "no space left on device"
WRONG_TYPE = re.compile(r"not suitable for var\.(?P<name>\w+) declared at .*?: (?P<reason>.*)", re.DOTALL)


MASTER = "The master"


@dataclass(frozen=True)
class Refusal:
    """That AWS would not start a host: which, AWS's code, what that means, and what to do about it."""

    host: str
    code: str
    reason: str
    advice: str

    def of(self, zone: str) -> str:
        """The refusal in words, with the zone in which it was."""
        return f"{self.host} could not be started in {zone}: {self.reason} ({self.code})"


class TerraformError(AwsError):
    """Terraform did not end well; `diagnostics` are its reasons, the first the leading one."""

    def __init__(self, sentence: str, diagnostics: Sequence[Diagnostic] = ()) -> None:
        super().__init__(sentence)
        self.diagnostics = tuple(diagnostics)


def failure(doing: str, output: str, cluster_name: str) -> OperatorError:
    """What a command's output comes to that could not do what `doing` says."""
    found = diagnostics.errors(output)
    if not found:
        return TerraformError(f"Terraform could not {doing} and gave no reason: see {console.log_file()}.")
    return explain(doing, found, cluster_name)


def explain(doing: str, found: Sequence[Diagnostic], cluster_name: str) -> OperatorError:
    """One sentence for Terraform's reasons: what stands behind the first that Orchard knows, or the first itself."""
    if any(NO_SPACE in f"{diagnostic.summary} {diagnostic.detail}" for diagnostic in found):
        return FullDiskError()
    for diagnostic in found:
        if diagnostic.summary == "Error acquiring the state lock":
            return BusyError(_locked(diagnostic.detail, cluster_name))
        if setting := of_setting(diagnostic):
            return InputError(f"terraform.tfvars: {setting}")
        if UNLOCKED.search(f"{diagnostic.summary} {diagnostic.detail}"):
            return MissingError(_unlocked())
    for diagnostic in found:
        if refusal := of_aws(diagnostic):
            return refusal
    first = found[0]
    words = " ".join(f"{first.summary}: {first.detail}".split()).rstrip(": ")
    where = f" ({first.address})" if first.address else ""
    return TerraformError(
        f"Terraform could not {doing}{where}: {words[:400]} The whole story: {console.log_file()}", found
    )


def _unlocked() -> str:
    """What to type where the provider's lock is without this system."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    system = f"{platform.system().lower()}_{machine}"
    return (
        f"terraform/.terraform.lock.hcl knows no AWS provider for this system ({system}): `cd terraform && terraform "
        f"providers lock -platform={system}`, then try again."
    )


def of_setting(diagnostic: Diagnostic) -> str:
    """What is wrong with a setting, in the words of variables.tf; empty when it is something else that is wrong."""
    detail = diagnostic.detail.partition("This was checked by")[0].strip()
    if diagnostic.summary in ("Invalid value for variable", "Resource precondition failed"):
        return detail
    if diagnostic.summary == "No value for required variable":
        return f"a setting is missing: {detail}"
    if diagnostic.summary == "Invalid value for input variable" and (wrong := WRONG_TYPE.search(detail)):
        return f"{wrong['name']} is of another type: {wrong['reason']}"
    return ""


DENIED = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "AuthorizationError")
# Services that not every administrator thinks of, by the resources that need them.
SERVICES = {
    "aws_scheduler_": "EventBridge Scheduler",
    "aws_cloudwatch_": "CloudWatch",
    "aws_sns_": "SNS",
    "aws_budgets_": "Budgets",
}


def of_aws(diagnostic: Diagnostic) -> OperatorError | None:
    """AWS's refusal of what Terraform asked for; None when it is none that is known here."""
    text = f"{diagnostic.summary} {diagnostic.detail}"
    if SSO.search(text):
        return aws.login_expired()
    if "No valid credential sources found" in text:
        return aws.no_credentials()
    found = CODE.search(text)
    if found is None:
        return None
    code = found["code"]
    if code in aws.SKEWED or any(words in text for words in aws.WRONG_TIME):
        return MissingError(aws.wrong_clock())
    if code in aws.NOT_ACCEPTED:
        return MissingError(aws.not_accepted(code))
    if code in aws.THROTTLED:
        return TerraformError(aws.throttled(code), [diagnostic])
    if code in DENIED:
        return TerraformError(
            f"Your AWS credentials do not allow what {diagnostic.address or 'Terraform'} needs "
            f"({_action(text) or code}): {_rights(diagnostic.address)}.",
            [diagnostic],
        )
    if refused := _refusal(diagnostic):
        sentence = f"{refused.host} could not be started: {refused.reason} ({code}); {refused.advice}."
        return TerraformError(sentence, [diagnostic])
    return None


def refusal(error: OperatorError) -> Refusal | None:
    """What AWS said, or would say, where it does not start a host; None where something else is wrong."""
    if isinstance(error, QuotaError) and error.market == "spot":
        return Refusal("A spot worker", quotas.CODES["spot"], *ADVICE["MaxSpotInstanceCountExceeded"])
    found = map(_refusal, error.diagnostics) if isinstance(error, TerraformError) else ()
    return next(filter(None, found), None)


def _refusal(diagnostic: Diagnostic) -> Refusal | None:
    text = f"{diagnostic.summary} {diagnostic.detail}"
    found, instance = CODE.search(text), INSTANCE.search(diagnostic.address)
    if not found or not instance:
        return None
    known = FREE_PLAN if NOT_ON_FREE_PLAN in text else ADVICE.get(found["code"])
    return Refusal(_host(instance), found["code"], *known) if known else None


def _action(text: str) -> str:
    """The right that was refused, as AWS names it in its message; empty where it does not."""
    found = ACTION.search(text)
    return found[1] if found else ""


def _rights(address: str) -> str:
    """What to ask for, by the resource that was refused."""
    if address.startswith("aws_iam_user"):
        return "set iam_user = false in terraform.tfvars (only `make credentials` needs it), then `make up` again"
    for kind, service in SERVICES.items():
        if address.startswith(kind):
            without = ", or set cloudwatch = false" if service in ("CloudWatch", "SNS") else ""
            return f"ask your administrator for rights on {service}{without}"
    return "ask your administrator for rights on EC2, S3 and IAM"


def _host(instance: re.Match[str]) -> str:
    return MASTER if instance["role"] == "master" else f"worker-{int(instance['index'] or 0) + 1}"


def _locked(detail: str, cluster_name: str) -> str:
    holder = dict(re.findall(r"^\s*(ID|Who|Created):\s+(.*?)\s*$", detail, re.MULTILINE))
    who, since = holder.get("Who", "somebody"), holder.get("Created", "an unknown time").partition(".")[0]
    return (
        f"Terraform's state is locked by {who} since {since}: wait until that has ended; if it was killed, "
        f"`cd terraform && TF_WORKSPACE={cluster_name} terraform force-unlock {holder.get('ID', 'ID')}`."
    )
