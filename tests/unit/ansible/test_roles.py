"""Roles stand alone: each uses its own names, those of the roles that it names in meta, and its own handlers."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = Path(__file__).resolve().parents[3] / "ansible" / "roles"
NAMES = sorted(role.name for role in ROLES.iterdir())
# A variable by its prefix, where it is no part of a path or a unit's name and no key of a mapping.
VARIABLE = re.compile(rf"(?<![\w./-])(?:{'|'.join(NAMES)})_\w+\b(?!:|\.py)")


def load(file: Path) -> Any:
    return yaml.safe_load(file.read_text()) if file.exists() else None


def dependencies(role: str) -> list[str]:
    return list(load(ROLES / role / "meta" / "main.yml")["dependencies"])


def defined(role: str) -> set[str]:
    """Variables that a role's defaults and vars define."""
    return {name for kind in ("defaults", "vars") for name in load(ROLES / role / kind / "main.yml") or {}}


def used(role: str) -> set[str]:
    """Variables that a role's files speak of."""
    kinds = ("defaults", "vars", "tasks", "handlers", "templates")
    files = [file for kind in kinds for file in (ROLES / role / kind).rglob("*") if file.is_file()]
    return {name for file in files for name in VARIABLE.findall(file.read_text())}


def entry_points(role: str) -> set[str]:
    """Options of other roles' entry points that this role includes by name."""
    found = set()
    for file in (ROLES / role / "tasks").glob("*.yml"):
        for task in load(file):
            if included := task.get("ansible.builtin.include_role"):
                specs = load(ROLES / included["name"] / "meta" / "argument_specs.yml")["argument_specs"]
                found |= set(specs[included["tasks_from"]]["options"])
    return found


@pytest.mark.parametrize("role", NAMES)
def test_a_role_uses_no_variable_of_a_role_that_it_does_not_name(role: str) -> None:
    named = entry_points(role).union(*(defined(other) for other in dependencies(role)))
    assert {name for name in used(role) - named - defined(role) if not name.startswith(f"{role}_")} == set()


@pytest.mark.parametrize("role", NAMES)
def test_a_role_notifies_handlers_of_its_own(role: str) -> None:
    handlers = {word for handler in load(ROLES / role / "handlers" / "main.yml") or [] for word in heard_as(handler)}
    tasks = [task for file in sorted((ROLES / role / "tasks").glob("*.yml")) for task in load(file)]
    notified = {name for task in tasks for name in as_list(task.get("notify"))}
    # The caller of an entry point says which handler of its own is to be called.
    assert {name for name in notified if not name.startswith("{{")} <= handlers


@pytest.mark.parametrize("role", NAMES)
def test_a_role_whose_names_others_share_does_nothing_by_itself(role: str) -> None:
    # The preflight includes a role's tasks, and with them those of the roles that it names.
    for other in dependencies(role):
        assert not (ROLES / other / "tasks").exists()


def test_packages_that_a_program_asks_spark_for_have_a_place_whoever_it_runs_as() -> None:
    # Spark's own is below the home that the system's list of users has: neither of them may write there.
    own = load(ROLES / "spark" / "tasks" / "own.yml")[0]["vars"]["spark_client_settings"]
    assert "'spark.jars.ivy': '/tmp/.ivy'" in own
    assert load(ROLES / "connect" / "vars" / "main.yml")["connect_spark_settings"]["spark.jars.ivy"] == "/tmp/.ivy"


def test_another_number_of_workers_restarts_no_jupyterlab() -> None:
    follows = {"orchard_part_settings", "orchard_cluster_cores", "spark_least_cores"}
    tasks = [task for file in (ROLES / "jupyter" / "tasks").glob("*.yml") for task in load(file)]
    [told] = [task for task in tasks if any(name in str(task) for name in follows)]
    # Kernels read it themselves, when they start; nothing else of the server's follows from it.
    assert told["ansible.builtin.include_role"]["tasks_from"] == "client"
    assert told["vars"]["spark_client_notify"] == []
    others = [*(ROLES / "jupyter" / "templates").iterdir(), ROLES / "jupyter" / "vars" / "main.yml"]
    assert not [file for file in others if any(name in file.read_text() for name in (*follows, "groups["))]


def heard_as(handler: dict[str, Any]) -> list[str]:
    return [handler["name"], *as_list(handler.get("listen"))]


def as_list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value] if value else []
