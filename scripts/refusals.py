"""AWS's refusals in the operator's words: what ran out or is not allowed, for which host, and what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from scripts.diagnostics import Diagnostic
from scripts.errors import AwsError, MissingError, OperatorError

NOT_ACCEPTED = {
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
NO_CREDENTIALS = (
    "There are no AWS credentials on this machine: run `aws configure`, or set AWS_PROFILE, then try again."
)
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


def not_accepted(code: str) -> str:
    """A sentence on credentials that AWS does not take."""
    if code.startswith(("Expired", "RequestExpired")):
        return f"Your AWS credentials have expired ({code}): log in again (`aws sso login`), then try again."
    return f"AWS does not accept your credentials ({code}): check `aws configure` or AWS_PROFILE, then try again."


@contextmanager
def told(doing: str) -> Iterator[None]:
    """Turn what boto3 raises in the block into one sentence. `doing` follows "AWS would not "."""
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError):
        raise MissingError(NO_CREDENTIALS) from None
    except ProfileNotFound as error:
        raise MissingError(f"{error}: choose another AWS_PROFILE, or make it with `aws configure`.") from None
    except TokenRetrievalError:
        raise MissingError(not_accepted("ExpiredToken")) from None
    except NoRegionError:
        raise MissingError("No AWS region is set: name it in terraform.tfvars.") from None
    except EndpointConnectionError as error:
        raise AwsError(f"AWS cannot be reached ({error}): check the network and the region's name.") from None
    except ClientError as error:
        raise _of_client(doing, error) from None
    except (BotoCoreError, ResponseParserError) as error:
        raise AwsError(f"AWS would not {doing} ({error}): try again.") from None


def _of_client(doing: str, error: ClientError) -> OperatorError:
    code = error.response.get("Error", {}).get("Code", "no code")
    message = error.response.get("Error", {}).get("Message", "")
    if code in NOT_ACCEPTED:
        return MissingError(not_accepted(code))
    return AwsError(f"AWS would not {doing} ({code}: {message.rstrip('.')}).")


def _host(where: re.Match[str]) -> str:
    return "The master" if where["role"] == "master" else f"worker-{int(where['index'] or 0) + 1}"
