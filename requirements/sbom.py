"""Writes requirements/sbom-nodes.json and sbom-operator.json (CycloneDX 1.6): the locks' wheels, and the jars.

A wheel's hashes are those that the lock takes, one for each platform's file. A jar says in its own pom.properties whose
it is; one that says nothing is known by its file's name. The jars are those of the installed pyspark, as the lock pins;
the nodes have those of jars.txt, too.
"""

import hashlib
import json
import re
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
LOCKS = ("nodes", "operator")
WHEEL = re.compile(r"^(?P<name>[\w.-]+)==(?P<version>[^\s;]+)(?P<rest>(?:.*\\\n)*.*)$", re.MULTILINE)
HASH = re.compile(r"--hash=sha256:(\w+)")
LOCKED_JAR = re.compile(r"^(?P<group>[^#:]+):(?P<name>.+):(?P<version>.+) sha256:(?P<hash>\w+)$", re.MULTILINE)
JAR = re.compile(r"(?P<name>.+?)-(?P<version>\d[^-]*(?:-.+)?)\.jar")


def main() -> None:
    """Write both."""
    for lock in LOCKS:
        bill = {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": {"component": {"type": "application", "name": f"orchard-{lock}"}},
            "components": components(lock),
        }
        (FOLDER / f"sbom-{lock}.json").write_text(json.dumps(bill, indent=1) + "\n")


def components(lock: str) -> list[dict[str, Any]]:
    """All of a lock's, by its name."""
    own = [*wheels((FOLDER / f"{lock}.txt").read_text()), *jars()]
    return [*own, *locked_jars((FOLDER / "jars.txt").read_text())] if lock == "nodes" else own


def wheels(lock: str) -> list[dict[str, Any]]:
    """A component for each package of a lock."""
    return [
        _library(
            found["name"], found["version"], f"pkg:pypi/{found['name']}@{found['version']}", HASH.findall(found["rest"])
        )
        for found in WHEEL.finditer(lock)
    ]


def jars() -> list[dict[str, Any]]:
    """A component for each jar that comes with pyspark."""
    spark = find_spec("pyspark")
    assert spark is not None
    assert spark.origin is not None
    return [_component(file) for file in sorted(Path(spark.origin).with_name("jars").glob("*.jar"))]


def locked_jars(lock: str) -> list[dict[str, Any]]:
    """A component for each jar of the lock of jars."""
    return [
        _library(
            found["name"],
            found["version"],
            f"pkg:maven/{found['group']}/{found['name']}@{found['version']}",
            [found["hash"]],
        )
        for found in LOCKED_JAR.finditer(lock)
    ]


def _component(file: Path) -> dict[str, Any]:
    named = JAR.fullmatch(file.name)
    name, version = (named["name"], named["version"]) if named else (file.stem, "")
    purl = f"pkg:generic/{name}@{version}"
    for properties in _poms(file):
        if properties.get("artifactId") == name:
            version = properties["version"]
            purl = f"pkg:maven/{properties['groupId']}/{name}@{version}"
    return _library(name, version, purl, [hashlib.sha256(file.read_bytes()).hexdigest()]) | {"bom-ref": file.name}


def _library(name: str, version: str, purl: str, hashes: list[str]) -> dict[str, Any]:
    return {
        "bom-ref": purl,
        "type": "library",
        "name": name,
        "version": version,
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": content} for content in hashes],
    }


def _poms(file: Path) -> list[dict[str, str]]:
    with zipfile.ZipFile(file) as jar:
        texts = [jar.read(name).decode() for name in jar.namelist() if name.endswith("/pom.properties")]
    return [dict(line.split("=", 1) for line in text.splitlines() if "=" in line) for text in texts]


if __name__ == "__main__":
    main()
