"""The hash by which images are named: roles and locks, and nothing else of a checkout."""

import re
import shutil
from pathlib import Path

import pytest

from scripts.console import CHECKOUT
from scripts.images import contents


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What images are made of, in a folder of its own."""
    for name in ("ansible", "requirements"):
        shutil.copytree(CHECKOUT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_it_is_the_same_wherever_the_same_files_lie_whatever_their_times(checkout: Path) -> None:
    shutil.copytree(checkout, checkout / "elsewhere")
    for file in (checkout / "elsewhere").rglob("*"):
        file.touch()
    assert contents.of_checkout(checkout) == contents.of_checkout(checkout / "elsewhere") == contents.of_checkout()


@pytest.mark.parametrize(
    "changed",
    ["ansible/bake.yml", "ansible/roles/java/tasks/main.yml", "requirements/nodes.txt", "requirements/jars.txt"],
)
def test_another_role_or_lock_is_another_image(checkout: Path, changed: str) -> None:
    before = contents.of_checkout(checkout)
    with (checkout / changed).open("a") as file:
        file.write("# more\n")
    assert contents.of_checkout(checkout) != before


@pytest.mark.parametrize("name", ["s3a/files/tar_logs.py", "common/files/tar_logz.py"])
def test_a_file_that_moves_or_is_called_otherwise_is_another_image(checkout: Path, name: str) -> None:
    before = contents.of_checkout(checkout)
    roles = checkout / "ansible/roles"
    (roles / "common/files/tar_logs.py").rename(roles / name)
    assert contents.of_checkout(checkout) != before


def test_what_is_on_laptops_alone_and_what_python_leaves_makes_none_stale(checkout: Path) -> None:
    before = contents.of_checkout(checkout)
    (checkout / "requirements/operator.txt").write_text("a newer tool\n")
    (checkout / "requirements/lock.sh").write_text("another way to make them\n")
    (checkout / "ansible/site.yml").write_text("another order\n")
    cached = checkout / "ansible/roles/common/files/__pycache__"
    cached.mkdir()
    (cached / "own_job.cpython-311.pyc").write_bytes(b"1")
    assert contents.of_checkout(checkout) == before


def test_every_lock_that_a_role_reads_is_in_it() -> None:
    roles = [
        file for file in (CHECKOUT / "ansible/roles").rglob("*.yml") if "tasks" in file.parts or "vars" in file.parts
    ]
    roles += (CHECKOUT / "ansible/roles").rglob("defaults/main.yml")
    read = {name for file in roles for name in re.findall(r"requirements/([\w-]+\.txt)", file.read_text())}
    assert {"nodes.txt", "bootstrap.txt", "jars.txt"} <= read
    assert not read & set(contents.OF_LAPTOPS)
    # Those that are left out are there: a lock by another name would be in it.
    assert all((CHECKOUT / "requirements" / name).exists() for name in contents.OF_LAPTOPS)
