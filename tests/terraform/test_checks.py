"""What can be said of the configuration without an AWS: form, validity, plans with a mock, security, its example."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Need
from tests.doubles.aws.double import AwsDouble
from tests.terraform.configuration import SOURCE, Configuration
from tests.terraform.conftest import Make

ROOT = SOURCE.parent
CHECKOV = ROOT / ".venv-checkov" / "bin" / "checkov"


@pytest.fixture(scope="module")
def configuration(make_configuration: Make, aws: AwsDouble) -> Configuration:
    """A copy with the provider installed exactly as locked."""
    configuration = make_configuration(aws, "checks")
    configuration.init()
    return configuration


def test_the_configuration_is_formatted(configuration: Configuration) -> None:
    assert configuration.run("fmt", "-check", "-recursive").stdout == ""


def test_the_configuration_is_valid(configuration: Configuration) -> None:
    configuration.must("validate")


def test_it_plans_what_it_should_with_a_mocked_aws(configuration: Configuration) -> None:
    (configuration.folder / "terraform.tfvars.json").unlink()
    printed = configuration.must("test")
    assert re.search(r"Success!.* [1-9]\d* passed, 0 failed", printed), printed
    configuration.set()


def test_the_example_plans_as_it_stands_and_makes_as_many_resources_as_we_say(
    make_configuration: Make, aws: AwsDouble, public_key: Path
) -> None:
    configuration = make_configuration(aws, "example")
    configuration.init()
    (configuration.folder / "terraform.tfvars.json").unlink()
    example = (SOURCE / "terraform.tfvars.example").read_text()
    (configuration.folder / "terraform.tfvars").write_text(example)
    # The one thing an example cannot bring along is a key.
    printed = configuration.must("plan", "-input=false", f"-var=ssh_public_key_path={public_key}")
    assert "orchard-fruits-master" in printed
    said = re.search(
        r"One `terraform apply` makes (\d+) resources", (ROOT / "docs" / "cluster-and-cost.md").read_text()
    )
    assert said
    assert f"{said[1]} to add, 0 to change" in printed


def test_the_example_names_every_variable_a_person_would_touch() -> None:
    declared = set(blocks("variable", "variables.tf"))
    named = set(re.findall(r"^#? ?(\w+) += ", (SOURCE / "terraform.tfvars.example").read_text(), re.MULTILINE))
    # Set by `make up` and `make bake`, by tests, by nobody without a reason of law, and by earlier versions.
    others = {"bucket_adopt", "placement", "bucket_lifecycle", "allowed_regions", "worker_instance_type"}
    others |= {"baked_images", "baking"}
    assert declared - named == others
    assert named <= declared


def blocks(kind: str, file: str) -> dict[str, str]:
    """Body of each block of that kind, by its name."""
    found = re.findall(rf'^{kind} "(\w+)" \{{\n(.*?)^\}}', (SOURCE / file).read_text(), re.MULTILINE | re.DOTALL)
    assert found
    return dict(found)


@pytest.mark.parametrize(("kind", "file"), [("variable", "variables.tf"), ("output", "outputs.tf")])
def test_every_variable_and_output_is_described(kind: str, file: str) -> None:
    bodies = blocks(kind, file)
    assert [name for name, body in bodies.items() if not re.search(r'^  description = "\S', body, re.MULTILINE)] == []


def test_checkov_finds_nothing_without_a_reason(need: Need) -> None:
    need(CHECKOV.is_file(), "checkov is not installed: make test installs it")
    command = [CHECKOV, "-d", SOURCE, "--framework", "terraform", "--skip-download", "--compact", "-o", "json"]
    result = subprocess.run(command, text=True, capture_output=True, check=False, timeout=120)
    report = json.loads(result.stdout)
    summary = report["summary"]
    print("checkov:", {count: summary[count] for count in ("passed", "failed", "skipped")})
    assert [(check["check_id"], check["resource"]) for check in report["results"]["failed_checks"]] == []
    assert summary["passed"] > 0
    assert summary["parsing_errors"] == 0
    for check in report["results"]["skipped_checks"]:
        assert len(check["check_result"]["suppress_comment"]) > 20, f"{check['check_id']} is skipped without a reason"
