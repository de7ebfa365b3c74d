"""Facts of a host have one owner: Ansible. The operator's side knows two paths of a host and nothing else."""

import re
from pathlib import Path

import pytest

from scripts.hosts import orchard_run

ROOT = Path(__file__).resolve().parents[4]
FACTS = (
    r"/var/lib/",
    r"/opt/orchard",
    r"/run/orchard",
    r"/etc/orchard/(?!cluster\.json)",
    r"/usr/local/bin/(?!orchard-run)",
    r"\b(7077|8080|8081|18080|40[45]\d|8888)\b",
    r"\b(spark-master|spark-worker|spark-history|orchard-run-)",
    r"\b\w+\.service\b",
    r"\b(systemctl|systemd-run|journalctl|SIGPWR)\b",
    r"\b(KillMode|TimeoutStopSec|RemainAfterExit|EnvironmentFile|WorkingDirectory|LimitNOFILE|UMask|PrivateTmp)\b",
)


def found(text: str) -> list[str]:
    return [match[0] for pattern in FACTS for match in re.finditer(pattern, text)]


@pytest.mark.parametrize("file", sorted((ROOT / "scripts").rglob("*.py")), ids=lambda file: file.name)
def test_no_script_has_a_hosts_path_port_unit_or_property(file: Path) -> None:
    assert found(file.read_text()) == []


def test_the_two_paths_are_those_that_ansible_writes_to() -> None:
    variables = (ROOT / "ansible" / "roles" / "orchard" / "vars" / "main.yml").read_text()
    assert f"orchard_facts_file: {orchard_run.FACTS}\n" in variables
    assert f"orchard_wrapper: {orchard_run.PROGRAM}\n" in variables


def test_what_the_search_is_for_is_found() -> None:
    wrong = 'PORT = 8080\nrun("sudo systemctl stop spark-worker.service")\nPYTHON = "/opt/orchard/venv/bin/python"'
    assert found(wrong) == ["/opt/orchard", "8080", "spark-worker", "worker.service", "systemctl"]
