"""The SBOMs are of the locks as they are."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements"


@pytest.fixture(scope="module")
def sbom() -> Any:
    specification = importlib.util.spec_from_file_location("sbom", REQUIREMENTS / "sbom.py")
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize("lock", ["nodes", "operator"])
def test_an_sbom_names_every_wheel_of_its_lock_and_every_jar_of_spark_with_its_hashes(sbom: Any, lock: str) -> None:
    text = (REQUIREMENTS / f"{lock}.txt").read_text()
    components = json.loads((REQUIREMENTS / f"sbom-{lock}.json").read_text())["components"]
    jars = (REQUIREMENTS / "jars.txt").read_text() if lock == "nodes" else ""
    assert components == [*sbom.wheels(text), *sbom.jars(), *sbom.locked_jars(jars)]
    assert len(sbom.locked_jars(jars)) == jars.count(" sha256:")
    assert sum("==" in line for line in text.splitlines()) == sum(c["purl"].startswith("pkg:pypi/") for c in components)
    assert sum(len(c["hashes"]) for c in components if c["purl"].startswith("pkg:pypi/")) == text.count(
        "--hash=sha256:"
    )
    assert len({component["bom-ref"] for component in components}) == len(components)
    assert sum(c["purl"].startswith("pkg:maven/") for c in components) > 100
