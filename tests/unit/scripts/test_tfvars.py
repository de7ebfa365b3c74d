"""The person's settings: read as Terraform reads them, changed a line at a time."""

from pathlib import Path

import pytest

from scripts import tfvars
from scripts.errors import InputError

WRITTEN = """\
# mine
cluster_name = "fruits"   # short
owner        = "me"
worker_count = 2 # two will do
admin_cidrs = [
  "203.0.113.0/24",
]
"""


@pytest.fixture
def terraform_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "terraform"
    folder.mkdir()
    variables = Path(tfvars.CHECKOUT / "terraform" / "variables.tf").read_text()
    (folder / "variables.tf").write_text(variables)
    monkeypatch.setenv("ORCHARD_TERRAFORM", str(folder))
    return folder


def test_settings_are_read_and_what_is_not_set_has_the_variables_default(terraform_folder: Path) -> None:
    (terraform_folder / "terraform.tfvars").write_text(WRITTEN)
    assert tfvars.read()["admin_cidrs"] == ["203.0.113.0/24"]
    assert tfvars.setting("worker_count") == 2
    assert tfvars.setting("region") == "eu-west-1"
    assert tfvars.setting("ssh_public_key_path") is None
    assert "eu-central-1" in tfvars.setting("allowed_regions")


def test_a_setting_changes_in_its_own_line_and_its_comment_stays(terraform_folder: Path) -> None:
    (terraform_folder / "terraform.tfvars").write_text(WRITTEN)
    assert tfvars.with_setting(tfvars.text(), "worker_count", 5) == WRITTEN.replace("= 2 #", "= 5 #")


def test_a_setting_that_was_not_there_is_added(terraform_folder: Path) -> None:
    (terraform_folder / "terraform.tfvars").write_text(WRITTEN)
    tfvars.write(tfvars.with_setting(tfvars.text(), "worker_spot", True))
    assert tfvars.read()["worker_spot"] is True
    assert (terraform_folder / "terraform.tfvars").read_text() == f"{WRITTEN}worker_spot = true\n"


def test_a_list_over_several_lines_changes_as_one(terraform_folder: Path) -> None:
    written = 'worker_instance_types = [\n  "a.large",\n  "b.large",\n] # mine\nowner = "me"\n'
    changed = tfvars.with_setting(written, "worker_instance_types", ["c.large"])
    assert changed == 'worker_instance_types = ["c.large"] # mine\nowner = "me"\n'


@pytest.mark.parametrize(
    "value", ['say "hi"', "C:\\dir", "${var.x}", "%{if}", "two\nlines", "plain", 7, False, None, ["a", "b"]]
)
def test_a_value_is_written_so_that_it_is_read_again(terraform_folder: Path, value: str | int | list[str]) -> None:
    (terraform_folder / "terraform.tfvars").write_text('cluster_name = "fruits"\n')
    tfvars.write(tfvars.with_setting(tfvars.text(), "owner", value))
    written = (terraform_folder / "terraform.tfvars").read_text().splitlines()[1]
    assert written == f"owner = {tfvars.literal(value)}"
    if "{" not in str(value):
        assert tfvars.read()["owner"] == value


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            None,
            "There is no terraform/terraform.tfvars: run `make init`, which asks a few questions and writes it.",
        ),
        (
            'owner = "me"\n',
            'terraform/terraform.tfvars names no cluster: add a line such as cluster_name = "fruits".',
        ),
        (
            'cluster_name = "fruits"\nowner = me"\n',
            "Terraform's language does not allow what stands at line 2 of terraform/terraform.tfvars: mend it, then "
            "try again.",
        ),
    ],
)
def test_settings_that_cannot_be_used_are_explained(terraform_folder: Path, text: str | None, sentence: str) -> None:
    if text is not None:
        (terraform_folder / "terraform.tfvars").write_text(text)
    with pytest.raises(InputError) as refused:
        tfvars.read()
    assert str(refused.value) == sentence
    assert refused.value.code == 2


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("worker_count", "3", 3),
        ("worker_count", "3.0", 3),
        ("worker_count", "1.5", 1.5),
        ("worker_count", "two", "two"),
        ("worker_spot", "Yes", True),
        ("worker_spot", "no", False),
        ("worker_spot", "maybe", "maybe"),
        ("owner", "3", "3"),
        ("worker_instance_types", "c6i.2xlarge, c5.2xlarge", ["c6i.2xlarge", "c5.2xlarge"]),
    ],
)
def test_what_a_person_gives_gets_the_type_of_the_variable(
    terraform_folder: Path, name: str, given: str, value: object
) -> None:
    assert tfvars.typed(name, given) == value
    assert type(tfvars.typed(name, given)) is type(value)
