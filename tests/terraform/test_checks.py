"""What can be said of the configuration without an AWS: form, validity, plans with a mock, security, its example."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Need
from tests.doubles.aws import AwsDouble
from tests.terraform.configuration import SOURCE, Configuration
from tests.terraform.conftest import Make

ROOT = SOURCE.parent
HOURS_IN_A_MONTH = 730  # as AWS reckons
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


def test_the_example_plans_as_it_stands(make_configuration: Make, aws: AwsDouble, public_key: Path) -> None:
    configuration = make_configuration(aws, "example")
    configuration.init()
    (configuration.folder / "terraform.tfvars.json").unlink()
    example = (SOURCE / "terraform.tfvars.example").read_text()
    (configuration.folder / "terraform.tfvars").write_text(example)
    # The one thing an example cannot bring along is a key.
    printed = configuration.must("plan", "-input=false", f"-var=ssh_public_key_path={public_key}")
    assert "orchard-fruits-master" in printed


def test_the_example_names_every_variable_a_person_would_touch() -> None:
    declared = set(blocks("variable", "variables.tf"))
    named = set(re.findall(r"^#? ?(\w+) += ", (SOURCE / "terraform.tfvars.example").read_text(), re.MULTILINE))
    # Set by `make up`, by tests, and by nobody without a reason of law.
    assert declared - named == {"bucket_adopt", "bucket_lifecycle", "allowed_regions"}
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


def test_the_readme_s_prices_are_the_table_s() -> None:
    prices = json.loads((ROOT / "scripts" / "prices.json").read_text())
    here = prices["eu-west-1"]
    bodies = blocks("variable", "variables.tf")
    defaults = {name: re.findall(r'^  default += "?([\w.-]+)', body, re.MULTILINE) for name, body in bodies.items()}
    workers, gigabytes = int(*defaults["worker_count"]), int(*defaults["root_volume_gb"])
    (worker_type,), (master_type,) = defaults["worker_instance_type"], defaults["master_instance_type"]
    master, worker = here["instance_per_hour"][master_type], here["instance_per_hour"][worker_type]
    disk = gigabytes * here["gp3_per_gb_month"] / HOURS_IN_A_MONTH
    hour = master + workers * worker + (1 + workers) * (here["public_ipv4_per_hour"] + disk)
    readme = (ROOT / "README.md").read_text()
    assert f"(as of {prices['as_of']})" in readme
    assert f"| worker {worker_type} | {worker} an hour each | {workers * worker:.3f} |" in readme
    assert f"**{hour:.3f}** ({24 * hour:.2f} a day)" in readme
