"""Terraform itself judges terraform.tfvars, in less than a second and without its provider."""

import shutil
from pathlib import Path

import pytest

from scripts import console, tfvars
from scripts.errors import InputError
from scripts.terraform import validation
from tests.conftest import Need

RIGHT = 'cluster_name = "fruits"\nowner = "me"\n'


@pytest.fixture(autouse=True)
def checkout(need: Need, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Terraform, and the checkout's own variables.tf."""
    need(shutil.which("terraform"), "Terraform is not installed")
    monkeypatch.setenv("ORCHARD_TERRAFORM", str(tfvars.CHECKOUT / "terraform"))
    monkeypatch.setattr(console, "LOGS", tmp_path / "logs")
    console.begin("test", verbose=False)


@pytest.mark.parametrize("more", ["", 'admin_cidrs = ["203.0.113.0/24"]\n', "# a comment\nworker_count = 0\n"])
def test_settings_that_are_right_are_taken(more: str) -> None:
    validation.check(RIGHT + more)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("worker_count = 101", "worker_count is a whole number from 0 to 100."),
        ("worker_count = 1.5", "worker_count is a whole number from 0 to 100."),
        ('worker_count = "two"', "worker_count is of another type: a number is required."),
        ('worker_spot = "maybe"', "worker_spot is of another type: a bool is required."),
        ('worker_tensorflow = "all"', "worker_tensorflow is of another type: a bool is required."),
        ('budget_email = "me"', "budget_email is an e-mail address"),
        ('region = "us-east-1"', "This region is not among allowed_regions."),
        ('admin_cidrs = ["0.0.0.0/0"]', "admin_cidrs refuses 0.0.0.0/0"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_in_the_words_of_variables_tf(setting: str, sentence: str) -> None:
    with pytest.raises(InputError) as refused:
        validation.check(f"{RIGHT}{setting}\n")
    assert refused.value.code == 2
    assert str(refused.value).startswith(f"terraform.tfvars: {sentence}")


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(InputError) as refused:
        validation.check('cluster_name = "Fruits"\nowner = "me#"\n')
    first, second = str(refused.value).splitlines()
    assert first.startswith("terraform.tfvars: cluster_name takes 2 to 20 lower-case letters")
    assert second.startswith("owner takes 1 to 128 letters")


def test_a_setting_that_is_missing_is_named() -> None:
    with pytest.raises(InputError, match='a setting is missing: The root module input variable "owner" is not set'):
        validation.check('cluster_name = "fruits"\n')
