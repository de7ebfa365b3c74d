"""The units that put what outlives the cluster into the bucket: what systemd is told of them."""

import re
from pathlib import Path

import keep_in_bucket
import orchard_run

ROLES = Path(__file__).resolve().parents[3] / "ansible" / "roles"
KEPT = (ROLES / "common" / "templates" / "orchard-kept.service.j2").read_text()
JUPYTER = (ROLES / "jupyter" / "templates" / "jupyter.service.j2").read_text()
# systemd's own limit of a start, for each of its commands; where it is over, a dash forgives nothing.
DEFAULT_START_SECONDS = 90


def section(unit: str, name: str) -> list[str]:
    """The settings of a unit's section."""
    return unit.partition(f"[{name}]\n")[2].partition("\n[")[0].splitlines()


def test_the_program_ends_by_its_own_clock_before_anybody_ends_it_or_has_gone() -> None:
    limits = [line.partition("=")[2] for line in section(KEPT, "Service") if line.startswith("TimeoutStartSec=")]
    clock = keep_in_bucket.CLOCK_SECONDS
    assert keep_in_bucket.SECONDS < clock < orchard_run.KEEP_SECONDS
    assert clock < int(limits[0])


def test_notebooks_that_do_not_come_back_keep_jupyterlab_from_nothing() -> None:
    found = re.findall(
        r"^ExecStartPre=-/usr/bin/timeout (\d+) \{\{ orchard_keep_notebooks \}\}$", JUPYTER, re.MULTILINE
    )
    assert len(found) == JUPYTER.count("orchard_keep_notebooks") == 1
    assert keep_in_bucket.CLOCK_SECONDS < int(found[0]) < DEFAULT_START_SECONDS


def test_whoever_asks_more_often_than_each_minute_is_not_refused() -> None:
    assert "StartLimitIntervalSec=0" in section(KEPT, "Unit")


def test_what_the_program_says_as_it_breaks_is_in_the_journal() -> None:
    # systemd's level of what has none is `info`, which LogLevelMax leaves out.
    service = section(KEPT, "Service")
    assert {"LogLevelMax=notice", "SyslogLevel=warning"} <= set(service)
