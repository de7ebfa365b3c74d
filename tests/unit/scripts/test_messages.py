"""What the operator is told when AWS or Terraform says no: word for word."""

import io
import json
import sys
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from scripts import console
from scripts.aws import errors, own_address
from scripts.errors import AwsError, BusyError, InputError, MissingError, OperatorError
from scripts.terraform import diagnostics, workspace

LOG = Path("the.log")


@pytest.fixture(autouse=True)
def log_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "log_file", lambda: LOG)
    monkeypatch.setenv("TF_WORKSPACE", "fruits")


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
            event(refused("InsufficientInstanceCapacity"), address="aws_instance.master"),
            AwsError,
            "The master could not be started: AWS has none left in this zone just now (InsufficientInstanceCapacity); "
            "`make up` again in some minutes, or choose another type in terraform.tfvars.",
        ),
        (
            event(refused("UnauthorizedOperation"), address="aws_vpc.cluster[0]"),
            AwsError,
            "Your AWS credentials do not allow what aws_vpc.cluster[0] needs (UnauthorizedOperation): ask your "
            "administrator for rights on EC2, S3 and IAM.",
        ),
        (
            event("No valid credential sources found", "Please see the documentation"),
            AwsError,
            "There are no AWS credentials on this machine: run `aws configure`, or set AWS_PROFILE, then try again.",
        ),
        (
            event("reading EC2 Subnets: operation error EC2: DescribeSubnets, api error ExpiredToken: old"),
            AwsError,
            "Your AWS credentials have expired (ExpiredToken): log in again (`aws sso login`), then try again.",
        ),
        (
            event("Invalid value for variable", "root_volume_gb is a whole number.\n\nThis was checked by the rule"),
            InputError,
            "terraform.tfvars: root_volume_gb is a whole number.",
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
    told = workspace.explain("create it", diagnostics.errors(f"noise\n{text}\n"))
    assert str(told) == sentence
    assert isinstance(told, kind)


def test_the_boxes_that_terraform_draws_for_people_are_read_too() -> None:
    box = "\x1b[31m╷\x1b[0m\n│ \x1b[1mError: \x1b[0mNo such thing\n│ \n│   on main.tf line 3\n╵\n"
    [found] = diagnostics.errors(box)
    assert found == diagnostics.Diagnostic("No such thing", "on main.tf line 3", "")


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        (
            NoCredentialsError(),
            MissingError,
            "There are no AWS credentials on this machine: run `aws configure`, or set AWS_PROFILE, then try again.",
        ),
        (
            ClientError({"Error": {"Code": "InvalidClientTokenId", "Message": "The token is invalid."}}, "Get"),
            MissingError,
            "AWS does not accept your credentials (InvalidClientTokenId): check `aws configure` or AWS_PROFILE, then "
            "try again.",
        ),
        (
            ClientError({"Error": {"Code": "Throttling", "Message": "Rate exceeded."}}, "Get"),
            AwsError,
            "AWS would not list the buckets (Throttling: Rate exceeded).",
        ),
    ],
)
def test_what_boto3_raises_becomes_one_sentence(error: Exception, kind: type[OperatorError], sentence: str) -> None:
    with pytest.raises(kind) as told, errors.told("list the buckets"):
        raise error
    assert str(told.value) == sentence


def test_an_address_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "terraform.tfvars").write_text('cluster_name = "fruits"\n')
    monkeypatch.setenv("ORCHARD_TERRAFORM", str(tmp_path))
    with pytest.raises(InputError) as told:
        own_address.admin_cidrs("my house")
    assert str(told.value) == "my house is no IPv4 network: write it as 203.0.113.7/32."


def test_the_address_is_asked_for_only_where_none_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "terraform.tfvars").write_text('cluster_name = "fruits"\nadmin_cidrs = ["203.0.113.0/24"]\n')
    monkeypatch.setenv("ORCHARD_TERRAFORM", str(tmp_path))
    monkeypatch.setattr(own_address, "own_address", lambda: "198.51.100.9")
    assert own_address.admin_cidrs() == ["203.0.113.0/24", "198.51.100.9/32"]
    monkeypatch.setattr(own_address, "own_address", lambda: "203.0.113.9")
    assert own_address.admin_cidrs() == ["203.0.113.0/24"]
    assert own_address.admin_cidrs("198.51.100.0/24") == ["203.0.113.0/24", "198.51.100.0/24"]


def test_without_a_terminal_a_question_is_an_answer_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("YES", raising=False)
    with pytest.raises(BusyError) as told:
        console.ask("Take the cluster down?")
    assert str(told.value) == "Take the cluster down? Nobody is here to answer: say YES=1 to go on."
    assert told.value.code == 8
    monkeypatch.setenv("YES", "1")
    assert console.ask("Take the cluster down?")


class InterruptedOnce(io.StringIO):
    """A terminal whose person types Ctrl-C while the first line comes."""

    interrupted = False

    def flush(self) -> None:
        if not self.interrupted:
            self.interrupted = True
            raise KeyboardInterrupt


def test_a_line_that_ctrl_c_met_is_not_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", screen := InterruptedOnce())
    with pytest.raises(KeyboardInterrupt):
        console.say("Ctrl-C closes it.")
    console.say("Closed.")
    assert screen.getvalue() == "Ctrl-C closes it.\nClosed.\n"
