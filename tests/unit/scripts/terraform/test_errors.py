"""Terraform's reasons in the operator's words: word for word."""

import json
from pathlib import Path

import pytest

from scripts import console
from scripts.errors import AwsError, BusyError, FullDiskError, InputError, MissingError, OperatorError
from scripts.terraform import errors

LOG = Path("the.log")


@pytest.fixture(autouse=True)
def log_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The log's name, this machine's kind, and no settings of AWS's tools."""
    monkeypatch.setattr(errors.platform, "system", lambda: "Linux")
    monkeypatch.setattr(errors.platform, "machine", lambda: "aarch64")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    monkeypatch.setattr(console, "log_file", lambda: LOG)


def event(summary: str, detail: str = "", address: str = "") -> str:
    """An error as `terraform apply -json` tells it."""
    diagnostic = {"severity": "error", "summary": summary, "detail": detail, "address": address}
    return json.dumps({"@level": "error", "type": "diagnostic", "diagnostic": diagnostic})


def refused(code: str, message: str = "no") -> str:
    """An error of the provider, in the AWS library's words."""
    return (
        "creating EC2 Instance: operation error EC2: RunInstances, https response error StatusCode: 400, RequestID: "
        f"fault, api error {code}: {message}"
    )


@pytest.mark.parametrize(
    ("text", "kind", "sentence"),
    [
        (
            event(refused("VcpuLimitExceeded"), address="aws_instance.worker[1]"),
            AwsError,
            "worker-2 could not be started: your account's quota of vCPUs does not reach (VcpuLimitExceeded); ask for "
            "more under Service Quotas (EC2, Running On-Demand Standard instances), or set fewer workers or a smaller "
            "type in terraform.tfvars, then `make up` again.",
        ),
        (
            # It is no lock of somebody's.
            event("Error acquiring the state lock", "could not write lock info: no space left on device"),
            FullDiskError,
            "The disk of this machine is full: make room, then the same command again goes on.",
        ),
        (
            event(refused("InsufficientInstanceCapacity"), address="aws_instance.master"),
            AwsError,
            "The master could not be started: AWS has none left in this zone just now (InsufficientInstanceCapacity); "
            "`make up` again in some minutes, or choose another type in terraform.tfvars.",
        ),
        (
            event(refused("InsufficientFreeAddressesInSubnet"), address="aws_instance.worker[0]"),
            AwsError,
            "worker-1 could not be started: its subnet has no address left (InsufficientFreeAddressesInSubnet); take a "
            "larger vpc_cidr (or, with existing_subnet_id, another subnet), then `make up` again.",
        ),
        (
            event(
                refused(
                    "InvalidParameterCombination",
                    "The specified instance type is not eligible for Free Tier. For a list of Free Tier instance "
                    "types, run 'describe-instance-types' with the filter 'free-tier-eligible=true'.",
                ),
                address="aws_instance.master",
            ),
            AwsError,
            "The master could not be started: your account is on AWS's free plan, which does not have it "
            "(InvalidParameterCombination); choose a type that the plan has, m7i-flex.large among them, or upgrade to "
            "the paid plan in the AWS console (Billing), then `make up` again.",
        ),
        (
            event(refused("UnauthorizedOperation"), address="aws_vpc.cluster[0]"),
            AwsError,
            "Your AWS credentials do not allow what aws_vpc.cluster[0] needs (UnauthorizedOperation): ask your "
            "administrator for rights on EC2, S3 and IAM.",
        ),
        (
            event(refused("AccessDeniedException"), address="aws_scheduler_schedule_group.cluster"),
            AwsError,
            "Your AWS credentials do not allow what aws_scheduler_schedule_group.cluster needs (AccessDeniedException)"
            ": ask your administrator for rights on EventBridge Scheduler.",
        ),
        (
            event(refused("AuthorizationError"), address="aws_sns_topic.alarms[0]"),
            AwsError,
            "Your AWS credentials do not allow what aws_sns_topic.alarms[0] needs (AuthorizationError): ask your "
            "administrator for rights on SNS, or set cloudwatch = false.",
        ),
        (
            event("No valid credential sources found", "Please see the documentation"),
            MissingError,
            "There are no AWS credentials on this machine: run `aws configure`, or set AWS_PROFILE, then try again.",
        ),
        (
            event("reading EC2 Subnets: operation error EC2: DescribeSubnets, api error ExpiredToken: old"),
            MissingError,
            "Your AWS credentials have expired (ExpiredToken): log in again, then the same command again goes on.",
        ),
        (
            event(
                "No valid credential sources found",
                "Error: failed to refresh cached credentials, the SSO session has expired or is invalid: expired token",
            ),
            MissingError,
            "Your AWS login has expired or was never made: log in again, then the same command again goes on.",
        ),
        (
            event(
                "No valid credential sources found",
                "Error: failed to refresh cached credentials, failed to read cached SSO token file, no such file",
            ),
            MissingError,
            "Your AWS login has expired or was never made: log in again, then the same command again goes on.",
        ),
        (
            event(refused("RequestLimitExceeded", "Request limit exceeded."), address="aws_vpc.cluster[0]"),
            AwsError,
            "AWS had too many requests from your account just now (RequestLimitExceeded): wait a minute, then the "
            "same command again goes on.",
        ),
        (
            event(
                "Invalid value for input variable",
                "The given value is not suitable for var.worker_spot declared at variables.tf:96,1-23: a bool is "
                "required.",
            ),
            InputError,
            "terraform.tfvars: worker_spot is of another type: a bool is required.",
        ),
        (
            event("Invalid value for variable", "root_volume_gb is a whole number.\n\nThis was checked by the rule"),
            InputError,
            "terraform.tfvars: root_volume_gb is a whole number.",
        ),
        (
            "Error: Failed to install provider\n\nError while installing hashicorp/aws v5.100.0: the local package "
            "for\nregistry.terraform.io/hashicorp/aws 5.100.0 doesn't match any of the\nchecksums previously "
            "recorded in the dependency lock file\n",
            MissingError,
            "terraform/.terraform.lock.hcl knows no AWS provider for this system (linux_arm64): `cd terraform && "
            "terraform providers lock -platform=linux_arm64`, then try again.",
        ),
        (
            event(
                "creating IAM User (orchard-fruits-person)",
                "operation error IAM: CreateUser, https response error StatusCode: 403, api error AccessDenied: User: "
                "arn:aws:sts::1:assumed-role/x/ada is not authorized to perform: iam:CreateUser on resource: "
                "arn:aws:iam::1:user/orchard-fruits-person with an explicit deny in a service control policy",
                "aws_iam_user.person[0]",
            ),
            AwsError,
            "Your AWS credentials do not allow what aws_iam_user.person[0] needs (iam:CreateUser): set iam_user = "
            "false in terraform.tfvars (only `make credentials` needs it), then `make up` again.",
        ),
        (
            event("Unsupported thing", "It is odd.", "aws_vpc.cluster[0]"),
            AwsError,
            "Terraform could not create it (aws_vpc.cluster[0]): Unsupported thing: It is odd. "
            "The whole story: the.log",
        ),
        (
            event(
                "Error acquiring the state lock",
                "Lock Info:\n  ID:        8c57-1\n  Path:      terraform.tfstate\n  Operation: OperationTypeApply\n"
                "  Who:       ada@laptop\n  Version:   1.11.4\n  Created:   2026-11-21 10:00:00.151699684 +0000 UTC\n",
            ),
            BusyError,
            "Terraform's state is locked by ada@laptop since 2026-11-21 10:00:00: wait until that has ended; if it "
            "was killed, `cd terraform && TF_WORKSPACE=fruits terraform force-unlock 8c57-1`.",
        ),
    ],
)
def test_terraforms_reasons_become_one_sentence(text: str, kind: type[OperatorError], sentence: str) -> None:
    failure = errors.failure("create it", f"noise\n{text}\n", "fruits")
    assert str(failure) == sentence
    assert isinstance(failure, kind)
